"""From a training step back to its documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from corpus.data.dataset import Dataset
from corpus.data.provenance import DocumentList
from corpus.errors import DataError
from tests.trainer.packed import learnable_rows, write_packed
from trainer.cli import main
from trainer.data.rows import RowRange, next_batch, step_rows
from trainer.run.trace import steps_of_rows
from trainer.spikes.skip_log import SkipEntry, SkipLog

LISTED = (("00000.parquet", 90), ("00001.parquet", 110))


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_documents_of_a_step(tmp_path: Path) -> None:
    packed = write_packed(
        tmp_path / "packed",
        learnable_rows(20, 16, 60),
        60,
        segments=[[(70, 5), (0, 12)]] * 20,
        domains=["a", "b"] * 10,
        listed=LISTED,
    )
    run = tmp_path / "run"
    sizes = ["--steps", "3", "--batch-size", "4", "--threads", "1", "--set", "model.layers=1"]
    assert call("fit", "--data", packed, "--model", "llama-tiny", "--output", run, *sizes).exit_code == 0
    result = call("trace", run, "--data", packed, "--step", "3")
    assert result.exit_code == 0, result.output
    lines = [line.split("\t") for line in result.output.splitlines()]
    assert lines[0] == ["row", "domain", "epoch", "position", "length", "document", "start"]
    # the set's documents are numbered 10 · row + segment
    assert lines[1:] == [
        [str(row), "ab"[row % 2], "0", position, length, f"d{10 * row + n}", start]
        for row in range(8, 12)
        for n, (position, length, start) in enumerate((("0", "5", "70"), ("5", "12", "0")))
    ]
    found = json.loads(call("trace", run, "--data", packed, "--step", "3", "--json").stdout)["documents"]
    assert [[str(field) for field in entry.values()] for entry in found] == [
        line.split("\t") for line in result.output.splitlines()[1:]
    ]
    digest = Dataset.open(packed).digest
    assert steps_of_rows(run, digest, range(20)) == {row: row // 4 + 1 for row in range(12)}
    SkipLog((SkipEntry(3, "rewind", "spike", back_to=1, since=1, rows=RowRange(5, 9)),)).save(run / "skip_log.json")
    skipped = {0: 1, 1: 1, 2: 1, 3: 1, 4: 2, 9: 2, 10: 2, 11: 2, 12: 3, 13: 3, 14: 3, 15: 3}
    assert steps_of_rows(run, digest, range(20)) == skipped and steps_of_rows(run, "other", range(20)) == {}
    (run / "skip_log.json").unlink()
    assert call("trace", run, "--data", packed, "--step", "4").exit_code == 2
    other = write_packed(tmp_path / "other", learnable_rows(20, 16, 60, 9), 60)
    result = call("trace", run, "--data", other, "--step", "1")
    assert (result.exit_code, "was not trained on" in result.output) == (2, True)


def test_documents_across_files_and_row_groups(tmp_path: Path) -> None:
    packed = write_packed(tmp_path / "packed", learnable_rows(2, 4, 60), 60, listed=LISTED)
    listed = DocumentList(Dataset.open(packed))
    wanted = [199, 0, 24, 25, 89, 90, 114, 115]
    found = listed.read(wanted)
    assert {number: document.id for number, document in found.items()} == {number: f"d{number}" for number in wanted}
    assert found[90].row == 90
    with pytest.raises(DataError, match="lists no document 200"):
        listed.read([3, 200])
    (packed / "_documents" / "00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"00001\.parquet is damaged"):
        listed.read([150])


@given(
    st.integers(1, 8),
    st.integers(1, 6),
    st.lists(st.builds(lambda a, n: RowRange(a, a + n), st.integers(0, 40), st.integers(0, 9)), max_size=4),
)
def test_step_rows_equal_walking_all_steps(step: int, batch_size: int, holes: list[RowRange]) -> None:
    row = 0
    for _ in range(step):
        taken, row = next_batch(row, batch_size, holes)
    assert step_rows((step - 1) * batch_size, batch_size, holes) == taken
