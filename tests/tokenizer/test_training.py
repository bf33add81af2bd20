"""SentencePiece's trainer in its own process: it tells its parts, can be stopped, and its death is said in a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest

from corpus.errors import LostError
from tests.tokenizer.conftest import synthetic_texts
from tokenizer import training
from tokenizer.train import TrainTokenizerConfig, _trainer_arguments, train_model

TEXTS = synthetic_texts(1, number=60)


def arguments(kind: str, vocab_size: int = 400) -> dict[str, object]:
    """SentencePiece's arguments for a small model."""
    return _trainer_arguments(TrainTokenizerConfig(vocab_size=vocab_size, model_type=kind).resolved())


def children() -> list[int]:
    """The training processes of this one."""
    found = psutil.Process().children()
    return [child.pid for child in found if "tokenizer.training" in " ".join(child.cmdline())]


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("bpe", ["reading the sample", "counting characters", "splitting into words"]),
        ("unigram", ["reading the sample", "counting characters", "collecting candidate pieces", "dropping pieces"]),
    ],
)
def test_it_says_what_it_is_at(kind: str, parts: list[str]) -> None:
    said: list[tuple[str, float]] = []
    trained = training.train(iter(TEXTS), arguments(kind), lambda part, share: said.append((part, share)))
    assert trained.model and not trained.problem and trained.cpu_seconds > 0 and trained.memory > 1_000_000
    names = list(dict.fromkeys(part for part, _ in said))
    assert [name for name in names if name in parts] == parts
    assert all(0 <= share <= 1 for _, share in said)


def test_the_log_of_merges_is_a_share_of_the_vocabulary() -> None:
    said: list[tuple[str, float]] = []
    log = training._Log({"vocab_size": 4000}, lambda part, share: said.append((part, share)))
    for line in ("x.cc:421] Merged: freq=62 merges=1400 piece=uns", "y] Added: freq=3 size=3000 all=1 active=1", "z"):
        log.line(line)
    for size in (8000, 6000, 4400):
        log.line(f"EM sub_iter=1 size={size} obj=9.1 num_tokens=3")
    assert [part for part, _ in said] == ["merging pieces"] * 2 + ["dropping pieces"] * 3
    shares = [share for _, share in said]
    assert shares[:3] == [0.35, 0.75, 0.0] and shares[2] < shares[3] < shares[4] < 1


def test_ctrl_c_stops_it_while_it_reads() -> None:
    def stop(part: str, share: float) -> None:
        if part == "reading the sample":
            threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()

    def endless() -> Iterator[str]:
        while True:
            yield from TEXTS

    with pytest.raises(KeyboardInterrupt):
        training.train(endless(), arguments("bpe"), stop)
    assert children() == []


def test_ctrl_c_stops_it_while_it_trains() -> None:
    def stop(part: str, share: float) -> None:
        if part == "collecting candidate pieces":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        training.train(iter(TEXTS * 40), arguments("unigram", 8000), stop)
    assert children() == []


def test_a_killed_trainer_is_no_model() -> None:
    def kill(part: str, share: float) -> None:
        for child in children() if part == "counting characters" else ():
            os.kill(child, signal.SIGKILL)

    with pytest.raises(training.TrainerDiedError) as died:
        training.train(iter(TEXTS), arguments("unigram"), kill)
    assert died.value.code == -signal.SIGKILL


def test_its_death_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object) -> training.Trained:
        raise training.TrainerDiedError(-signal.SIGKILL)

    monkeypatch.setattr("tokenizer.train.train", dies)
    with pytest.raises(LostError, match=r"was killed by signal 9.*smaller --sample-bytes"):
        train_model(iter(TEXTS), TrainTokenizerConfig(vocab_size=400).resolved())


@pytest.mark.slow
def test_it_ends_with_the_process_that_started_it() -> None:
    """A killed parent leaves nobody who trains."""
    code = (
        "import os, signal\nfrom tests.tokenizer.test_training import TEXTS, arguments, children\n"
        "from tokenizer import training\n"
        "def stop(part, share):\n"
        "    if part == 'counting characters':\n"
        "        print(*children(), flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "training.train(iter(TEXTS * 40), arguments('unigram', 8000), stop)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    child = int(done.stdout.split()[0])
    try:
        psutil.Process(child).wait(timeout=20)
    except psutil.NoSuchProcess:
        pass
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
