"""`trainer generate`: text from a run's newest checkpoint, of one prompt or many, as it comes or whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from corpus.data.message import Message
from corpus.data.templates import find_template
from trainer.data.text import TextCodec
from trainer.distributed.ranks import pick_device
from trainer.models.model import LanguageModel
from trainer.run.decoding import decode
from trainer.run.directory import Run
from trainer.run.load import load_model
from trainer.run.sampling import SamplingConfig
from trainer.run.stream import TextStream

BATCH = 16
"""Prompts that are continued together."""


@dataclass(frozen=True)
class TextModel:
    """A model that continues texts, and what generation needs to know of how it was trained."""

    model: LanguageModel
    tokenizer: Path
    eod: int
    bos: int | None
    vocabulary: int
    precision: str
    alone: bool = False
    """Whether the model saw each document by itself (a document mask), and not after the EOD of the one before."""
    ends: frozenset[int] = frozenset()
    """Ids that end a text besides `eod`."""

    @cached_property
    def codec(self) -> TextCodec:
        """The tokenizer; a DataError where there is none."""
        return TextCodec(self.tokenizer)

    def generate(self, prompt: str, sampling: SamplingConfig) -> str:
        """Continue `prompt` as the beginning of a document; gives the prompt with its continuation."""
        return self.generate_all([prompt], sampling)[0]

    def generate_all(self, prompts: Sequence[str], sampling: SamplingConfig) -> list[str]:
        """Each prompt with its continuation."""
        return [
            text + added for text, added in self._continued([self.codec.encode(text) for text in prompts], sampling)
        ]

    def stream(self, prompt: str, sampling: SamplingConfig) -> Iterator[str]:
        """The continuation of `prompt` in pieces, as they come, after the prompt itself."""
        ids = self.codec.encode(prompt)
        yield self.codec.decode(ids)
        yield from self._pieces(ids, sampling)

    def chat(self, messages: Sequence[Message], template: str, sampling: SamplingConfig) -> str:
        """The answer to some messages, as `template` renders them."""
        return self.chat_all([messages], template, sampling)[0]

    def chat_all(self, talks: Sequence[Sequence[Message]], template: str, sampling: SamplingConfig) -> list[str]:
        """The answer to each of some conversations."""
        asked = [self._rendered(messages, template) for messages in talks]
        return [added for _, added in self._continued(asked, self._stopping(sampling, template))]

    def stream_chat(self, messages: Sequence[Message], template: str, sampling: SamplingConfig) -> Iterator[str]:
        """The answer to some messages in pieces, as they come."""
        yield from self._pieces(self._rendered(messages, template), self._stopping(sampling, template))

    def _rendered(self, messages: Sequence[Message], template: str) -> list[int]:
        return self.codec.encode_turns(find_template(template).render(messages, answer=True), self.eod)

    @staticmethod
    def _stopping(sampling: SamplingConfig, template: str) -> SamplingConfig:
        return replace(sampling, stop=tuple(dict.fromkeys((*sampling.stop, *find_template(template).stops))))

    def before(self, ids: Sequence[int]) -> list[int]:
        """Some ids as the model reads them at the beginning of a document: without a BOS a document begins where the one before it ends."""
        return [*([self.bos] if self.bos is not None else [] if self.alone and ids else [self.eod]), *ids]

    def _continued(self, prompts: Sequence[list[int]], sampling: SamplingConfig) -> Iterator[tuple[str, str]]:
        """Each prompt as text, and what is added to it."""
        for start in range(0, len(prompts), BATCH):
            part = prompts[start : start + BATCH]
            streams = [TextStream(self.codec.decode, ids, sampling.stop) for ids in part]
            seeded = replace(sampling, seed=sampling.seed + start)
            for _ in self._decoded(part, seeded, streams):
                pass
            for ids, stream in zip(part, streams, strict=True):
                yield self.codec.decode(ids), stream.text

    def _pieces(self, ids: list[int], sampling: SamplingConfig) -> Iterator[str]:
        stream = TextStream(self.codec.decode, ids, sampling.stop)
        yield from filter(None, self._decoded([ids], sampling, [stream]))
        yield stream.end()

    def _decoded(
        self, prompts: Sequence[list[int]], sampling: SamplingConfig, streams: Sequence[TextStream]
    ) -> Iterator[str]:
        """What becomes certain with each token."""
        tokens = decode(
            self.model,
            [self.before(ids) for ids in prompts],
            sampling,
            self.ends | {self.eod},
            self.vocabulary,
            self.precision,
            lambda number, token: streams[number].stopped,
        )
        for number, token in tokens:
            yield streams[number].add(token)


@dataclass(frozen=True)
class LoadedModel(TextModel):
    """The model of a run's newest checkpoint or of another one."""

    run: Run = field(kw_only=True)
    step: int = field(kw_only=True)

    @classmethod
    def load(
        cls, path: Path, report: Callable[[str], None], device: str | None = None, step: int | None = None
    ) -> LoadedModel:
        """Load it onto `device`, by default a GPU if there is one."""
        run = Run(path)
        model, step = load_model(run, report, step)
        config = run.config()
        data, training = config.data, config.training
        return cls(
            model.to(pick_device(device)),
            run.checked_tokenizer() or run.tokenizer,
            data.eod,
            data.bos,
            data.vocabulary,
            training.precision,
            training.document_mask,
            run=run,
            step=step,
        )


def generate(
    path: Path,
    prompt: str,
    sampling: SamplingConfig,
    report: Callable[[str], None],
    device: str | None = None,
    step: int | None = None,
) -> str:
    """Continue `prompt` with the model of a run, that of its newest checkpoint or of `step`."""
    return LoadedModel.load(path, report, device, step).generate(prompt, sampling)
