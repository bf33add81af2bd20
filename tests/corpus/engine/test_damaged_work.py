"""Damage to what tasks left for later phases: it is named and made anew by the same command, and never gets into the
output."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.data.manifest import Manifest
from corpus.data.stored import DamagedFileError
from corpus.data.verify import verify_dataset
from corpus.dedup.config import DedupConfig
from corpus.dedup.levels import dedup_stage
from corpus.engine import runner
from corpus.engine.alarms import Alarms
from corpus.engine.runner import RunOptions, run_stage
from corpus.engine.stage import Stage
from corpus.errors import DataError
from corpus.mixture.pack.stage import MixConfig, MixStage
from corpus.mixture.plan.weights import parse_mixture
from tests.corpus.mixture.mixing import write_tokens
from tests.datasets import write_documents
from tests.raw import sentence
from tests.toy import SlowStage
from tokenizer.train import TrainTokenizerConfig, TrainTokenizerStage

# a task that is stopped by damage leaves what it was writing to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

QUIET = RunOptions(quiet=True, alarms=Alarms(max_drop=1.0))


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """The garbage of a test is collected before it ends."""
    yield
    gc.collect()


class StoppedError(Exception):
    """The run ends as if it had been killed."""


def _documents(place: Path) -> str:
    rng = random.Random(3)
    texts = [" ".join(sentence(rng) for _ in range(rng.randrange(2, 12))) for _ in range(60)]
    texts += [text.rpartition(" ")[0] + " More here." for text in texts[:20]] + texts[:7]
    return str(write_documents(place / "in", texts, shard_rows=30, piece_rows=8))


def _stage(name: str, place: Path) -> Stage:
    if name == "slow":
        return SlowStage()
    if name == "mix":
        source = str(write_tokens(place / "in", "alpha", [40, 3, 30, 90, 7] * 9, shards=3))
        return MixStage((source,), MixConfig(sequence_length=16), parse_mixture({"alpha": {"epochs": 2}}, "weights"))
    if name == "tokenizer":
        return TrainTokenizerStage((_documents(place),), TrainTokenizerConfig(vocab_size=400))
    return dedup_stage((_documents(place),), DedupConfig(level=name))  # type: ignore[arg-type]  # it is one


def _run_phases(stage: Stage, output: Path, phases: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run some phases and stop."""
    done = 0

    def stop(point: str) -> None:
        nonlocal done
        done += point == "phase-done"
        if done == phases:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(runner, "fault", stop)
        with pytest.raises(StoppedError):
            run_stage(stage, output, QUIET)


def _harm(rng: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    if rng.random() < 0.3 or not data:
        data += b"x"
    else:
        data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["slow", "line", "document", "near", "mix", "tokenizer"])
@pytest.mark.parametrize("seed", range(2))
def test_damage_between_phases(name: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(f"{name} {seed}")
    stage = _stage(name, tmp_path)
    whole = run_stage(stage, tmp_path / "whole", QUIET)
    out = tmp_path / "out"
    _run_phases(stage, out, rng.randrange(1, len(stage.phases())), monkeypatch)
    path = rng.choice(sorted(path for path in out.glob("_work/*/*/*/*") if path.is_file()))
    _harm(rng, path)
    try:
        run_stage(stage, out, QUIET)
    except DamagedFileError as error:
        assert f"{path} is damaged" in error.message and "run the same command again" in error.message
        run_stage(stage, out, QUIET)
    assert Manifest.load(out).digest == whole.digest
    # what goes to the output as it is keeps the digests of its task: the damage is not called right
    assert all(path.name in problem or "is damaged" in problem for problem in verify_dataset(out).problems)


def test_the_share_of_a_task_is_checked_and_all_of_its_phase_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, out = SlowStage(tasks=4), tmp_path / "out"
    _run_phases(stage, out, 1, monkeypatch)
    (work,) = (out / "_work").iterdir()
    (work / "square" / "00002" / "spill").write_text("9")
    with pytest.raises(DamagedFileError, match=r"square/00002/spill is damaged .*: run the same command again"):
        run_stage(stage, out, QUIET)
    assert sorted(path.name for path in (work / "square").glob("[0-9]*")) == ["00000", "00001", "00003"]
    assert not list((work / "collect").glob("[0-9]*"))
    assert run_stage(stage, out, QUIET).digest == run_stage(stage, tmp_path / "whole", QUIET).digest


def test_what_a_phase_made_before_the_damage_was_seen_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, out = SlowStage(tasks=4, fail="error"), tmp_path / "out"
    with pytest.raises(DataError, match="broken on purpose"):
        run_stage(stage, out, QUIET)
    (work,) = (out / "_work").iterdir()
    assert list((work / "write").glob("[0-9]*")) == [work / "write" / "00000"]
    (work / "square" / "00003" / "spill").write_text("7")
    # a phase that is partly done has all its sources checked before it goes on
    with pytest.raises(DamagedFileError, match="square/00003/spill"):
        run_stage(SlowStage(tasks=4), out, QUIET)
    assert not list((work / "write").glob("[0-9]*")) and not (work / "square" / "00003").exists()
    run_stage(SlowStage(tasks=4), out, QUIET)
    assert Manifest.load(out).digest == run_stage(SlowStage(tasks=4), tmp_path / "whole", QUIET).digest
