"""What a training takes of a GPU's memory, and what each way to save some of it saves: `trainer memory`.

Counted are weights, gradients and the two moments by the precision of each, and activations by Korthikanti et al. 2022
(arXiv 2205.05198) for attention that keeps no scores: 34·s·b·h bytes a layer in 16 bits, with full checkpointing 2·s·b·h and
one layer's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from trainer.config.memory_options import MemoryOptions
from trainer.models.finetuning.adapt import adapt, trained
from trainer.models.finetuning.config import FineTuningConfig
from trainer.models.loss import chunk_rows
from trainer.models.model import LanguageModel
from trainer.models.shape import ModelShape


@dataclass(frozen=True)
class Line:
    """Bytes on a GPU, and of the host's memory."""

    name: str
    states: int
    activations: int
    host: int = 0

    @property
    def total(self) -> int:
        """Bytes on the GPU."""
        return self.states + self.activations


def memory_table(shape: ModelShape, options: MemoryOptions) -> Iterator[Line]:
    """The ways from the most memory to the least; each line is by itself, the last ones are several at once."""
    parameters = LanguageModel.count(shape).total
    learned = added_parameters(shape, options.lora)
    ends = shape.vocabulary * shape.embedding_width
    block = (parameters - (1 if shape.tied else 2) * ends) // shape.layers
    full, little = _activations(shape, options, "none"), _activations(shape, options, "full")
    gathered = 2 * max(block, ends)  # the largest part, whole while it is needed, in 16 bits
    shared = 16 * parameters // options.gpus
    yield Line("all weights, fp32", 16 * parameters, 2 * full)
    yield Line("bf16 products, fp32 weights", 16 * parameters + 2 * parameters, full)
    yield Line("+ activations made again", 18 * parameters, little)
    yield Line(f"+ FSDP over {options.gpus}", shared + gathered, little)
    yield Line("+ states in the host's memory", gathered, little, host=shared)
    yield Line("LoRA, fp32", 4 * parameters + 16 * learned, 2 * full)
    yield Line("LoRA, bf16 products", 6 * parameters + 16 * learned, full)
    yield Line("+ activations made again", 6 * parameters + 16 * learned, little)
    yield Line(f"+ FSDP over {options.gpus}", (4 * parameters + 16 * learned) // options.gpus + gathered, little)


def added_parameters(shape: ModelShape, config: FineTuningConfig) -> int:
    """How many parameters fine-tuning adds to a model and trains."""
    with torch.device("meta"):
        model = LanguageModel(shape)
        adapt(model, config)
    return sum(parameter.numel() for parameter in trained(model).values())


def _activations(shape: ModelShape, options: MemoryOptions, checkpointing: str) -> int:
    """In 16 bits, with logits and their gradient of the positions that the loss takes at once."""
    positions = options.sequence_length * options.micro_batch_size
    layer = 34 * positions * shape.d_model
    kept = layer * shape.layers if checkpointing == "none" else 2 * positions * shape.d_model * shape.layers + layer
    return kept + 6 * chunk_rows(positions, shape.vocabulary, "cuda") * shape.vocabulary


def table_lines(name: str, shape: ModelShape, options: MemoryOptions) -> Iterator[str]:
    """The table as text."""
    parameters, learned = LanguageModel.count(shape).total, added_parameters(shape, options.lora)
    yield (
        f"{name}: {parameters:,} parameters; {options.micro_batch_size} sequences of {options.sequence_length:,} at once; LoRA "
        f"of rank {options.rank} on {', '.join(options.lora.chosen)} trains {learned:,} ({learned / parameters:.2%})"
    )
    yield f"{'GB on each GPU':<32} {'states':>8} {'activations':>12} {'together':>9} {'on the host':>12}"
    for line in memory_table(shape, options):
        host = f"{line.host / 1e9:.1f}" if line.host else ""
        numbers = f"{line.states / 1e9:>8.1f} {line.activations / 1e9:>12.1f} {line.total / 1e9:>9.1f} {host:>12}"
        yield f"{line.name:<32} {numbers}".rstrip()
