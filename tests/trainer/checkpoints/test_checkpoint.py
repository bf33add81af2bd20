"""Checkpoints are whole or not there: a kill at every point of a save, torn and flipped ones, full disks."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch

from corpus.errors import DataError
from trainer.checkpoints.checkpoint import COMMIT, CheckpointStore

Usage = namedtuple("Usage", "total used free")


def groups(value: float) -> dict[str, dict[str, torch.Tensor]]:
    return {"model": {"w": torch.full((30, 4), value)}, "optimizer": {"w/m": torch.full((7,), -value)}}


def state(step: int) -> dict[str, Any]:
    return {"step": step, "next_row": 8 * step}


def save(store: CheckpointStore, step: int) -> Path:
    return store.save(step, groups(float(step)), state(step))


def newest(store: CheckpointStore) -> tuple[int | None, list[str]]:
    said: list[str] = []
    found = store.newest(said.append)
    if found is not None:
        assert torch.equal(found.tensors("model")["w"], torch.full((30, 4), float(found.step)))
        assert found.state["next_row"] == 8 * found.step
    return (None if found is None else found.step), said


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "c")
    assert newest(store) == (None, [])
    for step in (0, 5, 12):
        assert save(store, step).name == f"step-{step:06d}"
    assert newest(store) == (12, [])
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["step-000000", "step-000005", "step-000012"]


def test_equal_states_give_equal_bytes(tmp_path: Path) -> None:
    first, second = save(CheckpointStore(tmp_path / "a"), 3), save(CheckpointStore(tmp_path / "b"), 3)
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code catches it."""


def points(tmp_path: Path) -> list[str]:
    seen: list[str] = []
    store = CheckpointStore(tmp_path / "points", keep=1, fault=seen.append)
    save(store, 1)
    seen.clear()
    save(store, 2)
    return seen


def test_a_kill_at_any_point_leaves_a_valid_checkpoint(tmp_path: Path) -> None:
    names = dict.fromkeys(points(tmp_path))
    assert {"commit written", "renamed", "old one renamed", "model synced"} <= set(names)
    for number, name in enumerate(names):
        directory = tmp_path / str(number)
        save(CheckpointStore(directory, keep=1), 1)

        def kill(point: str, name: str = name) -> None:
            if point == name:
                raise Killed

        with pytest.raises(Killed):
            save(CheckpointStore(directory, keep=1, fault=kill), 2)
        step, said = newest(CheckpointStore(directory))
        committed = list(names).index("renamed") <= number
        assert (step, said) == (2 if committed else 1, []), name
        # the next process saves the same step and nothing is left over
        save(CheckpointStore(directory, keep=1), 2)
        save(CheckpointStore(directory, keep=1), 3)
        assert [path.name for path in directory.iterdir()] == ["step-000003"], name


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors", "state.json", COMMIT])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove"])
def test_a_harmed_checkpoint_is_passed_over_with_the_reason(tmp_path: Path, file: str, harm: str) -> None:
    store = CheckpointStore(tmp_path / "c")
    save(store, 1)
    path = save(store, 2) / file
    data = bytearray(path.read_bytes())
    if harm == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif harm == "cut":
        path.write_bytes(data[:-3])
    else:
        path.unlink()
    step, said = newest(store)
    assert step == 1
    assert len(said) == 1
    assert "step-000002 is passed over" in said[0]
    assert file in said[0]
    # the step is done again and takes the torn one's place
    save(store, 2)
    assert newest(store) == (2, [])


def test_torn_ones_do_not_count_as_kept(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "c", keep=2)
    for step in (1, 2, 3, 4):
        save(store, step)
    kept = [path.name for path in sorted((tmp_path / "c").iterdir())]
    assert kept == ["step-000003", "step-000004"]
    for name in kept:
        (tmp_path / "c" / name / COMMIT).unlink()
    save(store, 1)
    assert newest(store)[0] == 1


def test_a_newer_one_with_a_flipped_bit_never_costs_the_last_whole_one(tmp_path: Path) -> None:
    directory = tmp_path / "c"
    for step in (1, 4):
        save(CheckpointStore(directory), step)
    file = directory / "step-000004" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    store = CheckpointStore(directory, keep=1)
    save(store, 2)
    assert sorted(path.name for path in directory.iterdir()) == ["step-000002", "step-000004"]
    assert newest(store)[0] == 2
    # out of the way, and gone when the run is as far again
    store.set_aside_after(2)
    assert newest(store) == (2, [])
    save(store, 3)
    assert sorted(path.name for path in directory.iterdir()) == [".step-000004.torn", "step-000003"]
    save(store, 5)
    assert sorted(path.name for path in directory.iterdir()) == ["step-000005"]


def test_a_full_disk_is_one_sentence_and_the_last_one_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CheckpointStore(tmp_path / "c", keep=1)
    save(store, 1)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: Usage(10, 5, 5))
        with pytest.raises(DataError, match=r"step 2 cannot be written .*MB needed.*make room"):
            save(store, 2)

    def no_space(point: str) -> None:
        if point == "model written":
            raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match="No space left on device"):
        save(CheckpointStore(tmp_path / "c", keep=1, fault=no_space), 2)
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["step-000001"]
    assert newest(store) == (1, [])


def test_a_committed_step_is_not_written_again(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "c")
    path = save(store, 1)
    before = (path / COMMIT).stat().st_ino
    store.save(1, groups(99.0), state(1))
    assert (path / COMMIT).stat().st_ino == before
    assert newest(store) == (1, [])
