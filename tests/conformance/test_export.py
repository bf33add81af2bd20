"""Exports against the libraries whose files they are: megatron-core and mosaicml-streaming, each where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.engine.runner import run_stage
from corpus.export import mds
from corpus.export.export import export
from tests.corpus.mixture.mixed import QUIET, packed_rows, stage
from tests.corpus.mixture.mixing import write_tokens

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    lengths = {"alpha": [5, 40, 1, 17, 9, 30], "beta": [3, 3, 50, 22], "gamma": [64, 2, 11, 8]}
    inputs = [write_tokens(tmp_path / name, name, found) for name, found in lengths.items()]
    run_stage(stage(inputs, packing="best-fit"), tmp_path / "packed", QUIET)
    return tmp_path / "packed"


def write(dataset: Path, kind: str, output: Path) -> Path:
    export(dataset, kind, output, lambda line: None)
    return output


def test_megatron_reads_the_rows(packed: Path, tmp_path: Path) -> None:
    reader: Any = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    found = reader.IndexedDataset(str(write(packed, "megatron", tmp_path / "out") / "train"))
    assert [row.tolist() for row in found] == [row["tokens"] for row in packed_rows(packed)]
    assert found.document_indices.tolist() == list(range(len(found) + 1))


def test_streaming_reads_and_would_write_the_same(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streaming: Any = pytest.importorskip("streaming")
    monkeypatch.setattr(mds, "SHARD_BYTES", 700)
    output = write(packed, "mds", tmp_path / "out")
    rows = packed_rows(packed)
    found = list(streaming.LocalDataset(local=str(output)))
    assert [sample["tokens"].tolist() for sample in found] == [row["tokens"] for row in rows]
    assert [sample["domain"] for sample in found] == [row["domain"] for row in rows]
    columns = {"tokens": "ndarray:int32:17", "domain": "str", "document_lengths": "ndarray:uint32"}
    with streaming.MDSWriter(columns=columns, out=str(tmp_path / "theirs"), size_limit=700) as writer:
        for row in rows:
            lengths = np.array([segment["length"] for segment in row["segments"]], np.uint32)
            sample = {"tokens": np.array(row["tokens"], np.int32), "domain": row["domain"], "document_lengths": lengths}
            writer.write(sample)
    for path in (tmp_path / "theirs").iterdir():
        assert path.read_bytes() == (output / path.name).read_bytes()
