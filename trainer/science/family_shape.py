"""Shapes of about a number of parameters, in the proportions of a family's own models."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from corpus.errors import UsageError
from corpus.option import nearest
from trainer.config.families.registry import FAMILIES, find_preset
from trainer.models.count import count_model
from trainer.models.shape import ModelShape

_LAYERS = range(2, 161)


@dataclass(frozen=True)
class FamilyShape:
    """A shape with the name of the model that it has its proportions of."""

    name: str
    shape: ModelShape

    @property
    def parameters(self) -> int:
        """All of them."""
        return count_model(self.shape).total

    def at_length(self, length: int) -> ModelShape:
        """The shape for sequences of another length."""
        return replace(self.shape, sequence_length=length)

    def settings(self) -> list[str]:
        """What to give to --set beside --model NAME."""
        fields: tuple[str, ...] = ("layers", "d_model", "heads", "n_kv_heads", "head_size", "feed_forward")
        own = find_preset(self.name).shape
        fields += tuple(f for f in ("vocabulary", "sequence_length") if getattr(self.shape, f) != getattr(own, f))
        return [f"model.{field}={getattr(self.shape, field)}" for field in fields]


def shape_for(family: str, parameters: float, vocabulary: int | None = None) -> FamilyShape:
    """The shape nearest to `parameters`, between the family's models in aspect (width a layer); a UsageError where none of
    a model's proportions comes within a half of it."""
    if family not in FAMILIES:
        raise UsageError(f"there is no model family '{family}': {nearest(family, FAMILIES)}")
    models = FAMILIES.load(family)
    shapes = {
        name: preset.shape if vocabulary is None else replace(preset.shape, vocabulary=vocabulary)
        for name, preset in models.items()
    }
    sizes = {name: count_model(shape).total for name, shape in shapes.items()}
    template = min(shapes, key=lambda name: (abs(math.log(sizes[name] / parameters)), name))
    found = min(_candidates(shapes[template]), key=lambda shape: _distance(shape, parameters, shapes[template]))
    best = FamilyShape(template, found)
    if not 0.5 < best.parameters / parameters < 2:
        raise UsageError(
            f"no shape of the family {family} has about {parameters:.3g} parameters: the nearest has "
            f"{best.parameters:,}, so give another --model, or a smaller --vocabulary."
        )
    return best


def _candidates(template: ModelShape) -> Iterator[ModelShape]:
    """Shapes with the template's head size, groups of heads and ratios, and any number of layers and heads."""
    aspect = template.d_model / template.layers
    # multi-query attention keeps its one key head, grouped heads keep the size of a group
    group = 1 if template.n_kv_heads == 1 else template.heads // template.n_kv_heads
    yield template
    for layers in _LAYERS:
        wanted = aspect * layers / template.d_model * template.heads
        for heads in {group * max(1, round(share * wanted / group)) for share in (0.8, 0.9, 1, 1.1, 1.25)}:
            d_model = round(heads * template.d_model / template.heads)
            inner = template.feed_forward / template.d_model * d_model
            yield replace(
                template,
                layers=layers,
                heads=heads,
                d_model=d_model,
                n_kv_heads=1 if template.n_kv_heads == 1 else heads // group,
                feed_forward=max(64, round(inner / 64) * 64),
            )


def _distance(shape: ModelShape, parameters: float, template: ModelShape) -> float:
    size = abs(math.log(count_model(shape).total / parameters))
    aspect = abs(math.log(shape.d_model / shape.layers / (template.d_model / template.layers)))
    # a size within a few per cent is as good as an exact one; the proportions then decide
    return max(size, 0.02) + 0.1 * aspect
