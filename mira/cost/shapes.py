"""A student's shapes, read from its Hugging Face configuration, and what follows from them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from mira.errors import UserError

KNOWN_TYPES = ("qwen3", "qwen3_moe", "qwen3_next", "qwen3_5", "qwen3_5_moe")
_HYBRID_TYPES = ("qwen3_next", "qwen3_5", "qwen3_5_moe")
_CACHE_BYTES = 2
_STATE_BYTES = 4
_CHUNK = 64


@dataclass(frozen=True)
class LinearAttention:
    """Sizes of a gated delta-rule layer: heads, their sizes, and taps of its convolution."""

    key_heads: int
    value_heads: int
    key_size: int
    value_size: int
    taps: int

    @property
    def channels(self) -> int:
        """Channels of the convolution: queries, keys and values."""
        return 2 * self.key_heads * self.key_size + self.value_heads * self.value_size


@dataclass(frozen=True)
class Experts:
    """Sizes of a mixture: experts, those that a token visits, their width, the shared one's."""

    count: int
    per_token: int
    width: int
    shared_width: int


@dataclass(frozen=True)
class Parameters:
    """Parameters by part. ``norms`` are the layers' and the last; a part's own are in the part."""

    experts: int
    linear_attention: int
    attention: int
    shared: int
    router: int
    dense: int
    norms: int
    embedding: int
    head: int

    @property
    def body(self) -> int:
        """All but embedding and head."""
        rest = self.linear_attention + self.attention + self.shared + self.router + self.dense
        return self.experts + rest + self.norms

    @property
    def total(self) -> int:
        """All of them; a head tied to the embedding counts once."""
        return self.body + self.embedding + self.head


@dataclass(frozen=True)
class StudentShape:
    """The sizes of a decoder that decide its cost.

    ``full_layers`` have a key-value cache, ``linear_layers`` a fixed recurrent state;
    ``sparse_layers`` have experts, ``dense_layers`` a plain MLP of ``dense_width``.
    """

    name: str
    hidden: int
    vocabulary: int
    tied: bool
    full_layers: int
    linear_layers: int
    heads: int
    kv_heads: int
    head_size: int
    output_gate: bool
    attention_bias: bool
    sparse_layers: int
    dense_layers: int
    dense_width: int
    linear: LinearAttention | None
    experts: Experts | None

    @property
    def layers(self) -> int:
        """Layers of both kinds."""
        return self.full_layers + self.linear_layers

    def parameters(self) -> Parameters:
        """Parameters by part, as transformers builds the model."""
        embedding = self.vocabulary * self.hidden
        experts = self.experts
        sparse = self.sparse_layers
        return Parameters(
            experts=sparse * experts.count * self._mlp(experts.width) if experts else 0,
            linear_attention=self.linear_layers * self._linear_layer(),
            attention=self.full_layers * self._attention_layer(),
            shared=sparse * self._shared_expert(),
            router=sparse * experts.count * self.hidden if experts else 0,
            dense=self.dense_layers * self._mlp(self.dense_width),
            norms=(2 * self.layers + 1) * self.hidden,
            embedding=embedding,
            head=0 if self.tied else embedding,
        )

    def active_parameters(self) -> float:
        """Parameters that one token meets, without embedding and head."""
        parts = self.parameters()
        if self.experts is None:
            return parts.body
        visited = self.experts.per_token / self.experts.count
        return parts.body - parts.experts * (1 - visited)

    def linear_flop_per_token(self) -> float:
        """Work that does not grow with the position: two operations per active parameter, and
        the delta rule in chunks of 64 tokens.

        Per value head and token the rule takes four products with a chunk and three with the
        state (an estimate; kernels differ).
        """
        if self.linear is None:
            return 2 * self.active_parameters()
        sizes = self.linear
        in_chunk = 4 * _CHUNK * (sizes.key_size + sizes.value_size)
        with_state = 6 * sizes.key_size * sizes.value_size
        rule = self.linear_layers * sizes.value_heads * (in_chunk + with_state)
        return 2 * self.active_parameters() + rule

    def attention_flop_per_position(self) -> float:
        """Work of one token per position that it attends to."""
        return self.full_layers * 4 * self.heads * self.head_size

    def head_flop(self) -> float:
        """Work of reading the logits of one position."""
        return 2 * self.vocabulary * self.hidden

    def cache_bytes_per_token(self) -> int:
        """Key-value cache of one token in bfloat16."""
        return self.full_layers * 2 * self.kv_heads * self.head_size * _CACHE_BYTES

    def recurrent_bytes(self) -> int:
        """Recurrent state of one sequence in float32, read and written at every step."""
        if self.linear is None:
            return 0
        sizes = self.linear
        state = sizes.value_heads * sizes.key_size * sizes.value_size
        return self.linear_layers * state * _STATE_BYTES

    def state_bytes(self) -> int:
        """What a sequence holds whatever its length: recurrent state, and the convolution's."""
        if self.linear is None:
            return 0
        held = self.linear.channels * (self.linear.taps - 1) * _CACHE_BYTES
        return self.recurrent_bytes() + self.linear_layers * held

    def reduced_bytes_per_token(self) -> int:
        """What a token's two all-reduces per layer sum up, in bfloat16."""
        return self.layers * 2 * self.hidden * 2

    def _mlp(self, width: int) -> int:
        return 3 * self.hidden * width

    def _shared_expert(self) -> int:
        if self.experts is None or not self.experts.shared_width:
            return 0
        gate = self.hidden
        return self._mlp(self.experts.shared_width) + gate

    def _attention_layer(self) -> int:
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        asked = queries * (2 if self.output_gate else 1)
        biases = asked + 2 * keys + self.hidden if self.attention_bias else 0
        norms = 2 * self.head_size
        return self.hidden * (asked + 2 * keys + queries) + biases + norms

    def _linear_layer(self) -> int:
        if self.linear is None:
            return 0
        sizes = self.linear
        values = sizes.value_heads * sizes.value_size
        projections = self.hidden * (sizes.channels + 2 * values + 2 * sizes.value_heads)
        own = sizes.channels * sizes.taps + 2 * sizes.value_heads + sizes.value_size
        return projections + own


