"""The trainer from Python: train, load, generate. Its names are exported by `trainer`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from corpus.errors import UsageError
from corpus.option import nearest
from corpus.plugins import load_plugins
from trainer.needs import check_needed

if TYPE_CHECKING:
    from trainer.models.model import LanguageModel
    from trainer.run.generate import LoadedModel
    from trainer.run.sampling import SamplingConfig

_PATHS = ("data_cache", "skip_log")


class TrainedRun:
    """A run's directory: its configuration and metrics, and the model of its newest valid checkpoint, loaded once."""

    def __init__(self, path: Path | str, device: str | None = None) -> None:
        from trainer.run.directory import Run

        self.path = Path(path)
        self.device = device
        Run(self.path).shape()  # says what is wrong with a directory that is no run

    @property
    def config(self) -> dict[str, Any]:
        """All that decides the result, as `config.json` has it, after the changes of the run."""
        from trainer.run.directory import Run

        return Run(self.path).config().to_json()

    def metrics(self, rewound: bool = False) -> Iterator[dict[str, Any]]:
        """The measurements in order: of kind "train", one a step, and of kind "validation"; with `rewound` also those
        of steps that a rewind undid, which have "rewound": true."""
        from trainer.run.metrics import MetricsLog

        yield from MetricsLog(self.path / "metrics.jsonl").records(rewound)

    @cached_property
    def _loaded(self) -> LoadedModel:
        check_needed()
        share_cores()
        from trainer.run.generate import LoadedModel

        return LoadedModel.load(self.path, _tell, self.device)

    @property
    def model(self) -> LanguageModel:
        """The model, a torch module, on its device."""
        return self._loaded.model

    @property
    def step(self) -> int:
        """The step of the checkpoint that the model is of."""
        return self._loaded.step

    @overload
    def generate(self, prompt: str = "", **sampling: Any) -> str: ...

    @overload
    def generate(self, prompt: Sequence[str], **sampling: Any) -> list[str]: ...

    def generate(self, prompt: str | Sequence[str] = "", **sampling: Any) -> str | list[str]:
        """The prompt, taken for the beginning of a document, with a sampled continuation, or each of several prompts with one.

        `sampling` are the options of `trainer generate` with underscores (max_tokens, temperature, top_k, top_p, seed, stop).
        """
        share_cores()
        chosen = _sampling(sampling)
        if isinstance(prompt, str):
            return self._loaded.generate(prompt, chosen)
        return self._loaded.generate_all(list(prompt), chosen)

    def stream(self, prompt: str = "", **sampling: Any) -> Iterator[str]:
        """The same text in pieces, as they come."""
        share_cores()
        return self._loaded.stream(prompt, _sampling(sampling))

    def chat(self, messages: str | Sequence[Mapping[str, str]], *, template: str, **sampling: Any) -> str:
        """The answer to a question, or to messages with a `role` (system, user, assistant) and `content` each, as `template`
        rendered them in fine-tuning (alpaca, chatml, llama-2, plain, or the folder of a tokenizer that has one)."""
        share_cores()
        from corpus.data.message import Message

        entries = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        talk = [Message(entry["role"], entry["content"], entry.get("context", "")) for entry in entries]
        return self._loaded.chat(talk, template, _sampling(sampling))

    def __repr__(self) -> str:
        return f"<run {self.path} of {self.config['name']}>"


def fit(
    data: Path | str,
    *,
    output: Path | str,
    model: str | None = None,
    settings: Mapping[str, object] | None = None,
    plugins: Iterable[Path | str] = (),
    say: Callable[[str], None] = print,
    **options: Any,
) -> TrainedRun:
    """Train `model` on a packed set, or go on with the run in `output`, and give the finished run. It may be left out with
    `init_from`.

    `options` are those of `trainer fit` with underscores (steps, batch_size, validation, save_every, …), `settings` those
    of its --set, as `{"optimizer.lr": 3e-4}`. `plugins` are files that add model families; `say` hears the progress.
    """
    check_needed()
    share_cores()
    load_plugins(plugins)
    from trainer.config.options import FitOptions, make_options
    from trainer.loop.loop import fit as run_fit

    known = [name for name in FitOptions.__dataclass_fields__ if name not in ("data", "model", "output", "settings")]
    for name in options:
        if name not in known:
            raise UsageError(f"there is no option '{name}': {nearest(name, known)}")
    given = {name: Path(value) if name in _PATHS else value for name, value in options.items() if value is not None}
    if "validation" in given:
        given["validation"] = str(given["validation"])
    texts = tuple(f"{key}={_text(value)}" for key, value in (settings or {}).items())
    wanted = given | {"data": str(data), "output": Path(output), "settings": texts}
    if model is not None:
        wanted["model"] = model
    run_fit(make_options(wanted, None), say)
    return TrainedRun(output, options.get("device"))


def load(run: Path | str, device: str | None = None) -> TrainedRun:
    """A run that was trained before. `device` is cpu or cuda; by default a GPU if there is one."""
    return TrainedRun(run, device)


def share_cores() -> None:
    """Let OpenMP's threads sleep at barriers. Threads that spin there, as they do by default, take the cores from the
    very thread they wait for when anything else runs: steps were twice as slow on a busy machine. To be called before
    torch is imported; a setting of the user's own stays."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # huge pages for large tensors: without them an eighth of a step goes to page faults
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def _sampling(options: Mapping[str, Any]) -> SamplingConfig:
    """The options by name; a UsageError names the nearest of an unknown one."""
    from corpus.config import build
    from trainer.run.sampling import SamplingConfig

    stop = options.get("stop", ())
    settings = {**options, "stop": (stop,) if isinstance(stop, str) else tuple(stop)}
    made: SamplingConfig = build("generate", SamplingConfig, settings)
    return made


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
