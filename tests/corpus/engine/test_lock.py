"""One run at a time: without `flock`, after kills and new starts, between hosts, and whatever the clocks say."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from corpus.engine import lease as leases
from corpus.engine.lease import Lease, Owner
from corpus.engine.lock import locked
from corpus.errors import DataError
from corpus.system import boot_identity

ROOT = Path(__file__).parents[3]
FOREIGN = Owner("f" * 32, "node7.00000000", "node7 abc", "another-boot", 12, "34")


@pytest.fixture(params=[None, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def no_flock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int | None:
    """A file system with `flock`, and some without."""
    code: int | None = request.param
    if code is not None:
        break_flock(monkeypatch, code)
    return code


def break_flock(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(descriptor: int, how: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)


def put(folder: Path, owner: Owner) -> Path:
    """A lease that its owner has left, or keeps, in the output `folder`."""
    path = folder / "_log" / "lease"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(owner)), encoding="utf-8")
    return path


@contextmanager
def alive(folder: Path, owner: Owner) -> Iterator[None]:
    """A host that keeps its lease."""
    end = threading.Event()

    def beat() -> None:
        beats = 0
        while not end.wait(0.02):
            beats += 1
            aside = folder / "beat"
            aside.write_text(json.dumps(asdict(replace(owner, beat=beats))), encoding="utf-8")
            aside.replace(folder / "_log" / "lease")

    put(folder, owner)
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def test_a_second_run_is_refused_and_nothing_is_left(no_flock: int | None, tmp_path: Path) -> None:
    lines: list[str] = []
    for _ in range(2):
        with locked(tmp_path, lines.append):
            second = locked(tmp_path, lines.append, wait=0.2)
            with pytest.raises(DataError, match=f"process {os.getpid()} on .*: wait for it"), second:
                raise AssertionError("two holders")
            assert (tmp_path / "_log" / "lease").exists()
        assert sorted(path.name for path in (tmp_path / "_log").iterdir()) == ["lock"]
    assert len(lines) == 2


def test_an_error_of_the_disk_is_no_missing_lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    break_flock(monkeypatch, errno.EIO)
    with pytest.raises(OSError), locked(tmp_path, print):
        raise AssertionError("not locked")


@pytest.mark.parametrize("what", ["killed", "number given again", "machine started anew"])
def test_a_killed_run_is_begun_again_at_once(no_flock: int | None, tmp_path: Path, what: str) -> None:
    if what == "machine started anew" and not boot_identity():
        pytest.skip("the system does not say when it began")
    ended = subprocess.Popen(["true"])
    ended.wait()
    owner = {
        "killed": replace(Owner.new(), process=ended.pid, started="1"),
        "number given again": replace(Owner.new(), started="1"),
        "machine started anew": replace(Owner.new(), host="me.00000000", boot="before"),
    }[what]
    put(tmp_path, replace(owner, token="0" * 32))
    lines: list[str] = []
    with locked(tmp_path, lines.append, wait=0.0):
        assert json.loads((tmp_path / "_log" / "lease").read_text())["process"] == os.getpid()
    assert lines == []


def test_a_host_that_gives_a_sign_of_life_is_waited_for(
    no_flock: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(leases, "STALE_SECONDS", 60.0)
    second = locked(tmp_path, lambda line: None, wait=0.0)
    held = pytest.raises(DataError, match="being written by process 12 on node7: wait")
    with alive(tmp_path, FOREIGN), held, second:
        raise AssertionError("two holders")


@pytest.mark.parametrize("content", [json.dumps(asdict(FOREIGN)), "", '{"token', "[]", '{"who": 1}'])
@pytest.mark.parametrize("clock", [0, 10**10])
def test_a_host_without_a_sign_of_life_is_followed_whatever_the_clocks_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str, clock: int
) -> None:
    if clock:
        break_flock(monkeypatch, errno.ENOLCK)
    monkeypatch.setattr(leases, "STALE_SECONDS", 0.3)
    monkeypatch.setattr(time, "time", lambda: float(10**10 - clock))
    path = put(tmp_path, FOREIGN)
    path.write_text(content, encoding="utf-8")
    os.utime(path, (clock, clock))
    lines: list[str] = []
    with locked(tmp_path, lines.append, wait=0.0):
        pass
    who = "process 12 on node7" if content.startswith('{"token":') else "another process"
    assert lines[-1] == f"{tmp_path}: {who} has given no sign of life for 30 s, so this one goes on"


@contextmanager
def held_at_the_server(folder: Path, owner: Owner) -> Iterator[None]:
    """The `flock` of a process of another host."""
    (folder / "_log").mkdir(parents=True, exist_ok=True)
    with open(folder / "_log" / "lock", "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{owner.said}\n{owner.host}\n")
        file.flush()
        yield


@pytest.mark.parametrize("owner", [FOREIGN, replace(Owner.new(), token="0" * 32, started="1"), None])
def test_a_host_that_is_gone_is_followed_though_its_lock_is_held(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: Owner | None
) -> None:
    monkeypatch.setattr(leases, "STALE_SECONDS", 0.3)
    lines: list[str] = []
    with held_at_the_server(tmp_path, FOREIGN):
        if owner is not None:
            put(tmp_path, owner)
        following = locked(tmp_path, lines.append, wait=0.0)
        following.__enter__()
    for _ in range(2):  # the server has given the lock of the host that is gone free
        second = locked(tmp_path, lambda line: None, wait=0.0)
        with pytest.raises(DataError, match=f"being written by process {os.getpid()} on"), second:
            raise AssertionError("two holders")
    following.__exit__(None, None, None)
    assert sorted(path.name for path in (tmp_path / "_log").iterdir()) == ["lock"]
    said = {FOREIGN: "process 12 on node7", None: "another process"}.get(owner)
    assert (lines[-1:] == [f"{tmp_path}: {said} has given no sign of life for 30 s, so this one goes on"]) == bool(said)
    with locked(tmp_path, lambda line: None, wait=0.0):
        pass


def test_a_host_that_holds_the_lock_and_lives_is_not_followed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(leases, "STALE_SECONDS", 60.0)
    second = locked(tmp_path, lambda line: None, wait=0.0)
    held = pytest.raises(DataError, match="being written by process 12 on node7: wait")
    with held_at_the_server(tmp_path, FOREIGN), alive(tmp_path, FOREIGN), held, second:
        raise AssertionError("two holders")


def test_how_long_is_waited_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(leases, "STALE_SECONDS", 0.3)
    lines: list[str] = []
    put(tmp_path, FOREIGN)
    with locked(tmp_path, lines.append, wait=5.0):
        second = locked(tmp_path, lines.append, wait=0.2)
        with pytest.raises(DataError), second:
            raise AssertionError("two holders")
    assert "process 12 on node7; waiting up to 30 s" in lines[0] and lines[-1].endswith("; waiting up to 0 s")


def test_of_two_that_take_a_lease_one_has_it(tmp_path: Path) -> None:
    put(tmp_path, FOREIGN)
    both = [Lease(tmp_path / "_log", print) for _ in range(2)]
    taken: list[bool] = []
    threads = [threading.Thread(target=lambda lease=lease: taken.append(lease.take())) for lease in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False, True]
    assert not both[0].create()


def test_a_run_that_lost_its_lease_says_so_and_leaves_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.02)
    lines: list[str] = []
    path = tmp_path / "_log" / "lease"
    with locked(tmp_path, lines.append):
        beats = set()
        while len(beats) < 3:
            beats.add(json.loads(path.read_text(encoding="utf-8"))["beat"])
        monkeypatch.setattr(Lease, "_write", lambda lease: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        time.sleep(0.1)  # a full disk ends nothing
        aside = tmp_path / "aside"
        aside.write_text(json.dumps(asdict(FOREIGN)), encoding="utf-8")
        aside.replace(path)
        while not lines:
            time.sleep(0.01)
    assert "was taken over by process 12 on node7" in lines[0] and len(lines) == 1
    assert json.loads(path.read_text(encoding="utf-8"))["token"] == FOREIGN.token


HOST = """
import errno, fcntl, json, os, socket, sys
def flock(descriptor, how):
    raise OSError(errno.ENOLCK, "no locks")