def read_shape(model: str) -> StudentShape:
    """The shape of a model that the package knows, or of a ``config.json`` or its folder.

    Raises UserError where there is neither, or where the configuration is of another kind.
    """
    known = _shipped()
    if model.lower() in known:
        return shape_of(known[model.lower()], model.lower())
    path = Path(model)
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        near = difflib.get_close_matches(model.lower(), known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise UserError(
            f"--model '{model}' is no known model ({', '.join(known)}) and no file or folder.{hint}"
            f" Expected one of these names, or a path to a Hugging Face config.json."
        )
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is not a JSON file ({error}). Expected a config.json.") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: expected a JSON object, found {type(config).__name__}.")
    return shape_of(config, str(path))


def shape_of(config: Mapping[str, Any], name: str) -> StudentShape:
    """The shape that a configuration describes; ``name`` is for messages.

    Raises UserError for a model type whose layers are not known here, and for missing sizes.
    """
    config = config.get("text_config") or config
    kind = str(config.get("model_type", "")).removesuffix("_text")
    if kind not in KNOWN_TYPES:
        raise UserError(
            f"{name}: model_type '{config.get('model_type')}' cannot be priced. Expected one of "
            f"{', '.join(KNOWN_TYPES)}."
        )
    hybrid = kind in _HYBRID_TYPES
    layers = _size(config, "num_hidden_layers", name)
    full_layers = _full_layers(config, layers, hybrid, name)
    linear_layers = layers - full_layers
    experts = _experts(config, name)
    sparse = _sparse_layers(config, layers, name) if experts else 0
    heads, hidden = _size(config, "num_attention_heads", name), _size(config, "hidden_size", name)
    return StudentShape(
        name=name,
        hidden=hidden,
        vocabulary=_size(config, "vocab_size", name),
        tied=bool(config.get("tie_word_embeddings", False)),
        full_layers=full_layers,
        linear_layers=linear_layers,
        heads=heads,
        kv_heads=_size(config, "num_key_value_heads", name),
        head_size=_size(config, "head_dim", name, hidden // heads),
        output_gate=hybrid,
        attention_bias=bool(config.get("attention_bias", False)),
        sparse_layers=sparse,
        dense_layers=layers - sparse,
        dense_width=_size(config, "intermediate_size", name) if layers > sparse else 0,
        linear=_linear_attention(config, name) if linear_layers else None,
        experts=experts,
    )


def _shipped() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(
        resources.files("mira.cost").joinpath("data/students.yaml").read_text(encoding="utf-8")
    )


def _size(config: Mapping[str, Any], key: str, name: str, default: int | None = None) -> int:
    value = config.get(key)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{name}: '{key}' should be a whole number above 0, found {value!r}.")
    return value


def _full_layers(config: Mapping[str, Any], layers: int, hybrid: bool, name: str) -> int:
    kinds = config.get("layer_types")
    if kinds is None:
        every = _size(config, "full_attention_interval", name, 4)
        return layers // every if hybrid else layers
    unknown = sorted(set(kinds) - {"full_attention", "linear_attention"})
    if unknown or len(kinds) != layers:
        raise UserError(
            f"{name}: 'layer_types' should name 'full_attention' or 'linear_attention' for each "
            f"of {layers} layers, found {len(kinds)} entries"
            + (f" with {', '.join(unknown)}." if unknown else ".")
        )
    return kinds.count("full_attention")


def _linear_attention(config: Mapping[str, Any], name: str) -> LinearAttention:
    return LinearAttention(
        key_heads=_size(config, "linear_num_key_heads", name),
        value_heads=_size(config, "linear_num_value_heads", name),
        key_size=_size(config, "linear_key_head_dim", name),
        value_size=_size(config, "linear_value_head_dim", name),
        taps=_size(config, "linear_conv_kernel_dim", name),
    )


def _experts(config: Mapping[str, Any], name: str) -> Experts | None:
    # transformers writes the count of Qwen3-MoE as num_local_experts, its authors as num_experts.
    key = "num_experts" if config.get("num_experts") else "num_local_experts"
    if not config.get(key):
        return None
    return Experts(
        count=_size(config, key, name),
        per_token=_size(config, "num_experts_per_tok", name),
        width=_size(config, "moe_intermediate_size", name),
        shared_width=_size(config, "shared_expert_intermediate_size", name, 0),
    )


def _sparse_layers(config: Mapping[str, Any], layers: int, name: str) -> int:
    dense = set(config.get("mlp_only_layers") or ())
    every = _size(config, "decoder_sparse_step", name, 1)
    return sum((number + 1) % every == 0 and number not in dense for number in range(layers))
