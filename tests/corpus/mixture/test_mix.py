"""Mixing end to end: the ledger, provenance, the same bytes for any workers, validation, and bad input."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import resource
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from corpus.data.manifest import Manifest
from corpus.data.verify import verify_dataset
from corpus.engine.runner import RunOptions, run_stage
from corpus.engine.task import Task
from corpus.errors import DataError, UsageError
from corpus.mixture.pack import best_fit, blocks, buckets, distribute, layout, listing
from corpus.mixture.pack.packing import Packing
from corpus.mixture.pack.stage import MixStage
from tests.corpus.mixture.mixed import QUIET, check_set, files, listed_documents, packed_rows, stage
from tests.corpus.mixture.mixing import write_tokens


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not waited for: what a power cut leaves is no part of these tests."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    generator = np.random.default_rng(0)
    return [
        write_tokens(tmp_path / "in" / "a", "alpha", generator.integers(1, 60, 40).tolist(), shards=3),
        write_tokens(tmp_path / "in" / "b", "beta", generator.integers(1, 400, 10).tolist(), shards=2, first=7000),
        write_tokens(tmp_path / "in" / "c", "gamma", generator.integers(1, 90, 17).tolist(), first=17_000),
        write_tokens(tmp_path / "in" / "d", "alpha", generator.integers(1, 60, 7).tolist(), first=25_000),
    ]


def test_a_mixture_end_to_end(tmp_path: Path, inputs: list[Path]) -> None:
    output = tmp_path / "out"
    manifest = run_stage(stage(inputs, shard_bytes=2000), output, QUIET)
    check_set(output, inputs, 16)
    assert not verify_dataset(output).problems
    assert len(manifest.shards) > 2
    assert manifest.extra["sequence_length"] == 16
    assert manifest.extra["vocab_size"] == 32_000
    assert manifest.extra["ledger"]["alpha"]["epochs_begun"] == 3
    assert {row["epoch"] for row in packed_rows(output) if row["domain"] == "alpha"} == {1, 2, 3}
    assert sum(entry["rows"] for entry in manifest.extra["documents"]) == 40 + 10 + 17 + 7


@dataclass(frozen=True)
class Case:
    """A mixture to be tried: `domains` with the lengths of their documents and a weight, in hundredths of an epoch, or
    (with `tokens`) a share."""

    domains: list[tuple[list[int], int]]
    length: int
    config: dict[str, Any]
    tokens: int | None = None
    exhausted: str = "error"

    def mixture(self) -> dict[str, Any]:
        if self.tokens is None:
            return {f"d{n}": {"epochs": weight / 100} for n, (_, weight) in enumerate(self.domains)}
        shares = {f"d{n}": weight for n, (_, weight) in enumerate(self.domains)}
        return {"shares_sum": sum(shares.values()), "mixture": shares}


SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=12)
CASES = st.builds(
    Case,
    domains=st.lists(st.tuples(SIZES, st.integers(5, 400)), min_size=1, max_size=3),
    length=st.integers(1, 40),
    config=st.fixed_dictionaries(
        {
            "row_order": st.sampled_from(["shuffled", "shuffled", "stream"]),
            "seed": st.integers(0, 3),
            "packing": st.sampled_from(["concatenate", "concatenate", "best-fit"]),
        }
    ),
    tokens=st.none() | st.integers(1, 600),
    exhausted=st.sampled_from(["error", "rescale", "repeat"]),
)
REFUSED = ("too few for one sequence", "more than its max_epochs", "of its max_epochs", "within their max_epochs")


def check_case(place: Path, case: Case) -> None:
    shutil.rmtree(place, ignore_errors=True)
    inputs = [
        write_tokens(place / f"d{n}", f"d{n}", sizes, shards=1 + n, first=9000 * n)
        for n, (sizes, _) in enumerate(case.domains)
    ]
    config = case.config | {"sequence_length": case.length, "tokens": case.tokens, "exhausted": case.exhausted}
    try:
        manifest = run_stage(stage(inputs, case.mixture(), shard_bytes=1500, **config), place / "out", QUIET)
    except UsageError as error:
        assert any(reason in error.message for reason in REFUSED), error.message
        return
    except DataError as error:
        # no document is as short as what is asked for
        assert case.config["packing"] == "best-fit"
        assert "kept none of" in error.message
        return
    check_set(place / "out", inputs, case.length)
    if case.tokens is not None and case.exhausted == "repeat" and case.config["packing"] == "concatenate":
        assert manifest.totals["tokens"] == case.tokens // case.length * case.length


@given(CASES)
@example(Case([([1, 5], 34)], 2, {"row_order": "shuffled", "seed": 0, "packing": "best-fit"}))
@example(Case([([5, 9, 4, 7], 270), ([30, 2], 50)], 3, {"row_order": "shuffled", "seed": 1, "packing": "concatenate"}))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_mixture_adds_up(tmp_path: Path, case: Case) -> None:
    check_case(tmp_path / "any", case)


@pytest.mark.slow
@given(CASES)
@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_many_mixtures_add_up(tmp_path: Path, case: Case) -> None:
    check_case(tmp_path / "any", case)


@pytest.mark.parametrize("packing", ["concatenate", "best-fit"])
def test_same_bytes_for_any_workers_memory_and_cut(
    tmp_path: Path, inputs: list[Path], monkeypatch: pytest.MonkeyPatch, packing: str
) -> None:
    monkeypatch.setattr(best_fit, "WINDOW_DOCUMENTS", 4)
    monkeypatch.setattr("corpus.mixture.pack.best_fit_limits.WINDOW_DOCUMENTS", 4)
    monkeypatch.setattr(listing, "LISTED_OCCURRENCES", 30)
    monkeypatch.setattr(listing, "LISTED_DOCUMENTS", 5)
    made = stage(inputs, shard_bytes=1500, seed=4, packing=packing)
    run_stage(made, tmp_path / "one", QUIET)
    expected = files(tmp_path / "one")
    check_set(tmp_path / "one", inputs, 16)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 500)
    for number, (memory, bucket, chunk) in enumerate([(1, 4, 1), (600, 8, 7), (3000, 12, 40), (1 << 30, 1 << 22, 60)]):
        monkeypatch.setattr(layout, "BUCKET_DOCUMENTS", bucket)
        monkeypatch.setattr(layout, "CHUNK_DOCUMENTS", chunk)
        made = stage(inputs, shard_bytes=1500, seed=4, packing=packing)
        run_stage(made, tmp_path / str(number), RunOptions(workers=1, memory=memory, quiet=True))
        assert files(tmp_path / str(number)) == expected
    assert pickle.loads(pickle.dumps(made)) == made
    run_stage(stage(inputs, shard_bytes=1500, seed=5, packing=packing), tmp_path / "other", QUIET)
    one, other = packed_rows(tmp_path / "one"), packed_rows(tmp_path / "other")
    assert one != other


@pytest.mark.parametrize("packing", ["concatenate", pytest.param("best-fit", marks=pytest.mark.slow)])
def test_same_bytes_for_any_workers(tmp_path: Path, inputs: list[Path], packing: str) -> None:
    made = stage(inputs, shard_bytes=1500, seed=4, packing=packing)
    run_stage(made, tmp_path / "one", QUIET)
    run_stage(made, tmp_path / "two", RunOptions(workers=2, memory=5000, quiet=True, always_pool=True))
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_the_groups_of_tasks_change_no_row(tmp_path: Path, inputs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    run_stage(stage(inputs), tmp_path / "one", QUIET)
    monkeypatch.setattr(layout, "_group_bytes", lambda datasets: 1)
    run_stage(stage(inputs), tmp_path / "many", QUIET)
    assert len(list((tmp_path / "many" / "_documents").glob("*.parquet"))) == 7
    assert Manifest.load(tmp_path / "one").shards == Manifest.load(tmp_path / "many").shards
    assert listed_documents(tmp_path / "one") == listed_documents(tmp_path / "many")


STEPS = [
    (buckets, "index_shards"),
    (buckets, "order_buckets"),
    (distribute, "interleave_rows"),
    (distribute, "distribute"),
    (distribute, "pack_shard"),
    (distribute, "index_ids"),
]


def test_same_bytes_after_a_failure_in_every_phase(
    tmp_path: Path, inputs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stage(inputs, shard_bytes=1500)
    run_stage(made, tmp_path / "whole", QUIET)
    for module, name in STEPS:
        step = getattr(module, name)

        def stumble(packing: Packing, index: int, task: Task, step: Any = step) -> None:
            step(packing, index, task)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(module, name, stumble)
            with pytest.raises(KeyboardInterrupt):
                run_stage(made, tmp_path / "torn", QUIET)
    run_stage(made, tmp_path / "torn", QUIET)
    assert files(tmp_path / "torn") == files(tmp_path / "whole")


@pytest.mark.slow
def test_same_bytes_after_kill_9(tmp_path: Path, inputs: list[Path]) -> None:
    """A process is killed as soon as it has begun each of the phases; the last one goes on to the end."""
    made = stage(inputs, shard_bytes=1500)
    run_stage(made, tmp_path / "whole", QUIET)
    for phase in ("order", "distribute", "pack", ""):
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_mix_until, args=(made, tmp_path / "torn", phase))
        process.start()
        process.join()
        assert process.exitcode == (-signal.SIGKILL if phase else 0)
    assert files(tmp_path / "torn") == files(tmp_path / "whole")


def _mix_until(made: MixStage, output: Path, phase: str) -> None:
    """Mix, and be killed when a task of `phase` has written what it is to publish."""
    publish = Task.publish

    def killed(task: Task) -> None:
        if task.phase == phase:
            os.kill(os.getpid(), signal.SIGKILL)
        publish(task)

    Task.publish = killed  # type: ignore[method-assign]  # this process ends here
    run_stage(made, output, QUIET)


@pytest.mark.slow
def test_few_files_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets have more shards, buckets and tasks than a process may have files open."""
    monkeypatch.setattr(layout, "_group_bytes", lambda datasets: 1)
    monkeypatch.setattr(layout, "BUCKET_DOCUMENTS", 1)
    source = write_tokens(tmp_path / "many", "delta", [20] * 40, shards=40)
    made = stage([source], {"delta": {"epochs": 1}}, shard_bytes=800)
    run_stage(stage([source], {"delta": {"epochs": 1}}), tmp_path / "warm", QUIET)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 16, hard))
    try:
        run_stage(made, tmp_path / "out", QUIET)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    check_set(tmp_path / "out", [source], 16)