fcntl.flock = flock
from contextlib import nullcontext
from corpus.engine import lease, runner
from corpus.errors import DataError
from tests.toy import SlowStage
lease.BEAT_SECONDS, lease.STALE_SECONDS = 0.5, 5.0
if sys.argv[3] == "unlocked":
    runner.locked = lambda *arguments: nullcontext()
try:
    runner.run_stage(SlowStage(tasks=6, seconds=float(sys.argv[2])), sys.argv[1], runner.RunOptions())
except DataError as error:
    sys.exit(error.message)
"""


def on_host(name: str, output: Path, seconds: float, how: str = "", clock: str = "") -> subprocess.Popen[str]:
    """A run on a host of its own: its network, its name, its processes; and its clock."""
    program = ["faketime", "-f", clock] if clock else []
    program += [sys.executable, "-c", HOST, str(output), str(seconds), how or "locked"]
    spaces = ["unshare", "--net", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"]
    shell = ["sh", "-c", 'hostname "$0" && exec "$@"', name, *program]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "FAKETIME_DONT_FAKE_MONOTONIC": "0"}
    return subprocess.Popen([*spaces, *shell], env=environment, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How a run ended, and what it said besides what every run says."""
    _, said = process.communicate(timeout=100)
    return process.returncode, "".join(line for line in said.splitlines(True) if not line.startswith("slow:"))


