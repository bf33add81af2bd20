"""`corpus dedup-keys OLD`, then `corpus dedup NEW --against KEYS`: as against the documents themselves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.data.stored import DamagedFileError
from corpus.data.verify import verify_dataset
from corpus.dedup import spill
from corpus.dedup.config import DedupConfig, KeysConfig
from corpus.dedup.keeping import KeepKeysStage
from corpus.dedup.levels import dedup_stage
from corpus.dedup.lines import runs
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import UsageError
from tests.corpus.dedup.similar_twin import contents
from tests.corpus.dedup.test_against import LEVELS, against, sources

QUIET = RunOptions(quiet=True)
Make = Callable[..., Path]
NAMES = {field.name for field in fields(KeysConfig)}
KEYED_LEVELS = [settings for settings in LEVELS if settings["level"] in ("line", "document")]
QUICK: list[dict[str, Any]] = [
    {"level": "line", "key_bits": 128},
    {"level": "document", "key": "url", "keep": "longest"},
]
MORE: list[dict[str, Any]] = [
    {"level": "line", "key_bits": 128},
    {"level": "line", "blank_lines": "key"},
    {"level": "line", "normalize": "lower", "keep": "url"},
]


def keep(old: Path, output: Path, settings: dict[str, Any], options: RunOptions = QUIET) -> Path:
    config = KeysConfig(**{name: value for name, value in settings.items() if name in NAMES})
    run_stage(KeepKeysStage((str(old),), config.settings), output, options)
    assert verify_dataset(output).problems == []
    return output


def written(path: Path) -> dict[str, Any]:
    """All that a dedup writes, but for the names of side files (a number more where a piece of OLD has tasks), and of the report
    the chance that keys meet, which counts keys, and the order of equally large clusters."""
    tables = {
        folder: [row for file in sorted((path / folder).glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
        for folder in ("_dropped", "_clusters")
    }
    report = json.loads((path / "_report.json").read_text())
    del report["keys"]
    report["clusters"] = sorted(cluster["removed"] for cluster in report.get("clusters", ()))
    shards = {file.name: file.read_bytes() for file in sorted(path.glob("*.parquet"))}
    return {"shards": shards, **tables, "report": report}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(
            settings, marks=[] if settings in QUICK else pytest.mark.slow, id="-".join(map(str, settings.values()))
        )
        for settings in [*KEYED_LEVELS, *MORE]
    ],
)
def test_against_keys_is_against_their_documents(
    tmp_path: Path, make_documents: Make, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = sources(make_documents, seed=len(str(settings)))
    whole = against(old, new, tmp_path / "whole", **settings)
    assert whole.manifest.counts["documents"].kept < whole.manifest.counts["documents"].seen
    monkeypatch.setattr(runs, "KEYS_PER_PARTITION", 64)  # ranges of other sizes than when they are read
    monkeypatch.setattr(spill, "ENTRIES_PER_PARTITION", 16)
    keys = [keep(path, tmp_path / f"keys-{path.name}", settings) for path in old]
    assert len(Dataset.open(keys[0]).manifest.extra["rows"]) > 1
    both = against(keys, new, tmp_path / "both", **settings)
    monkeypatch.undo()
    assert written(both.path) == written(whole.path)
    assert both.manifest.counts == whole.manifest.counts and both.manifest.config["against_keys"] == 2
    for path in old:
        shutil.move(path, path.with_name(f"{path.name}-gone"))  # they need not be there
    again = against(keys, new, tmp_path / "again", **settings)
    assert written(again.path) == written(whole.path)
    mixed = against([keys[0], old[1].with_name("b-gone")], new, tmp_path / "mixed", **settings)
    assert written(mixed.path) == written(whole.path)


@pytest.mark.parametrize("level", ["line", "document"])
def test_workers_and_memory_change_nothing(tmp_path: Path, make_documents: Make, level: str) -> None:
    old, _ = sources(make_documents, seed=5)
    one = contents(keep(old[0], tmp_path / "one", {"level": level}))
    options = RunOptions(workers=2, memory=200_000_000, quiet=True, always_pool=True)
    assert contents(keep(old[0], tmp_path / "two", {"level": level}, options)) == one
    assert contents(keep(old[0], tmp_path / "small", {"level": level}, RunOptions(memory=1, quiet=True))) == one


def test_other_keys_than_those_compared_are_refused(tmp_path: Path, make_documents: Make) -> None:
    old, new = sources(make_documents, seed=6)
    keys = keep(old[0], tmp_path / "keys", {"level": "line", "normalize": "exact"})
    for settings, said in (
        ({"level": "line"}, "has keys of --normalize exact, and --normalize is ccnet here"),
        ({"level": "line", "normalize": "exact", "key_bits": 128}, "--key-bits is 128 here: .* with corpus dedup-keys"),
        ({"level": "document"}, "has keys of --level line, and --level is document here"),
        ({"level": "near"}, r"has keys of --level line, and --level is near here: give the documents themselves\.$"),
    ):
        with pytest.raises(UsageError, match=said):
            against([keys], new, tmp_path / "out", **settings)
    with pytest.raises(UsageError, match="which is compared with them"):
        against([keys], old[0], tmp_path / "out", level="line", normalize="exact")
    with pytest.raises(UsageError, match="holds keys, but documents are wanted"):
        dedup_stage((str(keys),), DedupConfig()).check()


def test_damaged_keys_are_named(tmp_path: Path, make_documents: Make) -> None:
    old, new = sources(make_documents, seed=6)
    keys = keep(old[0], tmp_path / "keys", {"level": "document"})
    file = keys / "_keys/00000/run-00000"
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedFileError, match="run-00000 is damaged"):
        against([keys], new, tmp_path / "out", level="document")


def test_the_command(tmp_path: Path, make_documents: Make) -> None:
    old, new = sources(make_documents, seed=8)
    keys, out = str(tmp_path / "keys"), str(tmp_path / "out")
    usual = ["--workers", "1", "--quiet", "--output"]
    made = CliRunner().invoke(cli, ["dedup-keys", *map(str, old), "--level", "document", *usual, keys])
    assert made.exit_code == 0, made.output
    found = CliRunner().invoke(cli, ["dedup", str(new), "--level", "document", "--against", keys, *usual, out])
    assert found.exit_code == 0, found.output
    assert written(Path(out)) == written(against(old, new, tmp_path / "whole", level="document").path)
