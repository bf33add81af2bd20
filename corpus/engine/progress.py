"""What a terminal shows while stages work: a bar for the stage's phase, one for the run; plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any

from corpus.engine.pace import RunPace

if TYPE_CHECKING:
    from rich.table import Table

_PLAIN_SECONDS = 30.0
_BAR = 24


def megabytes(size: float) -> str:
    """A size for people: 12 MB, 3.4 GB."""
    if size >= 1e12:
        return f"{size / 1e12:.1f} TB"
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    if size >= 1e6:
        return f"{size / 1e6:.0f} MB"
    return f"{size / 1e3:.0f} kB"


def duration(seconds: float) -> str:
    """A time for people: 12 s, 3 min 20 s, 5 h 10 min."""
    total = round(seconds)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    return f"{total // 3600} h {total % 3600 // 60} min"


@dataclass(frozen=True)
class PhaseState:
    """How far a phase of a stage is."""

    phase: str
    number: int
    """Which phase of the stage, from 1."""
    phases: int
    done: int
    tasks: int
    share: float
    """The part of the phase that is done; 0 where that is not known."""
    elapsed: float
    left: float | None
    """Seconds until it ends, where that can be said."""
    documents: int = 0
    """Documents gone through, of this phase alone."""
    rate: float = 0.0
    """Bytes a second, of what was gone through in this run of the phase."""
    kept: float | None = None
    """Of the documents that this phase has judged, the part that stays."""

    def words(self) -> str:
        """The line beside the bar."""
        parts = [f"{self.share:.0%}"] if self.share else []
        parts += [time_words(self.elapsed, self.left)]
        if self.documents:
            parts.append(f"{self.documents:,} documents")
        if self.rate:
            parts.append(f"{self.rate / 1e6:.1f} MB/s")
        if self.kept is not None:
            parts.append(f"kept {self.kept:.0%}")
        return " · ".join(parts)

    def title(self) -> str:
        """The phase, and which of its tasks are done."""
        number = f" (phase {self.number} of {self.phases})" if self.phases > 1 else ""
        tasks = f", {self.done} of {self.tasks} tasks" if self.tasks > 1 else ""
        return f"{self.phase}{number}{tasks}"


def time_words(elapsed: float, left: float | None) -> str:
    """How long it took so far and will take."""
    return duration(elapsed) + ("" if left is None else f", about {duration(left)} left")


@dataclass
class Progress:
    """Shows on standard error how far the stages of a command are: one after another, and of a run (`pace`) the whole.

    Where no terminal watches, a line every half a minute; with `quiet` nothing at all. Used as a context, once for all
    stages; `NO_COLOR` and `TERM=dumb` are heeded.
    """

    quiet: bool = False
    pace: RunPace | None = None
    stream: IO[str] = field(default_factory=lambda: sys.stderr)
    _title: str = field(default="", init=False)
    _state: PhaseState | None = field(default=None, init=False)
    _shown: float = field(default_factory=time.monotonic, init=False)
    _live: Any = field(default=None, init=False)
    _at: float = field(default=0.0, init=False)
    _said: set[str] = field(default_factory=set, init=False)

    def __enter__(self) -> Progress:
        if not self.quiet and self.stream.isatty() and os.environ.get("TERM") != "dumb":
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self.stream, highlight=False)
            self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def begin(self, title: str, number: int = 0) -> None:
        """Go on to another stage, the `number`-th of the run."""
        self._title, self._state = title, None
        if self.pace is not None:
            self.pace.begin(number)

    def heading(self, stage: str) -> str:
        """How a line about a stage begins: in a run with its number and its place."""
        if self.pace is None:
            return stage
        return f"[{self.pace.number}/{len(self.pace.expected)}] {self._title}"

    def work(self) -> None:
        """The stage is not done yet."""
        if self.pace is not None:
            self.pace.work()

    def is_new(self, line: str) -> bool:
        """Whether a line was not asked about before: what explains a word is said once in a run."""
        if line in self._said:
            return False
        self._said.add(line)
        return True

    def show(self, state: PhaseState) -> None:
        """Show how far the phase at work is."""
        self._state, self._at = state, time.monotonic()
        if self.quiet or self._live is not None or self._at - self._shown < _PLAIN_SECONDS:
            return
        self._shown = self._at
        print(f"{self.heading(self._title)}: {state.title()} · {state.words()}", file=self.stream, flush=True)

    def _render(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        table.add_column(width=_BAR, no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        grid = Table.grid()
        grid.add_column(no_wrap=True, overflow="ellipsis")
        state = self._state
        if state is not None:
            grid.add_row(Text.assemble((self._place(), "bold"), f"{self._title}: {state.title()}"))
            waited = time.monotonic() - self._at  # what was said of time goes on while nothing is heard
            left = None if state.left is None or waited > state.left else state.left - waited
            now = replace(state, elapsed=state.elapsed + waited, left=left)
            table.add_row(_bar(state.share), now.words())
        elif self._title:
            grid.add_row(Text.assemble((self._place(), "bold"), self._title))
        if self.pace is not None and self.pace.number:
            share = self._stage_share()
            words = f"{self.pace.share(share):.0%} of the run · {time_words(self.pace.elapsed, self.pace.seconds_left(share))}"
            table.add_row(_bar(self.pace.share(share)), words)
        grid.add_row(table)
        return grid

    def _place(self) -> str:
        return "" if self.pace is None else f"stage {self.pace.number} of {len(self.pace.expected)}  "

    def _stage_share(self) -> float:
        state = self._state
        return 0.0 if state is None else (state.number - 1 + state.share) / state.phases


def _bar(share: float) -> Any:
    from rich.progress_bar import ProgressBar

    return ProgressBar(total=1.0, completed=share, width=_BAR, pulse=not share)
