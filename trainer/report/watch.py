"""`trainer report --watch`: the page is written again while the run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from corpus.page.page import write_page
from corpus.page.parts import Page
from trainer.report.trained import TrainedRun


def watch(
    path: Path,
    output: Path,
    seconds: int,
    page: Callable[[TrainedRun, int], Page],
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write the page whenever the run has moved, until its last step is done, evaluated and saved, or Ctrl-C is pressed:
    then once more, without its being read again. `page` makes it of the run and the seconds after which browsers read it again."""
    seen = -1
    try:
        while True:
            run = TrainedRun(path)
            if run.finished and run.saved:
                break
            if len(run.records) != seen:
                seen = len(run.records)
                write_page(page(run, seconds), output)
                say(f"step {run.step:,} of {run.steps:,}: {output}")
            sleep(seconds)
    except KeyboardInterrupt:
        pass
    run = TrainedRun(path)
    write_page(page(run, 0), output)
    say(f"step {run.step:,} of {run.steps:,}: {output}, written for the last time")
