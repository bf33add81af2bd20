"""Worker processes of the local executor, which do not run the main module again. Imports little: each worker does."""

from __future__ import annotations

import pickle
import pickletools
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import current_process
from pathlib import Path
from typing import Any

from corpus.errors import UsageError
from corpus.system import die_with_parent

_hiding = threading.Lock()


class Worker(SpawnProcess):
    """A spawned process that imports the main module of its parent only `with_main`. It does not hear Ctrl-C before
    `start_worker` has told it to leave that to its parent."""

    with_main = True

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with nullcontext() if process_obj.with_main else _main_hidden():
                return SpawnProcess._Popen(process_obj)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class WorkerContext(SpawnContext):
    """Starts workers as direct children, so that they can follow their parent's death, and keeps a list of them."""

    def __init__(self, with_main: bool) -> None:
        super().__init__()
        self.with_main = with_main
        self.started: list[Worker] = []

    def Process(self, *args: Any, **kwargs: Any) -> Worker:  # type: ignore[override]  # a class there
        """A process that is not started yet."""
        process = Worker(*args, **kwargs)
        process.with_main = self.with_main
        self.started.append(process)
        return process


@contextmanager
def _main_hidden() -> Iterator[None]:
    """While a process is launched, hide where the main module lies. Workers would run it again: what was read from
    standard input is gone, and a script without `if __name__ == "__main__"` would start itself over."""
    main = sys.modules["__main__"]
    with _hiding:
        names = main.__dict__
        kept: dict[str, Any] = {name: names[name] for name in ("__spec__", "__file__") if name in names}
        try:
            names.pop("__file__", None)
            names["__spec__"] = None
            yield
        finally:
            names.pop("__spec__", None)
            names.update(kept)


def needs_main(step: Any, what: str) -> bool:
    """Whether workers must import the main module to read `step`, since something of it is defined there; a UsageError
    about `what` where they cannot."""
    words = (str(argument) for _, argument, _ in pickletools.genops(pickle.dumps(step)))
    if not any(word.partition(" ")[0] == "__main__" for word in words):
        return False
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if getattr(main, "__spec__", None) is None and not (path and Path(path).is_file()):
        raise UsageError(
            f"{what} is defined on standard input or in a notebook, where worker processes cannot find it: put it into"
            " a file of its own and import it, or use one worker."
        )
    return True


def check_not_imported_by_worker(what: str) -> None:
    """A UsageError in a worker that imports the main module for the sake of what is defined there, and so runs it."""
    if getattr(current_process(), "_inheriting", False):
        raise UsageError(
            f"{what} is run by a script whose own definitions it uses, and which worker processes import: put what runs"
            " it under if __name__ == '__main__'."
        )


def start_worker(parent: int) -> None:
    """Prepare a worker process: die with the parent, leave Ctrl-C to it, one thread per library."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    die_with_parent(parent)
    import pyarrow as pa

    pa.set_cpu_count(1)
