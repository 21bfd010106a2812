"""Lets a torchvision built for CUDA be imported beside a CPU torch; imported at every start.

Its C++ operators do not load there, and its import fails on ``operator torchvision::nms does not
exist``. vLLM and transformers need the import, never the operators; so just before the first
``import torchvision`` the schemas of the missing ones are declared, in every subprocess too.
"""

import sys
from importlib.abc import MetaPathFinder


class _DeclareOperators(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        """Declare the operators when torchvision is looked for; find nothing."""
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            library = torch.library.Library("torchvision", "FRAGMENT")
            for operator in ("nms", "qnms"):
                library.define(
                    f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                )
            sys._torchvision_operators = library  # keeps the declaration alive


sys.meta_path.insert(0, _DeclareOperators())
