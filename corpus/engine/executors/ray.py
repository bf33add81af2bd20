"""The Ray executor: each task is a task of Ray's, in a worker process that does one at a time.

datatrove's own runs the ranks of a job in a pool inside of an actor, which waits for ever for one that is killed, and a rank
that fails fails nothing. Ray itself tells of a dead worker, a dead node and a lack of memory, task by task.
"""

from __future__ import annotations

import importlib
import os
import re
import socket
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from corpus.engine.executors.base import Executor, Report, Settings, Tick
from corpus.engine.executors.local import LocalExecutor
from corpus.engine.executors.place import Place
from corpus.engine.executors.step import TaskStep
from corpus.errors import DataError, LostError, UsageError
from corpus.option import option
from corpus.quantity import format_quantity

_OBJECT_STORE_BYTES = 200_000_000
"""Shared memory of a Ray that is started here: nothing goes through it but what a task is."""
_POLL_SECONDS = 0.25
_ROOM_SECONDS = 10.0
"""How often it is looked whether any node still has room for a task, while none ends."""
_ANSWER_SECONDS = 10.0
"""How long an address may take to answer."""
_HTTP2_SETTINGS = b"\x04"
"""The type of the frame that a server of HTTP/2 begins with (RFC 9113, 3.4)."""
_HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _HTTP2_SETTINGS + b"\0\0\0\0\0"
"""What a client begins with: its preface and an empty frame of settings."""


@dataclass(frozen=True)
class RayOptions:
    """Where the cluster is."""

    address: str = option(
        "",
        "The cluster, HOST:PORT, ray://HOST:PORT, or auto on one of its nodes. Default: RAY_ADDRESS, else a Ray of this"
        " machine alone, started for the run",
        metavar="ADDRESS",
    )
    autoscaling: bool = option(
        False, "The cluster starts nodes as they are needed: those of now need not have room for a task"
    )


@dataclass
class _Submission:
    """Tasks sent on their way, and what came of them."""

    remote: Any
    """The remote function, with what is reserved for each of its tasks."""
    step: Any
    """The reference to the step, which is sent once."""
    memory: int
    waiting: deque[int]
    refs: dict[Any, int] = field(default_factory=dict)
    failed: dict[int, BaseException] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    lost: dict[int, str] = field(default_factory=dict)


class RayExecutor(Executor):
    """Runs tasks on a Ray cluster, as many at a time as there are workers; small stages in the calling process."""

    options = RayOptions
    shared = frozenset({"address"})

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._ray = _load_ray()
        self._here = LocalExecutor(Settings(in_process_bytes=settings.in_process_bytes))
        self._submissions: dict[str, _Submission] = {}
        self._place = Place.of_this()
        self._next_look = 0.0
        self._connected = _connect(self._ray, settings.options.address)

    def submit(self, step: TaskStep, ranks: Sequence[int]) -> str:
        """Hand the tasks to Ray, no more than `workers` at a time. A UsageError where no node has room for one."""
        settings = self.settings
        if not settings.always_pool and step.stage.input_bytes() < settings.in_process_bytes:
            return self._here.submit(step, ranks)
        memory = settings.reserved(step.memory)
        if missing := self._missing_room(memory):
            raise UsageError(missing)
        remote = self._ray.remote(run_task).options(
            num_cpus=settings.cpus_per_task,
            memory=memory,
            max_retries=0,
            scheduling_strategy="SPREAD",
            name=f"{step.stage.name}:{step.phase}",
        )
        handle = f"ray-{uuid.uuid4().hex[:12]}"
        self._submissions[handle] = _Submission(remote, self._ray.put(step), memory, deque(ranks))
        self._fill()
        return handle

    def poll(self, handle: str, tick: Tick) -> Report:
        """What Ray says. A LostError where no node is left that has room for what waits."""
        submission = self._submissions.get(handle)
        if submission is None:
            return self._here.poll(handle, tick)
        self._listen(submission)
        self._fill()
        running = frozenset(submission.waiting) | frozenset(submission.refs.values())
        return Report(running, dict(submission.failed), frozenset(submission.ended), dict(submission.lost))

    def cancel(self, handle: str) -> None:
        """Forget the tasks, and have Ray kill the workers that are at one of them."""
        submission = self._submissions.pop(handle, None)
        if submission is None:
            self._here.cancel(handle)
            return
        for ref in submission.refs:
            self._ray.cancel(ref, force=True)

    def close(self) -> None:
        """Cancel everything, and leave the cluster."""
        for handle in list(self._submissions):
            self.cancel(handle)
        self._here.close()
        if self._connected:
            self._ray.shutdown()

    def _fill(self) -> None:
        room = self.settings.workers - sum(len(submission.refs) for submission in self._submissions.values())
        for submission in self._submissions.values():
            while room > 0 and submission.waiting:
                rank = submission.waiting.popleft()
                submission.refs[submission.remote.remote(submission.step, rank, self._place)] = rank
                room -= 1

    def _listen(self, submission: _Submission) -> None:
        """Wait a moment for tasks to end."""
        refs = list(submission.refs)
        if not refs:
            time.sleep(_POLL_SECONDS if submission.waiting else 0)
            return
        ready, _ = self._ray.wait(refs, timeout=_POLL_SECONDS)
        if ready:
            ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0)
            self._next_look = time.monotonic() + _ROOM_SECONDS
        elif time.monotonic() > self._next_look:
            self._next_look = time.monotonic() + _ROOM_SECONDS
            if missing := self._missing_room(submission.memory):
                raise LostError(f"{missing} What is done stays: run the same command again to go on.")
        for ref in ready:
            self._settle(submission, submission.refs.pop(ref), ref)

    def _settle(self, submission: _Submission, rank: int, ref: Any) -> None:
        """Note how a task ended."""
        errors = self._ray.exceptions
        try:
            self._ray.get(ref)
            submission.ended.add(rank)
        except errors.RayTaskError as error:
            submission.failed[rank] = _cause(error)
        except errors.OutOfMemoryError:
            submission.lost[rank] = (
                "was ended by Ray since its node ran out of memory: reserve more with --memory-per-task"
                f" ({format_quantity(submission.memory, 'bytes')} was), or give less --memory"
            )
        except errors.RayError as error:
            what = " ".join(str(error).split()).partition(". ")[0] or type(error).__name__
            submission.lost[rank] = f"lost its worker or its node ({what}): see Ray's own log on its nodes"

    def _missing_room(self, memory: int) -> str:
        """What is wrong where no node that is up has room for one task, which would wait for ever; empty if one has."""
        if self.settings.options.autoscaling:
            return ""
        cpus = self.settings.cpus_per_task
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(node.get("CPU", 0) >= cpus and node.get("memory", 0) >= memory for node in nodes):
            return ""
        largest: dict[str, float] = max(nodes, key=lambda node: (node.get("CPU", 0), node.get("memory", 0)), default={})
        return (
            f"a task asks for {cpus} core{'s' if cpus > 1 else ''} and {memory / 1e9:.1f} GB, and none of the {len(nodes)} nodes of the Ray cluster has"
            f" them (the largest: {largest.get('CPU', 0):.0f} cores, {largest.get('memory', 0) / 1e9:.1f} GB): give less"
            " --cpus-per-task, --memory-per-task or --memory, or more --workers to divide it."
        )


