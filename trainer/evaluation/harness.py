"""Our models for EleutherAI's lm-evaluation-harness, as they are: no export, and the tokens that they were trained on.

What a request means is that library's (`lm_eval.api.model`, version 0.4.13): the continuation's tokens are those of the
whole text after as many as the context has, a text that is too long loses its beginning, and a document of which the
whole likelihood is asked is cut into windows of which each token is predicted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from corpus.errors import UsageError
from trainer.models.precision import precision_context
from trainer.run.decoding import decode
from trainer.run.generate import LoadedModel
from trainer.run.sampling import SamplingConfig
from trainer.run.stream import TextStream

NAME = "corpusmill"
"""What lm-eval calls this kind of model."""
_POSITIONS = 512
"""Positions whose logits exist at once."""
_GENERATED = 256
"""Tokens of an answer where the task does not say how many."""

Answer = tuple[float, bool]
"""The log-probability of a continuation in nats, and whether greedy decoding gives it."""


@register_model(NAME)
class HarnessModel(TemplateLM):  # type: ignore[misc]  # the library is untyped
    """A run's model, for `simple_evaluate(model=…)`, or by its name with `run=DIR` among the model's arguments."""

    def __init__(
        self,
        run: LoadedModel | Path | str,
        checkpoint: int | None = None,
        batch_size: int | str = 8,
        max_batch_size: int | None = None,
        device: str | None = None,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        super().__init__()
        self.loaded = run if isinstance(run, LoadedModel) else LoadedModel.load(Path(run), report, device, checkpoint)
        self.batch_size = 8 if batch_size in (None, "auto") else int(batch_size)
        self.cut = 0
        """Requests that lost their beginning, since they are longer than the model's sequences."""
        model = self.loaded.model
        prompt = 0 if model.soft_prompt is None else model.soft_prompt.shape[0]
        self.capacity = model.shape.sequence_length - prompt

    @property
    def eot_token_id(self) -> int:
        """The end of a document."""
        return self.loaded.eod

    @property
    def prefix_token_id(self) -> int:
        """What stands before the first token of a document."""
        return self.loaded.eod if self.loaded.bos is None else self.loaded.bos

    @property
    def tokenizer_name(self) -> str:
        """The tokenizer's digest."""
        return self.loaded.run.config().data.tokenizer

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **others: Any) -> list[int]:
        """The ids of a text, after what stands before a document unless `add_special_tokens` is False."""
        ids = self.loaded.codec.encode(string)
        return ids if add_special_tokens is False else self.loaded.before(ids)

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = True) -> list[Answer]:
        """The answer to each (context, continuation)."""
        answers: list[Answer] = super().loglikelihood(requests, disable_tqdm=True)
        return answers

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = True) -> list[float]:
        """The log-probability of each whole text, in nats."""
        pairs, owners = [], []
        for number, request in enumerate(requests):
            ids = self.tok_encode(request.args[0], add_special_tokens=False)
            for window in get_rolling_token_windows(ids, self.prefix_token_id, self.capacity, 1):
                pairs.append(make_disjoint_window(window))
                owners.append(number)
        totals = [0.0] * len(requests)
        for owner, (value, _) in zip(owners, self.score(pairs), strict=True):
            totals[owner] += value
        return totals

    def generate_until(self, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        """The answer to each (context, settings): what is generated up to one of the texts of `until`."""
        texts = [""] * len(requests)
        order = sorted(range(len(requests)), key=lambda number: len(requests[number].args[0]))
        kinds: dict[str, list[int]] = {}
        for number in order:
            kinds.setdefault(repr(requests[number].args[1]), []).append(number)
        for numbers in kinds.values():
            sampling = _sampling(requests[numbers[0]].args[1])
            for start in range(0, len(numbers), self.batch_size):
                part = numbers[start : start + self.batch_size]
                prompts = [self._cut(self.tok_encode(requests[number].args[0]), sampling.max_tokens) for number in part]
                for number, text in zip(part, self._generated(prompts, sampling), strict=True):
                    texts[number] = text
        return texts

    def _cut(self, ids: list[int], answer: int) -> list[int]:
        """A prompt without so much of its beginning that the answer fits, but half of the model's positions it has at least:
        an answer that is asked to be longer than what is left is shorter."""
        most = max(1, self.capacity - answer, self.capacity // 2)
        self.cut += len(ids) > most
        return ids[-most:]

    def _generated(self, prompts: Sequence[list[int]], sampling: SamplingConfig) -> list[str]:
        loaded = self.loaded
        streams = [TextStream(loaded.codec.decode, prompt, sampling.stop) for prompt in prompts]
        left = [self.capacity - len(prompt) for prompt in prompts]

        def finished(number: int, token: int) -> bool:
            left[number] -= 1
            return left[number] < 1 or streams[number].stopped

        tokens = decode(
            loaded.model,
            prompts,
            sampling,
            (loaded.eod,),
            loaded.vocabulary,
            loaded.precision,
            finished,
        )
        for number, token in tokens:
            streams[number].add(token)
        return [stream.text for stream in streams]

    def _loglikelihood_tokens(self, requests: list[Any], **others: Any) -> list[Answer]:
        return self.score([(context, continuation) for _, context, continuation in requests])

    @torch.no_grad()
    def score(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[Answer]:
        """The answer to each pair of ids, a context that is not empty and its continuation.

        What two requests read alike is read once: the answers to a question that differ in their last token alone are one
        row of a batch.
        """
        rows: dict[tuple[int, ...], list[int]] = {}
        for number, (context, continuation) in enumerate(pairs):
            ids = [*context, *continuation]
            self.cut += len(ids) - 1 > self.capacity
            rows.setdefault(tuple(ids[-self.capacity - 1 : -1]), []).append(number)
        answers: list[Answer] = [(0.0, True)] * len(pairs)
        longest_first = sorted(rows, key=lambda ids: (-len(ids), ids))
        for start in range(0, len(longest_first), self.batch_size):
            batch = longest_first[start : start + self.batch_size]
            for row, hidden_TD in zip(batch, self._hidden(batch), strict=True):
                for number in rows[row]:
                    # of a continuation that is longer than the model's sequences, the last part
                    targets = pairs[number][1][-len(row) :]
                    if targets:
                        answers[number] = self._answer(hidden_TD[len(row) - len(targets) : len(row)], targets)
        return answers

    def _hidden(self, batch: Sequence[tuple[int, ...]]) -> Iterator[torch.Tensor]:
        """The last hidden states of some rows. What fills the shorter ones stands after them, where nothing sees it."""
        model = self.loaded.model
        tokens_BT = torch.full((len(batch), len(batch[0])), self.loaded.eod)
        for row, ids in enumerate(batch):
            tokens_BT[row, : len(ids)] = torch.tensor(ids)
        with precision_context(self.loaded.precision, model.embedding.device):
            yield from model(tokens_BT.to(model.embedding.device))

    def _answer(self, hidden_TD: torch.Tensor, targets: list[int]) -> Answer:
        model, total, greedy = self.loaded.model, 0.0, True
        targets_T = torch.tensor(targets, device=hidden_TD.device)
        for start in range(0, len(targets), _POSITIONS):
            part = slice(start, start + _POSITIONS)
            with precision_context(self.loaded.precision, hidden_TD.device):
                logits_TV = model.head_logits(hidden_TD[part])
            chosen_T = logits_TV[:, : self.loaded.vocabulary].argmax(-1)
            said_T = logits_TV.gather(1, targets_T[part, None])[:, 0] - logits_TV.logsumexp(-1)
            total += float(said_T.sum(dtype=torch.float64))
            greedy = greedy and bool((chosen_T == targets_T[part]).all())
        return total, greedy


def _sampling(settings: dict[str, Any]) -> SamplingConfig:
    """How an answer is generated: greedily, unless the task says otherwise."""
    until = settings.get("until") or ()
    stop = (until,) if isinstance(until, str) else tuple(until)
    sampled = settings.get("do_sample", settings.get("temperature", 0) > 0)
    answer = int(settings.get("max_gen_toks", _GENERATED))
    if answer < 1:
        raise UsageError(f"a task asks for answers of {answer} tokens: give its max_gen_toks at least 1.")
    return SamplingConfig(
        max_tokens=answer,
        temperature=float(settings.get("temperature", 1.0)) if sampled else 0.0,
        top_k=int(settings.get("top_k") or 0),
        top_p=float(settings.get("top_p", 1.0)),
        stop=tuple(text for text in stop if text),
    )
