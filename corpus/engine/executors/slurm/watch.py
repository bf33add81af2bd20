"""What became of an array of jobs, as far as its marks and Slurm tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corpus.engine.executors.slurm.array import ArrayJob, begun_mark, ended_mark, error_mark
from corpus.engine.executors.slurm.deaths import Death
from corpus.engine.executors.slurm.queue import Queue
from corpus.engine.executors.step import TaskStep
from corpus.engine.result import RESULT, task_directory
from corpus.errors import LostError


@dataclass
class Sight:
    """The tasks of an array: those that wait or run, have ended well, have failed, were lost in which way, and those that
    jobs which did others have left, so that they are to be sent again."""

    running: set[int] = field(default_factory=set)
    ended: set[int] = field(default_factory=set)
    failed: dict[int, BaseException] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)
    left: set[int] = field(default_factory=set)


def look(one: ArrayJob, step: TaskStep, queue: Queue, limit: str) -> Sight:
    """Look at an array whose jobs have the time `limit`."""
    marks = one.marks()
    broken = {rank for rank in one.ranks if error_mark(rank) in marks}
    sight = Sight(failed={rank: one.error(rank) for rank in broken})
    gone = [number for number in range(one.elements) if ended_mark(number) not in marks]
    dead = [number for number in gone if not queue.job(one.job, number).active]
    active = len(dead) < len(gone)
    claims = one.claims(marks) if dead or not active else {}
    lost = _without_result(step, [rank for rank, number in claims.items() if number in dead and rank not in broken])
    if active:
        sight.running = set(one.ranks) - broken - set(lost)
    else:
        sight.ended = set(claims) - broken - set(lost)
    untaken = [] if active else _without_result(step, [rank for rank in one.ranks if rank not in claims])
    begun = any(begun_mark(number) in marks for number in range(one.elements))
    for number in dead:
        own = [rank for rank, element in claims.items() if element == number]
        concerned = [rank for rank in own if rank in lost] or untaken
        if not concerned:
            continue
        what = f"task {concerned[0]} of stage {step.stage.name}, phase {step.phase}"
        job = queue.job(one.job, number)
        progressed = bool(set(own) - set(lost))
        death = Death(what, job, one.log_end(number), one.log(number), limit, begun, progressed)
        if cause := death.cause():
            sight.failed[concerned[0]] = LostError(cause)
        sight.lost |= dict.fromkeys(concerned, death.loss())
    if sight.ended & set(claims):
        sight.left = set(untaken)
    return sight


def _without_result(step: TaskStep, ranks: Sequence[int]) -> list[int]:
    work = Path(step.work)
    return [rank for rank in sorted(ranks) if not (task_directory(work, step.phase, rank) / RESULT).exists()]
