"""How far work is and how long it will take, on a clock of the test's own."""

from __future__ import annotations

import heapq
import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.engine.pace import PhasePace, RunPace
from corpus.engine.progress import PhaseState, Progress


class Clock:
    """Time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def end_times(sizes: Sequence[int], workers: int, rate: float) -> list[tuple[float, float]]:
    """When each task begins and ends, on workers that take the next one as soon as they can."""
    free = [0.0] * workers
    spans = []
    for size in sizes:
        begin = heapq.heappop(free)
        spans.append((begin, begin + size / rate))
        heapq.heappush(free, begin + size / rate)
    return spans


@given(
    st.lists(st.integers(20, 40), min_size=1, max_size=30),
    st.integers(1, 4),
    st.floats(0.1, 0.9),
    st.floats(0.5, 3.0),
    st.booleans(),
)
def test_after_a_tenth_the_time_left_is_within_a_factor_of_two(
    sizes: list[int], workers: int, moment: float, unit: float, known: bool
) -> None:
    """Tasks may count their bytes otherwise than the stage does (by `unit`), and their sizes be unknown."""
    if not known:
        sizes = [30] * len(sizes)
    spans, clock = end_times(sizes, workers, 2.0), Clock()
    whole = max(end for _, end in spans)
    pace = PhasePace(len(sizes), sizes if known else (), clock)
    assert pace.share({}, {}) == 0 and pace.seconds_left(0.0) is None
    clock.now += moment * whole
    now = moment * whole
    ended = {index for index, (_, end) in enumerate(spans) if end <= now}
    done = {index: round(sizes[index] * unit) for index in ended}
    live = {
        index: round((now - begin) * 2.0 * unit)
        for index, (begin, _) in enumerate(spans)
        if begin < now and index not in ended
    }
    seconds = {index: spans[index][1] - spans[index][0] for index in ended}
    share = pace.share(done, live)
    assert 0 <= share <= 1
    left = pace.seconds_left(share, seconds, waiting=len(done) + len(live) < len(sizes))
    if len(done) < 3 and (not known or unit != 1.0):
        return  # nothing has ended that says what a byte is: this is no promise
    if now < 0.1 * whole or len(sizes) < 3 * workers:
        return  # workers that have run out of tasks make the end slower than what came before
    assert left is not None
    assert (whole - now) / 2 - 15 <= left <= 2 * (whole - now) + 15, "one task takes 10 to 20 seconds"


def test_what_an_earlier_run_did_is_no_measure() -> None:
    clock = Clock()
    pace = PhasePace(100, clock=clock)
    assert pace.share(dict.fromkeys(range(50), 10), {}) == 0.5
    assert pace.seconds_left(0.5) is None
    clock.now += 10
    share = pace.share(dict.fromkeys(range(60), 10), {})
    assert share == pytest.approx(0.6)
    assert pace.seconds_left(share) == pytest.approx(40)


def test_a_task_that_says_nothing_is_not_taken_for_done() -> None:
    pace = PhasePace(1, clock=Clock())
    assert pace.share({}, {0: 10_000}) == 0
    sized = PhasePace(2, [100.0, 100.0], Clock())
    assert sized.share({}, {0: 10_000}) == pytest.approx(0.495)


def test_the_pace_of_a_run_is_that_of_the_stages_that_worked() -> None:
    clock = Clock()
    pace = RunPace([10.0, 10.0, 20.0, 10.0], clock)
    pace.begin(1)  # found done
    pace.begin(2)
    pace.work()
    clock.now += 4
    pace.begin(3)
    pace.work()
    clock.now += 4
    assert pace.share(0.5) == pytest.approx(0.6)
    assert pace.seconds_left(0.5) == pytest.approx(8), "20 of 40 took 8 seconds"
    assert RunPace([], clock).share(0.0) == 0


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def state(share: float = 0.25, left: float | None = 30.0) -> PhaseState:
    """A phase in the middle of its work."""
    return PhaseState("hash", 1, 3, 4, 16, share, 10.0, left, documents=1200, rate=34.1e6, kept=0.5)


def shown(stream: io.StringIO, pace: RunPace | None = None) -> str:
    """What a stage of a run leaves on a stream."""
    with Progress(pace=pace, stream=stream) as progress:
        progress.begin("documents/c4/01-dedup", 2)
        progress.work()
        progress.show(state())
    return stream.getvalue()


def test_a_terminal_shows_the_phase_and_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    said = shown(Terminal(), RunPace([1.0] * 51))
    assert "stage 2 of 51" in said and "documents/c4/01-dedup: hash (phase 1 of 3), 4 of 16 tasks" in said
    assert "25% · 10 s, about 30 s left · 1,200 documents · 34.1 MB/s · kept 50%" in said
    assert "2% of the run" in said and "\x1b[38" in said
    monkeypatch.setenv("NO_COLOR", "1")
    plain = shown(Terminal(), RunPace([1.0] * 51))
    assert "stage 2 of 51" in plain and "\x1b[38" not in plain and "\x1b[3" not in plain.replace("\x1b[3A", "")


def test_without_a_terminal_there_are_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(io.StringIO()) == "", "a stage of less than half a minute says nothing"
    monkeypatch.setenv("TERM", "dumb")
    assert shown(Terminal()) == ""
    monkeypatch.setattr("corpus.engine.progress._PLAIN_SECONDS", 0.0)
    said = shown(io.StringIO(), RunPace([1.0] * 51))
    assert said == (
        "[2/51] documents/c4/01-dedup: hash (phase 1 of 3), 4 of 16 tasks · 25% · 10 s, about 30 s left ·"
        " 1,200 documents · 34.1 MB/s · kept 50%\n"
    )
    monkeypatch.delenv("TERM")
    stream = Terminal()
    with Progress(quiet=True, stream=stream) as progress:
        progress.show(state())
    assert stream.getvalue() == ""
