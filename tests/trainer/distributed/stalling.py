"""The trainer whose rank 1 takes long over its rows of step 4: `python -m tests.trainer.distributed.stalling`."""

from __future__ import annotations

import os
import time
from typing import Any

from trainer.cli import main
from trainer.data import targets

_SECONDS = 4.0
genuine = targets.read_inputs
calls = 0


def slow(*arguments: Any, **options: Any) -> targets.Inputs:
    global calls
    calls += 1
    # two micro-batches a step
    if os.environ["RANK"] == "1" and calls == 8:
        time.sleep(_SECONDS)
    return genuine(*arguments, **options)


if __name__ == "__main__":
    targets.read_inputs = slow
    main(prog_name="trainer")
