"""HTML pages rendered by pydoc from classes and functions of the standard library."""

from __future__ import annotations

import importlib
import inspect
import pydoc
import re
import warnings
from collections.abc import Iterator
from types import ModuleType

from mira.sampling.harvest.base import Draft, HarvestSettings
from mira.sampling.harvest.draw import Draw
from mira.sampling.harvest.installation import STDLIB_LICENCE, hide_folders

# Modules that are safe to import, and the same on every system. Module-level data is never
# rendered: it would show this machine's environment. Neither inspect nor logging, which
# other packages patch when they are imported.
_MODULE_NAMES = (
    "abc argparse array ast asyncio.events asyncio.queues asyncio.streams base64 bdb bisect bz2 "
    "calendar cmd code codecs collections concurrent.futures configparser contextlib copy csv "
    "cProfile ctypes dataclasses datetime decimal difflib dis doctest email.message "
    "email.headerregistry email.policy enum filecmp fileinput fnmatch fractions ftplib "
    "functools gettext glob graphlib gzip hashlib heapq hmac html.parser http.client "
    "http.cookiejar http.cookies http.server imaplib importlib.abc importlib.metadata "
    "io ipaddress itertools json.decoder json.encoder linecache locale logging.handlers "
    "lzma mailbox mimetypes modulefinder multiprocessing.managers multiprocessing.pool netrc "
    "numbers operator optparse pathlib pdb pickle pickletools pkgutil plistlib poplib pprint "
    "profile pstats queue random re reprlib sched secrets selectors shelve shlex shutil smtplib "
    "socketserver sqlite3 statistics string struct subprocess symtable tarfile tempfile "
    "textwrap threading timeit token tokenize trace traceback types typing unittest.case "
    "unittest.mock unittest.suite urllib.parse urllib.request urllib.robotparser uuid wave "
    "weakref wsgiref.handlers wsgiref.headers xml.dom.minidom xml.etree.ElementTree "
    "xml.sax.handler xml.sax.saxutils xmlrpc.client zipapp zipfile"
)
MODULES = tuple(_MODULE_NAMES.split())

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_SET = re.compile(r"frozenset\(\{([^{}]*)\}\)")
_INHERITED = re.compile(
    r"<hr>\s*(?:Methods|Data and other attributes|Data descriptors|Class methods|Static methods"
    r"|Readonly properties)[^\n]* inherited from.*",
    re.DOTALL,
)
_FUNCTIONS_PER_PAGE = 6


def html_pages(settings: HarvestSettings) -> Iterator[Draft]:
    """One page a class, and pages of a few functions each, over many modules (ours)."""
    draw = Draw(settings.seed, "harvest", "html_pages", "order")
    subjects = [pair for name in MODULES for pair in _subjects(name)]
    for name, objects in draw.shuffled(subjects):
        limit = min(settings.max_chars, draw.length(3000, 12000))
        keep_inherited = draw.chance(0.2)
        title = f"{name}.{objects[0].__name__}" if len(objects) == 1 else name
        body = "\n".join(_render(name, item, keep_inherited) for item in objects)
        module_doc = _module_text(name) if len(objects) > 1 else ""
        meta = {
            "origin": f"pydoc of {name}",
            "package": "stdlib",
            "licence": STDLIB_LICENCE,
            "kind": "class page" if inspect.isclass(objects[0]) else "function page",
            "name": title,
        }
        yield Draft(_page(title, module_doc + scrub(body), limit), meta)


def scrub(text: str) -> str:
    """Text without object addresses, and with sets written in sorted order (ours).

    Both differ between processes, so they would make records differ between runs.
    """
    ordered = _SET.sub(lambda m: "frozenset({" + ", ".join(sorted(m[1].split(", "))) + "})", text)
    return hide_folders(_ADDRESS.sub("0x...", ordered))


def _subjects(module_name: str) -> list[tuple[str, list]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = importlib.import_module(module_name)
        except ImportError:  # an optional module of this Python build
            return []
        own = [value for _, value in sorted(vars(module).items()) if _is_own(value, module)]
    classes = [value for value in own if inspect.isclass(value)]
    functions = [value for value in own if not inspect.isclass(value)]
    chunks = [
        functions[i : i + _FUNCTIONS_PER_PAGE]
        for i in range(0, len(functions), _FUNCTIONS_PER_PAGE)
    ]
    return [(module_name, [item]) for item in classes] + [(module_name, c) for c in chunks]


def _is_own(value: object, module: ModuleType) -> bool:
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return False
    home = getattr(value, "__module__", None) or ""
    root = module.__name__.split(".")[0]
    documented = bool(getattr(value, "__doc__", None))
    name = getattr(value, "__name__", "_")
    return (
        documented and home.lstrip("_").startswith(root) and name.isidentifier() and name[0] != "_"
    )


def _render(module_name: str, item: object, keep_inherited: bool) -> str:
    writer = pydoc.HTMLDoc()
    name = item.__name__  # type: ignore[attr-defined]
    if not inspect.isclass(item):
        return writer.docroutine(item, name, module_name)
    page = writer.docclass(item, name, module_name)
    return page if keep_inherited else _INHERITED.sub("</td></tr></table>", page)


def _module_text(name: str) -> str:
    doc = inspect.getdoc(importlib.import_module(name)) or ""
    return f"<p>{pydoc.HTMLDoc().preformat(doc)}</p>\n" if doc else ""


def _page(title: str, body: str, limit: int) -> str:
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>Python: {title}</title></head>\n<body>\n"
    )
    room = limit - len(head) - 20
    if len(body) > room:
        # Whole entries only: pydoc closes each with </dl>.
        cut = body.rfind("</dl>", 0, room)
        body = body[: cut + len("</dl>")] if cut > 0 else ""
    return f"{head}{body}\n</body></html>" if body else ""