def run_task(step: TaskStep, rank: int, place: Place) -> None:
    """Do task `rank`, on a worker of the cluster."""
    place.enter(step.work)
    step(None, rank)


def _load_ray() -> ModuleType:
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise UsageError("--executor ray needs Ray: pip install 'corpusmill[ray]', here and on each node.") from None


def _connect(ray: ModuleType, address: str) -> bool:
    """Connect to a cluster, or start one of this machine; whether it was done here, and not by the caller before."""
    if ray.is_initialized():
        return False
    address = address or os.environ.get("RAY_ADDRESS", "")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"logging_level": "critical", "log_to_driver": False}
    if not address:
        ray.init("local", include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES, **quiet)
        return True
    if address != "auto":
        _check_answers(address)
    try:
        ray.init(address, **quiet)
    except (ConnectionError, ray.exceptions.RayError) as error:
        what = " ".join(str(error).split()).partition(". ")[0]
        raise DataError(
            f"the Ray cluster at {address} takes no connection ({what}): see ray status there, give another"
            " --ray-address, or have RAY_AUTH_MODE and the token here as there (docs/cluster.md)."
        ) from None
    except RuntimeError as error:
        versions = re.findall(r"^\s*(Ray|Python): (\S+)", str(error), re.MULTILINE)
        if len(versions) != 4:
            raise
        there, here = (f"Ray {ray} with Python {python}" for (_, ray), (_, python) in (versions[:2], versions[2:]))
        raise UsageError(
            f"the Ray cluster at {address} has {there}, and here is {here}: install the same versions on both sides."
        ) from None
    return True


def _check_answers(address: str) -> None:
    """A DataError where no gRPC server is at an address, as both of Ray's are: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(
            f"--ray-address {address} is no HOST:PORT: give one such as 10.0.0.1:6379, or ray://10.0.0.1:10001."
        )
    try:
        with socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return
            connection.sendall(_HTTP2_HELLO)
            answer = connection.recv(9)
    except (OSError, OverflowError) as error:
        raise DataError(
            f"nobody answers at {address} ({error}): start the cluster there (ray start --head), or give its"
            " --ray-address."
        ) from None
    if answer[3:4] != _HTTP2_SETTINGS:
        raise DataError(f"what answers at {address} is no Ray cluster: give the address that ray start --head printed.")


def _cause(error: Any) -> BaseException:
    """The error of a task, as its worker raised it."""
    cause: BaseException = error.cause if isinstance(getattr(error, "cause", None), BaseException) else error
    if isinstance(cause, ImportError):
        return UsageError(
            f"a node of the Ray cluster cannot import what a task needs ({cause}): install the same there."
        )
    return cause
