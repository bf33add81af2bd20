"""What only Linux has, hidden: the answers for other systems."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from corpus import system
from corpus.engine import attempts
from corpus.engine.executors.deaths import describe


@pytest.fixture
def portable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system is said to be another one."""
    monkeypatch.setenv(system.PORTABLE, "1")


def test_on_linux_the_kernel_tells() -> None:
    if sys.platform != "linux":
        pytest.skip("this is not Linux")
    assert system.is_linux() and system.cores() == len(os.sched_getaffinity(0))
    assert 0 < system.resident_bytes() <= system.peak_bytes()
    assert system.start_identity() and system.process_start(os.getpid()) and system.total_memory() > 1 << 28


def test_elsewhere_there_are_other_answers(portable: None) -> None:
    assert not system.is_linux()
    assert system.cores() == os.cpu_count()
    assert system.resident_bytes() == 0 and system.peak_bytes() > 1 << 20
    assert (
        system.start_identity() == "" and system.process_start(os.getpid()) == "" and system.out_of_memory_kills() == 0
    )
    assert system.total_memory() > 1 << 28
    system._malloc_trim.cache_clear()
    assert system.give_memory_back() is False
    system._malloc_trim.cache_clear()
    attempts.host.cache_clear()
    assert attempts.host()
    attempts.host.cache_clear()
    assert "signal 9" in describe([-9], system.out_of_memory_kills())


def test_only_one_file_asks_for_the_system() -> None:
    root = Path(__file__).parents[2]
    words = ("/proc/", "prctl", "sched_getaffinity", "malloc_trim", "sys.platform", "PR_SET_PDEATHSIG")
    for package in ("corpus", "corpusmill", "pipelines", "tokenizer", "trainer"):
        for path in (root / package).rglob("*.py"):
            if path != Path(system.__file__):
                text = path.read_text(encoding="utf-8")
                assert not [word for word in words if word in text], path


@pytest.mark.slow
def test_workers_end_with_a_killed_parent_elsewhere_too(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.toy", str(tmp_path / "out"), "0.5", "2"],
        stderr=subprocess.DEVNULL,
        env=os.environ | {system.PORTABLE: "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list((tmp_path / "out").glob("_work/*/square/0*/result.json")):
        time.sleep(0.05)
    children = psutil.Process(process.pid).children()
    assert len(children) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
