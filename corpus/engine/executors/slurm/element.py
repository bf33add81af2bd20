"""An element of an array of jobs: `python element.py FOLDER` does one task after another. It is run as a file, and
finds the modules where the process that submitted it found them."""

from __future__ import annotations

import json
import os
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any


def main() -> int:
    """Do tasks of the array as long as there are any; 1 if one of them failed. Whoever sees the last of them end takes the
    elements that still wait out of the queue, for which a phase would wait otherwise."""
    folder, element = Path(sys.argv[1]), int(os.environ["SLURM_ARRAY_TASK_ID"])
    about = json.loads((folder / "array.json").read_text(encoding="utf-8"))
    sys.path[:] = about["path"]
    from corpus.engine.executors.slurm.array import begun_mark, claimed, ended_mark, error_mark, waits_in_vain
    from corpus.engine.executors.slurm.programs import cancel_waiting
    from corpus.engine.result import RESULT, task_directory

    (folder / begun_mark(element)).touch()
    failed = 0
    step: Any = None
    for rank in claimed(folder, element, about["elements"], about["ranks"]):
        try:
            if step is None:
                place, sent = pickle.loads((folder / "step.pickle").read_bytes())
                place.enter(sent.work)
                step = sent
            if not (task_directory(Path(step.work), step.phase, rank) / RESULT).exists():
                step(None, rank)
        except Exception as error:
            failed += 1
            traceback.print_exc()
            _leave(folder / error_mark(rank), error)
    (folder / ended_mark(element)).touch()
    if waits_in_vain(folder, about["elements"], about["ranks"]):
        cancel_waiting(os.environ["SLURM_ARRAY_JOB_ID"])
    return 1 if failed else 0


def _leave(path: Path, error: Exception) -> None:
    """Leave an error for the process that waits; it sees all of it or nothing."""
    try:
        data = pickle.dumps(error)
        pickle.loads(data)
    except Exception:  # what an error holds may raise anything when it is pickled: it is left in words, then
        data = pickle.dumps(RuntimeError("".join(traceback.format_exception(error))))
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.rename(path)


if __name__ == "__main__":
    sys.exit(main())
