"""What of a block is kept for the backward pass, and what is made again there.

"none" keeps all activations. "selective" keeps what is expensive to make, the outputs of the linear layers and of
attention, and makes norms, rotations and SwiGLU's products again (LLaMA section 2.4). "full" keeps the block's input
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

MODES = ("none", "selective", "full")

_aten = torch.ops.aten
_KEPT = {
    _aten.mm.default,
    _aten.addmm.default,  # with a bias
    _aten._scaled_dot_product_flash_attention_for_cpu.default,
    _aten._scaled_dot_product_flash_attention.default,
    _aten._scaled_dot_product_efficient_attention.default,
    _aten._scaled_dot_product_cudnn_attention.default,
}


def checkpointed(mode: str, function: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """function(*arguments), with its activations kept as `mode` says. Nothing random may be drawn inside."""
    if mode == "none" or not torch.is_grad_enabled():
        return function(*arguments)
    from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

    options: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}
    if mode == "selective":
        options["context_fn"] = partial(create_selective_checkpoint_contexts, _policy)
    output: Tensor = checkpoint(function, *arguments, **options)
    return output


def _policy(context: Any, operation: Any, *arguments: Any, **options: Any) -> Any:
    from torch.utils.checkpoint import CheckpointPolicy

    # FlexAttention is no operator but a program handed to one
    kept = operation in _KEPT or operation is torch.ops.higher_order.flex_attention
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE
