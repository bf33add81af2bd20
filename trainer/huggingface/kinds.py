"""The kinds of the values in a `config.json` that a shape is read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from corpus.errors import DataError

_WHOLE = """
    d_model ffn_dim ffn_hidden_size head_dim hidden_size intermediate_size max_position_embeddings max_seq_len n_embd n_embed
    n_head n_heads n_inner n_layer n_layers n_positions num_attention_heads num_hidden_layers num_key_value_heads num_kv_heads
    seq_length vocab_size word_embed_proj_dim
""".split()
_DECIMAL = """
    expansion_ratio factor final_logit_softcapping high_freq_factor layer_norm_eps layer_norm_epsilon low_freq_factor
    original_max_position_embeddings partial_rotary_factor rms_norm_eps rope_theta rotary_emb_base rotary_pct
""".split()
_FLAGS = """
    bias do_layer_norm_before enable_bias layer_norm_elementwise_affine multi_query new_decoder_architecture parallel_attn
    tie_word_embeddings use_parallel_residual
""".split()
_TEXTS = ("activation", "activation_function", "hidden_act")
_TABLES = ("attn_config", "rope_parameters", "rope_scaling")
_CAP = "final_logit_softcapping"
"""Null is no cap, and absent the usual one."""
_NULL_IS_ABSENT = {*_WHOLE, *_DECIMAL, *_TABLES} - {_CAP}


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _anything(value: Any) -> bool:
    return True


def _decimal(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(_WHOLE, (_whole, "a whole number of at least 1")),
    **dict.fromkeys(_DECIMAL, (_decimal, "a number")),
    **dict.fromkeys(_FLAGS, (lambda value: isinstance(value, bool), "true or false")),
    **dict.fromkeys(_TEXTS, (lambda value: isinstance(value, str), "a name")),
    **dict.fromkeys(_TABLES, (lambda value: isinstance(value, dict), "a table")),
}


def checked_kinds(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The configuration without numbers and tables that are null; a DataError names a value of another kind."""
    checked: dict[str, Any] = {}
    for key, value in config.items():
        if value is None and key in _NULL_IS_ABSENT:
            continue
        fits, kind = _KINDS.get(key, (_anything, ""))
        if not fits(value) and not (value is None and key == _CAP):
            raise DataError(f"{where} has {key}: {value!r}, which is not {kind}: give the config.json of the model.")
        checked[key] = checked_kinds(value, where) if key in _TABLES else value
    return checked
