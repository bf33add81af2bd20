"""`python -m tests.corpus.engine.killed POINT:COUNT,POINT:COUNT… ARGUMENTS…` runs `corpus ARGUMENTS…` over and over, each
time in a process that is killed when it, or a worker of it, passes a point for the count-th time (the points take turns),
until one comes through. Prints at which points it was killed. The processes are forks of one that has imported
everything, so that they start at once."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path

MODULES = (
    "pipelines.recipes.run", "pipelines.readers.jsonl", "tokenizer.train", "tokenizer.tokenize", "corpus.commands.run",
    "corpus.dedup.documents", "corpus.dedup.lines.stage", "corpus.heldout.overlap", "corpus.quality.filter",
    "corpus.quality.langid", "corpus.mixture.pack.distribute", "corpus.mixture.pack.sequences", "tokenizer.encode",
)  # fmt: skip
MOST = 300


def main() -> None:
    settings, *arguments = sys.argv[1:]
    turns = settings.split(",")
    # NumPy and Arrow start threads when they are imported
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
    for module in MODULES:
        importlib.import_module(module)
    threads = Path("/proc/self/task")
    assert not threads.exists() or len(list(threads.iterdir())) == 1, "a process with threads must not be forked"
    killed: list[str] = []
    while (code := _once(turns[len(killed) % len(turns)], arguments)) != 0:
        assert code in (-signal.SIGKILL, 1), code
        killed.append(turns[len(killed) % len(turns)].partition(":")[0])
        if len(killed) == MOST:
            sys.exit(f"{MOST} processes were killed and none came through")
    print(*killed)


def _once(setting: str, arguments: list[str]) -> int:
    """The exit code of one run: 1 where a worker was killed and the run said so."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    from corpus.cli import main as corpus
    from corpus.engine import faults, runner

    os.environ[faults.VARIABLE] = setting
    runner.IN_PROCESS_BYTES = 0
    sys.argv = ["corpus", *arguments]
    code = 2
    try:
        corpus()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 2
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