@pytest.fixture
def hosts() -> None:
    """Whether this machine can make hosts of its own."""
    for command in (
        ["unshare", "--net", "--uts", "--pid", "--fork", "--mount-proc", "true"],
        ["faketime", "-f", "+1d", "true"],
    ):
        try:
            done = subprocess.run(command, capture_output=True)
        except FileNotFoundError:
            pytest.skip(f"{command[0]} is not installed")
        if done.returncode:
            pytest.skip(f"{command[0]} is not allowed here")


def contents(output: Path) -> dict[str, bytes]:
    files = (path for path in output.rglob("*") if path.is_file() and "_log" not in path.parts)
    return {str(path.relative_to(output)): path.read_bytes() for path in files}


@pytest.mark.slow
@pytest.mark.parametrize("clock", ["", "+300d", "-300d", "+0 x3"])
def test_two_hosts_on_one_folder(hosts: Any, tmp_path: Path, clock: str) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert ended(on_host("one", whole, 0)) == (0, "")
    first = on_host("one", out, 2.0)
    while not list(out.glob("_work/*/square/0*")):
        time.sleep(0.1)
    second = on_host("two", out, 0, clock=clock)
    code, said = ended(second)
    assert code == 1 and "is being written by process" in said and "on one: wait for it" in said, said
    first.kill()
    first.communicate()
    code, said = ended(on_host("two", out, 0, clock=clock))
    assert code == 0 and "on one has given no sign of life" in said, said
    assert contents(out) == contents(whole)


@pytest.mark.slow
def test_two_hosts_at_once_without_any_lock_waste_work_and_no_byte(hosts: Any, tmp_path: Path) -> None:
    assert ended(on_host("one", tmp_path / "whole", 0)) == (0, "")
    both = [on_host(name, tmp_path / "out", 0.2, "unlocked") for name in ("one", "two")]
    codes = [ended(process) for process in both]
    assert 0 in dict(codes), codes
    assert ended(on_host("one", tmp_path / "out", 0)) == (0, "")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
