"""SentencePiece's trainer in a process of its own, which says what it is at and can be stopped at any moment.

In this process it would hold the interpreter until it ends: Ctrl-C would not be heard for minutes, and its log could not
be read. What is run there is this module; `train` starts it.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any

from corpus.system import die_with_parent, peak_bytes

Doing = Callable[[str, float], None]
"""Hears which part of its work the trainer is at, and which share of that part is done (0 where that is unknown)."""
_FIRST = "reading the sample"


@dataclass(frozen=True)
class Trained:
    """What the process came to: the bytes of the model or what SentencePiece says is wrong; its processor time in seconds
    and most memory in bytes."""

    model: bytes
    problem: str
    cpu_seconds: float
    memory: int


class TrainerDiedError(Exception):
    """The process ended before it was done; with its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def train(texts: Iterable[str], arguments: Mapping[str, Any], doing: Doing) -> Trained:
    """Train on `texts` with SentencePiece's own `arguments`. The process ends with this one, and whatever stops this
    call, such as Ctrl-C, stops it."""
    doing(_FIRST, 0.0)
    process = subprocess.Popen(
        # -P: what lies in the working directory is no module of ours
        [sys.executable, "-P", "-m", "tokenizer.training", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    listener = threading.Thread(target=_listen, args=(process.stderr, _Log(arguments, doing)), daemon=True)
    listener.start()
    try:
        _send(process.stdin, arguments, texts)
        answer = process.stdout.read()
        code = process.wait()
    finally:
        process.kill()
        process.wait()
        listener.join()
        for pipe in (process.stdout, process.stderr):
            pipe.close()
    head, newline, model = answer.partition(b"\n")
    if code or not newline:
        raise TrainerDiedError(code)
    said = json.loads(head)
    return Trained(model, said["problem"], said["cpu_seconds"], said["memory"])


def _send(pipe: IO[bytes], arguments: Mapping[str, Any], texts: Iterable[str]) -> None:
    """Arguments and texts, a line of JSON each. A process that has died reads nothing: its exit code tells more."""
    try:
        with pipe:
            for value in chain([arguments], texts):
                pipe.write(json.dumps(value).encode() + b"\n")
    except BrokenPipeError:
        pass


class _Log:
    """Follows the lines that SentencePiece writes while it trains."""

    def __init__(self, arguments: Mapping[str, Any], doing: Doing) -> None:
        self.doing = doing
        self.wanted = max(int(arguments["vocab_size"]), 1)
        self._largest = 0

    def line(self, line: str) -> None:
        """Take up one line; most say nothing of interest."""
        if "Loaded all" in line:
            self.doing("counting characters", 0.0)
        elif "Tokenizing input sentences" in line:
            self.doing("splitting into words", 0.0)
        elif "] Using explicit seed" in line or "Making suffix array" in line:
            self.doing("collecting candidate pieces", 0.0)
        elif found := re.search(r"(?:Merged|Added): freq=\d+ (?:merges|size)=(\d+)", line):
            self.doing("merging pieces", min(int(found[1]) / self.wanted, 1.0))
        elif found := re.search(r"EM sub_iter=\d+ size=(\d+)", line):
            self._pruned(int(found[1]))

    def _pruned(self, size: int) -> None:
        """A unigram model drops a part of its pieces at a time, until about as many are left as are wanted."""
        self._largest = max(self._largest, size)
        whole = math.log(self._largest / self.wanted) if self._largest > self.wanted else 1.0
        done = math.log(self._largest / max(size, 1))
        self.doing("dropping pieces", min(max(done / whole, 0.0), 1.0))


def _listen(pipe: IO[bytes], log: _Log) -> None:
    for line in pipe:
        log.line(line.decode("utf-8", "replace"))


def _main() -> None:
    """The process: arguments and texts from standard input; a line about what came of it and the model to standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends this process
    die_with_parent(int(sys.argv[1]))
    import sentencepiece

    arguments = json.loads(sys.stdin.buffer.readline())
    texts = (json.loads(line) for line in sys.stdin.buffer)
    out, problem = io.BytesIO(), ""
    try:
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=texts, model_writer=out, **arguments)
    except RuntimeError as error:
        problem = str(error)
    said = {"problem": problem, "cpu_seconds": time.process_time(), "memory": peak_bytes()}
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n" + out.getvalue())


if __name__ == "__main__":
    _main()
