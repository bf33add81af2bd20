"""`trainer memorization`: what a run can say by heart (Chowdhery et al. 2022, PaLM, section 9; Carlini et al. 2022, arXiv
2202.07646).

Spans of training rows at random; the model is given the first tokens and must continue greedily with exactly the next
ones. Greedy decoding gives a known continuation if and only if each of its tokens is the most likely one after the true
tokens before it, so that one forward pass over the whole spans answers for a batch of them: nothing is generated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from corpus.errors import UsageError
from trainer.data.rows import RowRange, next_batch
from trainer.data.validation_sets import PackedRows, open_validation
from trainer.models.model import LanguageModel
from trainer.models.precision import precision_context
from trainer.run.generate import LoadedModel
from trainer.science.memorization_options import MemorizationOptions
from trainer.science.occurrences import Occurrences, count_occurrences
from trainer.science.spans import Spans, draw_spans
from trainer.spikes.skip_log import SkipLog

Bools = npt.NDArray[np.bool_]
POOL = 100
"""Spans that are counted for each one that a bucket of duplicates wants."""


def bucket_of(count: int) -> int:
    """Half-decades of the number of occurrences: 0 is 0, 1 is 1, 2 is 2 to 3, 3 is 4 to 10, 4 is 11 to 31, and so on."""
    return 0 if count < 1 else 1 + math.ceil(2 * math.log10(count) - 1e-9)


def bucket_range(bucket: int) -> tuple[int, int]:
    """The least and the largest count of a bucket."""
    if bucket <= 1:
        return bucket, bucket
    return math.floor(10 ** ((bucket - 2) / 2) + 1e-9) + 1, math.floor(10 ** ((bucket - 1) / 2) + 1e-9)


@dataclass(frozen=True)
class Share:
    """Hits among some spans."""

    hits: int
    spans: int

    @property
    def value(self) -> float:
        """The share of hits; 0 of none."""
        return self.hits / self.spans if self.spans else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval of 95 %."""
        if not self.spans:
            return 0.0, 1.0
        z, n, p = 1.959964, self.spans, self.value
        middle, half = p + z * z / 2 / n, z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
        return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))

    @classmethod
    def of(cls, exact: Bools) -> Share:
        """Of a mask of hits."""
        return cls(int(exact.sum()), len(exact))


@dataclass(frozen=True)
class Tested:
    """Spans with what came of them: `correct` [n, continuation] which tokens the model would choose, by the length of the
    prompt; `occurrences` of the whole spans in training, `continuations` those of their last part alone."""

    spans: Spans
    correct: dict[int, Bools]
    occurrences: Occurrences
    continuations: Occurrences

    def exact(self, prompt: int) -> Bools:
        """Which spans are continued exactly: [n]."""
        return np.asarray(self.correct[prompt].all(1))

    def matched(self, prompt: int) -> float:
        """The mean number of tokens before the first wrong one."""
        return float(np.cumprod(self.correct[prompt], axis=1).sum(1).mean())


@dataclass(frozen=True)
class Memorization:
    """What was tested: `random` spans of training, spans `by_count` of duplicates, and a `control` of validation."""

    run: Path
    step: int
    options: MemorizationOptions
    random: Tested
    by_count: Tested
    control: Tested | None


def seen_rows(loaded: LoadedModel) -> list[RowRange]:
    """The rows that a run has been trained on, up to its checkpoint."""
    run, config = loaded.run, loaded.run.config()
    holes = (SkipLog.load(run.skip_log) or SkipLog()).before(loaded.step + 1).holes()
    return next_batch(0, config.ramp.rows_before(loaded.step), holes)[0]


