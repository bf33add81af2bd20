"""An array of jobs and the tasks of a phase that it does, in a folder next to the tasks' results.

`array.json` says which tasks each element does; each leaves the marks `N.begun` and `N.ended`, and `task-N.error` for a
task that failed. Marks are hints like all that an executor says: what is done is told by the published results.
"""

from __future__ import annotations

import json
import pickle
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.data.files import write_atomic

_PREFIX = ".slurm-"
_TAIL_BYTES = 4096


@dataclass(frozen=True)
class ArrayJob:
    """An array that was submitted as `job`, on behalf of `chain`; element n does the tasks `elements[n]` in order."""

    folder: Path
    job: str
    chain: str
    elements: tuple[tuple[int, ...], ...]

    @property
    def ranks(self) -> frozenset[int]:
        """All of its tasks."""
        return frozenset(rank for ranks in self.elements for rank in ranks)

    def log(self, element: int) -> Path:
        """What an element has printed."""
        return self.folder / f"{element}.log"

    def log_end(self, element: int) -> str:
        """The last of it."""
        try:
            with self.log(element).open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
                return file.read().decode("utf-8", "replace").strip()
        except OSError:
            return ""

    def error(self, rank: int) -> BaseException:
        """The error with which a task ended."""
        error = pickle.loads((self.folder / error_mark(rank)).read_bytes())
        assert isinstance(error, BaseException)
        return error


def grouped(ranks: Sequence[int], most: int) -> tuple[tuple[int, ...], ...]:
    """Tasks dealt to at most `most` elements, as evenly as can be: neighbours are often alike in their size."""
    elements = min(len(ranks), most)
    return tuple(tuple(ranks[number::elements]) for number in range(elements))


def begun_mark(element: int) -> str:
    """The file that an element makes before all else."""
    return f"{element}.begun"


def ended_mark(element: int) -> str:
    """The file that an element makes when all of its tasks have ended, well or not."""
    return f"{element}.ended"


def error_mark(rank: int) -> str:
    """The file with the error of a task."""
    return f"task-{rank}.error"


def prepare(folder: Path, name: str, chain: str, step: bytes, elements: Sequence[Sequence[int]]) -> Path:
    """Write all that the elements of a new array need; the folder, in which `job.sh` is to be submitted. `step` is the
    pickled `TaskStep`."""
    place = folder / f"{_PREFIX}{name}"
    place.mkdir()
    (place / "step.pickle").write_bytes(step)
    about = {"chain": chain, "elements": [list(ranks) for ranks in elements], "path": sys.path}
    write_atomic(place / "array.json", json.dumps(about) + "\n")
    program = Path(__file__).with_name("element.py")
    write_script(place / "job.sh", [sys.executable, "-P", str(program), str(place.resolve())])
    return place


def write_script(path: Path, command: Sequence[str]) -> None:
    """A batch script that runs a command in the working directory of this process, with its environment."""
    here = shlex.quote(str(Path.cwd()))
    write_atomic(path, f"#!/bin/bash\ncd {here} || exit 1\nexec {shlex.join(command)}\n")


def note_submitted(place: Path, job: str) -> ArrayJob:
    """Note under which id an array was submitted."""
    write_atomic(place / "job", job + "\n")
    found = _read(place)
    assert found is not None
    return found


def submitted(folder: Path) -> list[ArrayJob]:
    """The arrays that were submitted for the phase in `folder`, in no order; one of which the id is not known was lost
    by the process that submitted it."""
    found = (_read(place) for place in folder.glob(f"{_PREFIX}*"))
    return [array for array in found if array is not None]


def _read(place: Path) -> ArrayJob | None:
    try:
        job = (place / "job").read_text(encoding="ascii").strip()
        about = json.loads((place / "array.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return ArrayJob(place, job, about["chain"], tuple(map(tuple, about["elements"])))
