"""A step that does not fit into memory is made in halves, once, and the history says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from corpus.errors import DataError
from tests.trainer.packed import learnable_rows, write_packed
from trainer.config.options import FitOptions
from trainer.loop import memory
from trainer.loop.loop import fit
from trainer.loop.step import measure as whole_measure

SETTINGS = ("model.layers=1", "model.d_model=16", "model.heads=2", "model.n_kv_heads=2", "model.head_size=8")


@pytest.fixture
def ask(tmp_path: Path) -> FitOptions:
    packed = write_packed(tmp_path / "packed", learnable_rows(80, 16, 60), 60)
    return FitOptions(packed, "llama-tiny", tmp_path / "run", 6, batch_size=8, settings=SETTINGS, quiet=True, threads=1)


def too_large(monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    """A device that holds so many sequences at once."""

    def measure(state: Any, data: Any, noise_every: int) -> Any:
        if min(state.config.training.micro_rows, state.batch_rows) > largest:
            raise torch.OutOfMemoryError("out of memory. Tried to allocate 2 GiB.")
        return whole_measure(state, data, noise_every)

    monkeypatch.setattr(memory, "measure", measure)


def test_half_of_the_sequences_at_once(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    too_large(monkeypatch, 4)
    fit(ask)
    (change,) = json.loads((ask.output / "changes.json").read_text(encoding="utf-8"))["entries"]
    assert (change["since"], change["settings"]) == (0, {"training.micro_batch_size": 4})
    assert change["notes"] == ["the memory was too small (out of memory): 4 sequences at once"]
    lines = (ask.output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [record["step"] for record in map(json.loads, lines) if record["kind"] == "train"] == [1, 2, 3, 4, 5, 6]


def test_what_a_run_was_halved_to_is_kept_when_it_goes_on(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    too_large(monkeypatch, 4)
    fit(ask)
    fit(FitOptions(**{**vars(ask), "steps": 8}))
    (first, _) = json.loads((ask.output / "changes.json").read_text(encoding="utf-8"))["entries"]
    assert first["settings"] == {"training.micro_batch_size": 4}


def test_the_second_time_is_an_error_with_the_remedy(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    too_large(monkeypatch, 2)
    with pytest.raises(DataError, match=r"step 1 does not fit .* 4 sequences at once .* give --micro-batch-size 2"):
        fit(ask)


def test_one_sequence_that_does_not_fit_has_another_remedy(ask: FitOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    too_large(monkeypatch, 0)
    ask = FitOptions(**{**vars(ask), "micro_batch_size": 1})
    with pytest.raises(DataError, match=r"1 sequences at once .*: give --set training.activation_checkpointing"):
        fit(ask)


@pytest.mark.parametrize("place", ["update", "check_record"])
def test_memory_that_does_not_suffice_elsewhere_is_a_sentence(
    ask: FitOptions, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def full(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(f"trainer.loop.session.{place}", full)
    with pytest.raises(DataError, match=r"memory does not hold the run \(out of memory\): give a smaller model"):
        fit(ask)
