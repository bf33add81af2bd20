"""train-tokenizer and tokenize as commands: the same bytes for any workers and after kills at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.datasets import write_documents
from tests.tokenizer.conftest import synthetic_texts
from tests.tokenizer.test_stages import contents

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def corpus(*arguments: str | Path) -> list[str]:
    code = "import corpus.engine.runner as r; r.IN_PROCESS_BYTES = 1\nfrom corpus.cli import main; main()"
    return [sys.executable, "-c", code, *map(str, arguments), "--quiet"]


def train(output: Path, documents: Path, workers: int) -> list[str]:
    sizes = ("--vocab-size", "900", "--sample-bytes", "300000")
    return corpus("train-tokenizer", documents, "-o", output, *sizes, "--workers", str(workers))


def tokenize(output: Path, documents: Path, model: Path, workers: int) -> list[str]:
    return corpus("tokenize", documents, "-o", output, "--tokenizer", model, "--workers", str(workers))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents in 40 shards, and what one worker makes of them."""
    place = tmp_path_factory.mktemp("kill")
    write_documents(place / "docs", synthetic_texts(8, number=1200), shard_rows=30)
    subprocess.run(train(place / "tok", place / "docs", 1), check=True)
    subprocess.run(tokenize(place / "tokens", place / "docs", place / "tok", 1), check=True)
    return place


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_do_not_change_a_byte(place: Path, tmp_path: Path, workers: int) -> None:
    subprocess.run(train(tmp_path / "tok", place / "docs", workers), check=True)
    subprocess.run(tokenize(tmp_path / "tokens", place / "docs", place / "tok", workers), check=True)
    assert contents(tmp_path / "tok") == contents(place / "tok")
    assert contents(tmp_path / "tokens") == contents(place / "tokens")


@pytest.mark.parametrize("stage", ["tok", "tokens"])
def test_kills_lose_nothing(place: Path, tmp_path: Path, stage: str) -> None:
    output = tmp_path / stage
    if stage == "tok":
        command = train(output, place / "docs", 2)
    else:
        command = tokenize(output, place / "docs", place / "tok", 2)
    killed = 0
    for delay in (0.0, 0.05, 0.2, 0.4, 0.8, 1.2, 1.8, 2.5):
        if (output / "manifest.json").exists():
            break
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (output / "_work").exists():
            time.sleep(0.002)
        time.sleep(delay)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    subprocess.run(command, check=True)
    assert killed >= 1
    assert contents(output) == contents(place / stage)