def measure_memorization(path: Path, options: MemorizationOptions, report: Callable[[str], None]) -> Memorization:
    """Draw, count and test the spans. A UsageError where the data are not the run's, or no span is as long as wanted."""
    loaded = LoadedModel.load(path, report, options.device)
    config = loaded.run.config()
    data = PackedRows(options.data)
    if data.identity.digest != config.data.digest:
        raise UsageError(
            f"{path} was not trained on {options.data} (another digest): give the packed set of its fit command."
        )
    if not loaded.step:
        raise UsageError(f"{path} has made no step yet: there is nothing that it could have memorized.")
    longest = max(options.prompts) + options.continuation
    if longest > loaded.model.shape.sequence_length:
        raise UsageError(
            f"a span of {longest} tokens is longer than the model's {loaded.model.shape.sequence_length}: give a shorter "
            "--prompt or --continue."
        )
    rows = seen_rows(loaded)
    pool = draw_spans(data, rows, longest, max(options.samples, POOL * options.per_count), options.seed)
    counted = count_occurrences(pool.tokens, data, rows)
    first = np.arange(min(options.samples, len(pool)))
    chosen = _by_count(counted.counts, options.per_count)
    control = None if options.validation is None else _control(options, longest)
    tester = _Tester(loaded, options, data, rows)
    return Memorization(
        path,
        loaded.step,
        options,
        tester.test(pool.take(first), _taken(counted, first)),
        tester.test(pool.take(chosen), _taken(counted, chosen)),
        None if control is None else tester.test(control, count_occurrences(control.tokens, data, rows)),
    )


def _taken(counted: Occurrences, chosen: npt.NDArray[np.int64]) -> Occurrences:
    return Occurrences(counted.counts[chosen], counted.documents[chosen])


def _by_count(counts: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """The first `most` spans of each bucket of duplicates."""
    buckets = np.array([bucket_of(int(count)) for count in counts])
    chosen = [np.flatnonzero(buckets == bucket)[:most] for bucket in np.unique(buckets)]
    return np.concatenate([np.zeros(0, np.int64), *chosen])


def _control(options: MemorizationOptions, length: int) -> Spans:
    assert options.validation is not None
    sets = [rows for _, rows in sorted(open_validation(options.validation).items())]
    parts = [draw_spans(rows, [RowRange(0, len(rows))], length, options.samples, options.seed) for rows in sets]
    joined = Spans(
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.documents for part in parts]),
        tuple(domain for part in parts for domain in part.domains),
    )
    if len(joined) <= options.samples:
        return joined
    return joined.take(np.sort(np.random.default_rng(options.seed).permutation(len(joined))[: options.samples]))


@dataclass(frozen=True)
class _Tester:
    loaded: LoadedModel
    options: MemorizationOptions
    data: PackedRows
    rows: Sequence[RowRange]

    def test(self, spans: Spans, occurrences: Occurrences) -> Tested:
        options, loaded = self.options, self.loaded
        correct = {
            prompt: greedy_matches(
                loaded.model,
                spans.tokens[:, -prompt - options.continuation :],
                prompt,
                loaded.vocabulary,
                loaded.precision,
                options.batch_size,
            )
            for prompt in options.prompts
        }
        ends = np.ascontiguousarray(spans.tokens[:, -options.continuation :])
        return Tested(spans, correct, occurrences, count_occurrences(ends, self.data, self.rows))


@torch.no_grad()
def greedy_matches(
    model: LanguageModel, tokens: npt.NDArray[np.int64], prompt: int, vocabulary: int, precision: str, batch_size: int
) -> Bools:
    """Which tokens after the first `prompt` of each span [n, length] greedy decoding would choose, given those before:
    [n, length - prompt]. Those up to the first wrong one are what decoding from the prompt alone gives."""
    device = model.embedding.device
    found = np.zeros((len(tokens), tokens.shape[1] - prompt), np.bool_)
    for start in range(0, len(tokens), batch_size):
        batch_BT = torch.from_numpy(np.ascontiguousarray(tokens[start : start + batch_size])).to(device)
        with precision_context(precision, device):
            logits_BTV = model.logits(batch_BT[:, :-1])[:, prompt - 1 :, :vocabulary]
        chosen_BT = logits_BTV.argmax(-1)
        found[start : start + batch_size] = (chosen_BT == batch_BT[:, prompt:]).cpu().numpy()
    return found
