"""Two and four processes against one: the same batches, the same losses, checkpoints that any number resumes from."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.packed import learnable_rows, write_packed
from trainer.checkpoints.checkpoint import Checkpoint, CheckpointStore
from trainer.cli import main
from trainer.data.rows import RowRange, deal
from trainer.spikes.skip_log import SkipLog

STEPS = 12
SHAPE = ("model.layers=2", "model.d_model=32", "model.heads=2", "model.n_kv_heads=2", "model.head_size=16")
OPTIONS = (
    *("--steps", str(STEPS), "--batch-size", "8", "--micro-batch-size", "3", "--save-every", "5", "--threads", "1"),
    *(word for setting in SHAPE for word in ("--set", setting)),
)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 30)), min_size=1, max_size=4),
    st.integers(1, 5),
    st.integers(1, 6),
)
def test_rows_are_dealt_by_position(gaps: list[tuple[int, int]], size: int, micro_rows: int) -> None:
    ranges, place = [], 0
    for gap, length in gaps:
        ranges.append(RowRange(place + gap, place + gap + length))
        place += gap + length
    dealt = [deal(ranges, micro_rows, rank, size) for rank in range(size)]
    assert len({len(batches) for batches in dealt}) == 1
    rows = [row for batches in dealt for batch in batches for row in batch]
    assert rows == [row for part in ranges for row in range(part.start, part.stop)]
    assert all(len(batch) <= micro_rows for batches in dealt for batch in batches)
    shares = [sum(map(len, batches)) for batches in dealt]
    assert max(shares) - min(shares) <= 1


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packed(tmp_path_factory.mktemp("packed") / "packed", learnable_rows(160, 16, 60), 60)


def command(packed: Path, run: Path, *more: str) -> list[str]:
    model = () if "--model" in more else ("--model", "llama-tiny")
    return ["fit", "--data", str(packed), "--output", str(run), *OPTIONS, *model, *more]


def launch(ranks: int, arguments: Sequence[str], module: str = "trainer") -> list[subprocess.Popen[str]]:
    """The processes that torchrun would start."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    common = {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks)}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(ranks)
    ]


def train(ranks: int, packed: Path, run: Path, *more: str) -> list[str]:
    """Run to the end, one rank in this process; what each rank said."""
    if ranks == 1:
        done = CliRunner().invoke(main, command(packed, run, *more))
        assert done.exit_code == 0, done.output
        return [done.output]
    processes = launch(ranks, command(packed, run, *more))
    said = [process.communicate(timeout=110)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * ranks, "\n".join(said)
    return said


def records(run: Path, kind: str = "train") -> list[dict[str, Any]]:
    return [r for r in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()) if r["kind"] == kind]


def newest(run: Path) -> Checkpoint:
    found = CheckpointStore(run / "checkpoints").newest(print)
    assert found is not None
    return found


def assert_close(run: Path, other: Path) -> None:
    """The same batches, losses to 1e-5, weights to what 12 steps make of that."""
    for mine, theirs in zip(records(run), records(other), strict=True):
        assert mine["next_row"] == theirs["next_row"]
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert mine["gradient_norm"] == pytest.approx(theirs["gradient_norm"], rel=1e-4)
    mine, theirs = newest(run).tensors("model"), newest(other).tensors("model")
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, theirs[name], atol=1e-4, rtol=1e-3, msg=name)


def files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(newest(run).path.iterdir())}


