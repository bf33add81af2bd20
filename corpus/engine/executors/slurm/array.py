"""An array of jobs and the tasks of a phase that it does, in a folder next to the tasks' results.

Each element takes task after task, so that all end at about the same time and each starts one interpreter. `array.json`
has the tasks; of an element the marks `N.begun` and `N.ended` are left, of a task `claim-T`, in which is the element that took
it, and `error-T` if it failed. Marks are hints like all that an executor says: what is done is told by the results, and where
two elements take the same task the first result stays.
"""

from __future__ import annotations

import json
import os
import pickle
import shlex
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.data.files import write_atomic
from corpus.engine.result import task_directory
from corpus.engine.visible import look_again

_PREFIX = ".slurm-"
_TAIL_BYTES = 4096


@dataclass(frozen=True)
class ArrayJob:
    """An array of `elements` jobs that was submitted as `job`, on behalf of `chain`, to do the tasks `ranks`."""

    folder: Path
    job: str
    chain: str
    elements: int
    ranks: frozenset[int]

    def marks(self) -> frozenset[str]:
        """What its elements have left."""
        return frozenset(os.listdir(self.folder))

    def claims(self, marks: Collection[str]) -> dict[int, int]:
        """Of the tasks that were taken the element; -1 where that is not written yet."""
        found = {}
        for rank in self.ranks:
            if claim_mark(rank) in marks:
                text = (self.folder / claim_mark(rank)).read_text(encoding="ascii")
                found[rank] = int(text) if text else -1
        return found

    def attempted(self) -> frozenset[int]:
        """The tasks that were begun; all if none was."""
        marks = self.marks()
        return frozenset(rank for rank in self.ranks if claim_mark(rank) in marks) or self.ranks

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


def begun_mark(element: int) -> str:
    """The file that an element makes before all else."""
    return f"{element}.begun"


def ended_mark(element: int) -> str:
    """The file that an element makes when all of its tasks have ended, well or not."""
    return f"{element}.ended"


def claim_mark(rank: int) -> str:
    """The file that an element makes to take a task."""
    return f"claim-{rank}"


def error_mark(rank: int) -> str:
    """The file with the error of a task."""
    return f"error-{rank}"


def claim(folder: Path, element: int, rank: int) -> bool:
    """Take a task, unless another element has it."""
    try:
        descriptor = os.open(folder / claim_mark(rank), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(str(element))
    return True


def claimed(folder: Path, element: int, elements: int, ranks: Sequence[int]) -> Iterator[int]:
    """Take one task after another: first the share of this element, which no other wants as long as it has its own, then
    what others have left, from the end."""
    for rank in ranks[element::elements]:
        if claim(folder, element, rank):
            yield rank
    while True:
        marks = frozenset(os.listdir(folder))
        left = [rank for rank in ranks if claim_mark(rank) not in marks]
        if not left:
            return
        if claim(folder, element, left[-1]):
            yield left[-1]


def waits_in_vain(folder: Path, elements: int, ranks: Collection[int]) -> bool:
    """Whether elements have not begun though no task is left: each has a result or an error."""
    look_again(folder.parent)
    marks = frozenset(os.listdir(folder))
    if all(begun_mark(number) in marks for number in range(elements)):
        return False
    work, phase = folder.parents[1], folder.parent.name
    published = frozenset(os.listdir(folder.parent))
    return all(error_mark(rank) in marks or task_directory(work, phase, rank).name in published for rank in ranks)


def prepare(folder: Path, name: str, chain: str, step: bytes, ranks: Sequence[int], elements: int) -> Path:
    """Write all that the elements of a new array need; the folder, in which `job.sh` is to be submitted. `step` is the
    pickled `Place` of the submitting process and `TaskStep`."""
    place = folder / f"{_PREFIX}{name}"
    place.mkdir()
    (place / "step.pickle").write_bytes(step)
    about = {"chain": chain, "elements": elements, "ranks": list(ranks), "path": sys.path}
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
    """The arrays that were submitted for the phase in `folder`, in the order in which they were. One of which the id is not
    known was lost by the process that submitted it."""
    found = (_read(place) for place in folder.glob(f"{_PREFIX}*"))
    return sorted((array for array in found if array is not None), key=lambda array: (len(array.job), array.job))


def _read(place: Path) -> ArrayJob | None:
    try:
        job = (place / "job").read_text(encoding="ascii").strip()
        about = json.loads((place / "array.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return ArrayJob(place, job, about["chain"], about["elements"], frozenset(about["ranks"]))
