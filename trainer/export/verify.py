"""An export is checked before it is published: the logits that transformers computes from it against our own."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from corpus.errors import DataError
from trainer.export import gguf as gguf_format
from trainer.models.model import LanguageModel

TOLERANCE = 1e-4
"""Largest difference of two logits, as a share of the largest logit (of 1, where that is smaller)."""
PROMPTS, PROMPT_TOKENS = 4, 48


def prompts(model: LanguageModel) -> Tensor:
    """Fixed prompts: int64 [4, T] of ids that walk over the whole vocabulary, T at most 48."""
    length = min(PROMPT_TOKENS, model.shape.sequence_length)
    # strides without a common factor: neighbours differ in every prompt
    position = torch.arange(PROMPTS)[:, None] * 104729 + torch.arange(length)[None] * torch.tensor(
        [[1], [7], [613], [7919]]
    )
    return position % model.shape.vocabulary


@torch.no_grad()
def compare(model: LanguageModel, directory: Path, kind: str) -> float | None:
    """The largest relative difference of the logits on the fixed prompts; None where transformers is not installed.

    A difference above `TOLERANCE` is a DataError.
    """
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
        from transformers.utils import logging
    except ImportError:
        return None
    logging.disable_progress_bar()
    if kind == "hf":
        theirs = LlamaForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    else:
        # what the file says, not what was meant to be written
        theirs = LlamaForCausalLM(LlamaConfig(**gguf_format.read_config(directory / gguf_format.FILE))).eval()
        theirs.load_state_dict(gguf_format.read_tensors(directory / gguf_format.FILE))
    ids = prompts(model)
    ours_BTV, theirs_BTV = model.logits(ids), theirs(ids).logits
    difference = float((ours_BTV - theirs_BTV).abs().max() / ours_BTV.abs().max().clamp(min=1.0))
    if not difference <= TOLERANCE:
        raise DataError(
            f"the exported model's logits differ from the run's by {difference:.1e} of the largest (at most {TOLERANCE:.0e} "
            "is accepted), and nothing was written: try another version of transformers and report this."
        )
    return difference