@pytest.fixture(scope="module")
def alone(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("alone") / "run"
    train(1, packed, run, "--validation", str(packed))
    return run


@pytest.mark.parametrize("parallel", ["ddp", "fsdp", "fsdp-offload"])
def test_two_ranks_equal_one_and_can_change_places(packed: Path, alone: Path, tmp_path: Path, parallel: str) -> None:
    run = tmp_path / "run"
    said = train(2, packed, run, "--parallel", parallel, "--validation", str(packed))
    assert "parameters, vocabulary" in said[0]
    assert said[1] == ""
    assert_close(run, alone)
    mine, theirs = records(run, "validation")[0], records(alone, "validation")[0]
    assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
    assert newest(run).sharded == (parallel != "ddp")
    # a flipped bit: the checkpoint before it resumes, on one rank and with a note, and ends as the straight run
    damaged = next((newest(run).path).rglob("model.*" if parallel == "ddp" else "*.distcp"))
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    said = train(1, packed, run, "--validation", str(packed))
    assert f"step-0000{STEPS} is passed over" in said[0]
    assert "number of ranks 2, now 1" in said[0]
    assert "goes on from step 10 of 12" in said[0]
    assert_close(run, alone)


@pytest.mark.slow
def test_weights_gathered_in_bf16_and_kept_train_as_those_of_one_rank(packed: Path, tmp_path: Path) -> None:
    train(1, packed, tmp_path / "one", "--precision", "bf16")
    arguments = command(packed, tmp_path / "two", "--precision", "bf16", "--parallel", "fsdp")
    processes = launch(2, arguments, "tests.trainer.distributed.gathered")
    said = [process.communicate(timeout=110)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    for mine, theirs in zip(records(tmp_path / "two"), records(tmp_path / "one"), strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=5e-3)
        assert mine["gradient_norm"] == pytest.approx(theirs["gradient_norm"], rel=3e-2)
    assert all(tensor.dtype == torch.float32 for tensor in newest(tmp_path / "two").tensors("model").values())


@pytest.mark.slow
def test_the_rank_that_the_others_wait_for_is_named(packed: Path, tmp_path: Path) -> None:
    arguments = command(packed, tmp_path / "run", "--stall-seconds", "1", "--save-every", "100")
    processes = launch(2, arguments, "tests.trainer.distributed.stalling")
    said = [process.communicate(timeout=110)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    assert re.search(r"the ranks have waited for 1 s for 1 of 2: rank 1 \(on .+\) is reading micro-batch", said[0])
    assert "the ranks go on after" in said[0]
    assert len(records(tmp_path / "run")) == STEPS


@pytest.mark.slow
def test_palm_adafactor_scales_sharded_matrices_as_whole_ones(packed: Path, tmp_path: Path) -> None:
    for name, ranks, more in (("one", 1, ()), ("two", 2, ("--parallel", "fsdp"))):
        train(ranks, packed, tmp_path / name, "--model", "palm-tiny", *more)
    assert_close(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_four_ranks_resume_to_the_byte(packed: Path, tmp_path: Path, parallel: str) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    more = ("--parallel", parallel, "--set", "training.dropout=0.1", "--batch-size", "7")
    train(4, packed, straight, *more)
    processes = launch(4, command(packed, killed, *more))
    wait_for_step(killed, processes, 6)
    for process in processes:
        process.kill()
        process.communicate()
    train(4, packed, killed, *more)
    mine, theirs = newest(killed), newest(straight)
    assert mine.state == theirs.state
    for group in ("model", "optimizer", "random"):
        for name, tensor in theirs.tensors(group).items():
            assert torch.equal(tensor, mine.tensors(group)[name]), name
    if parallel == "ddp":
        assert files(killed) == files(straight)
    # dropout too is the same for any number of ranks
    one = tmp_path / "one"
    train(1, packed, one, *more)
    assert_close(straight, one)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_run_that_began_alone_goes_on_with_four_ranks(
    packed: Path, alone: Path, tmp_path: Path, parallel: str
) -> None:
    begun = tmp_path / "begun"
    train(1, packed, begun)
    (begun / "checkpoints" / f"step-{STEPS:06d}").rename(begun / "checkpoints" / ".gone")
    train(4, packed, begun, "--parallel", parallel)
    assert_close(begun, alone)


def wait_for_step(run: Path, processes: Sequence[subprocess.Popen[str]], step: int) -> None:
    deadline = time.monotonic() + 90
    log = run / "metrics.jsonl"
    while not log.exists() or log.read_text().count("\n") < step:
        assert all(process.poll() is None for process in processes), "the run ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_signal_to_one_rank_stops_all_at_the_same_step(
    packed: Path, alone: Path, tmp_path: Path, parallel: str
) -> None:
    run = tmp_path / "run"
    more = ("--parallel", parallel, "--background-saves", "--save-every", "2")
    processes = launch(2, command(packed, run, *more))
    wait_for_step(run, processes, 3)
    processes[1].send_signal(signal.SIGUSR1)
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [75, 75], said
    assert "is saved at step" in said[0]
    assert newest(run).step == len(records(run))
    train(2, packed, run, *more)
    assert_close(run, alone)


def test_an_error_of_the_first_rank_ends_all_with_its_code(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    processes = launch(2, command(packed, tmp_path / "run"))
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [2, 2], said
    assert "not empty and not a run" in said[0]
    assert "Traceback" not in said[0] + said[1]


@pytest.mark.slow
def test_torchrun_starts_the_command(packed: Path, alone: Path, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "trainer"]
    done = subprocess.run(
        [*launcher, *command(packed, tmp_path / "run")], capture_output=True, text=True, check=False, timeout=110
    )
    assert done.returncode == 0, done.stderr
    assert_close(tmp_path / "run", alone)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_ranks_go_back_together(tmp_path: Path, parallel: str) -> None:
    rows = learnable_rows(480, 16, 56)
    rows[240:252] = np.random.default_rng(1).integers(56, 60, (12, 17))
    poisoned = write_packed(tmp_path / "poisoned", rows, 60)
    more = ("--steps", "50", "--set", "optimizer.lr=1e-2", "--set", "spikes.skip=6", "--background-saves")
    train(1, poisoned, tmp_path / "one", *more)
    train(2, poisoned, tmp_path / "two", *more, "--parallel", parallel)
    one, two = (SkipLog.load(tmp_path / name / "skip_log.json") for name in ("one", "two"))
    assert one is not None
    assert two is not None
    assert [(e.step, e.back_to, e.rows, e.documents) for e in one.entries] == [
        (e.step, e.back_to, e.rows, e.documents) for e in two.entries
    ]
    assert [entry.step for entry in one.entries] == [31]
    last = [[record["loss"] for record in records(tmp_path / name)][-10:] for name in ("one", "two")]
    assert sum(last[1]) == pytest.approx(sum(last[0]), rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        # what lies beside the blocks: positions, projections and norm of the embedding; ReZero's factors
        ("gpt3-tiny", ("embedding_size=16", "embedding_norm=true", "rezero=true")),
        ("gopher-tiny", ()),
        ("lamda-tiny", ()),
    ],
)
def test_sharded_families_compute_what_one_process_does(
    name: str, settings: tuple[str, ...], packed: Path, tmp_path: Path
) -> None:
    first = ("--model", name, *(word for setting in settings for word in ("--set", f"model.{setting}")))
    begun = (*first, "--steps", "1")
    train(1, packed, tmp_path / "first", *begun)
    usual = ("--init-from", f"{tmp_path / 'first'}@0", "--model", "llama-tiny")
    train(1, packed, tmp_path / "one", *usual, "--steps", "4")
    train(2, packed, tmp_path / "two", *usual, "--steps", "4", "--parallel", "fsdp")
    assert_close(tmp_path / "two", tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp", "fsdp-offload"])
@pytest.mark.parametrize("method", ["lora", "prompt"])
def test_what_is_added_to_a_model_learns_the_same_on_two_ranks(
    packed: Path, tmp_path: Path, parallel: str, method: str
) -> None:
    longer = ("--set", "model.sequence_length=40")
    train(1, packed, tmp_path / "base", *longer)
    more = ("--init-from", str(tmp_path / "base"), "--set", f"finetuning.method={method}", *longer)
    for name, ranks in (("one", 1), ("two", 2)):
        train(ranks, packed, tmp_path / name, *more, "--parallel", parallel)
    assert_close(tmp_path / "two", tmp_path / "one")
