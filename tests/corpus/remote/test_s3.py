"""Raw files in an object store (moto's server)."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.data.dataset import Dataset
from corpus.engine.runner import RunOptions, run_stage
from corpus.errors import DataError
from corpus.ingest.stage import IngestStage
from corpus.remote import source
from corpus.remote.listing import forget_listings
from corpus.remote.path import place
from pipelines.readers.jsonl import JsonlReader
from pipelines.recipes.growth import read_changes
from pipelines.recipes.recipe import load_recipe
from pipelines.recipes.run import run_recipe
from pipelines.recipes.steps import RecipeRun
from tests.corpus.remote.object_store import Bucket
from tests.raw import RECIPE, write_raw

QUIET = RunOptions(quiet=True)
SECRETS = (b"TESTKEY", b"TESTSECRET")


def upload(bucket: Bucket, folder: Path, prefix: str) -> None:
    """Put the files of a folder into a bucket."""
    for path in folder.rglob("*"):
        if path.is_file():
            bucket.client.upload_file(str(path), bucket.name, f"{prefix}/{path.relative_to(folder).as_posix()}")


def digests(folder: Path) -> dict[str, str]:
    """The digest of every dataset below a folder."""
    return {
        path.parent.relative_to(folder).as_posix(): Dataset.open(path.parent).digest
        for path in sorted(folder.rglob("manifest.json"))
    }


@pytest.mark.slow
def test_a_run_from_a_bucket_is_that_from_the_disk(tmp_path: Path, bucket: Bucket) -> None:
    raw, out, local = tmp_path / "raw", tmp_path / "out", tmp_path / "local"
    write_raw(raw)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    upload(bucket, raw, "raw")
    recipe = load_recipe(str(tmp_path / "recipe.yaml"))
    run_recipe(RecipeRun(recipe, raw, local), QUIET)
    run_recipe(RecipeRun(recipe, place(f"{bucket.url}/raw"), out), QUIET)
    assert digests(out) == digests(local) and len(digests(out)) > 5
    for path in out.rglob("*"):
        assert path.is_dir() or not any(secret in path.read_bytes() for secret in SECRETS)
    before = (out / "_log" / "run.json").stat().st_mtime_ns
    run_recipe(RecipeRun(recipe, place(f"{bucket.url}/raw"), out), QUIET)
    assert (out / "_log" / "run.json").stat().st_mtime_ns == before
    assert read_changes(out) == [] == read_changes(out, place(f"{bucket.url}/raw"))


def test_new_objects_are_read_and_others_are_not(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(8):
        (raw / f"{number}.jsonl").write_text(f'{{"text": "text {number}"}}\n' * 3)
    monkeypatch.setattr("corpus.ingest.groups._GROUP_BYTES", 8)
    upload(bucket, raw, "raw")
    stage = IngestStage(JsonlReader(), (f"{bucket.url}/raw",))
    run_stage(stage, tmp_path / "out", QUIET)
    (raw / "new.jsonl").write_text('{"text": "new"}\n')
    bucket.client.upload_file(str(raw / "new.jsonl"), bucket.name, "raw/new.jsonl")
    forget_listings()
    asked: list[str] = []
    fetch = source.fetch
    monkeypatch.setattr(source, "fetch", lambda t, entry, a, b: asked.append(entry.url) or fetch(t, entry, a, b))
    stage = IngestStage(JsonlReader(), (f"{bucket.url}/raw",))
    grown = run_stage(stage, tmp_path / "out", RunOptions(quiet=True, overwrite=True))
    assert 0 < len(asked) < 9
    assert grown.digest == run_stage(IngestStage(JsonlReader(), (str(raw),)), tmp_path / "local", QUIET).digest


def test_patterns_and_single_objects(tmp_path: Path, bucket: Bucket) -> None:
    raw = tmp_path / "raw"
    (raw / "x").mkdir(parents=True)
    for name in ("x/1.jsonl", "x/2.jsonl", "y.jsonl"):
        (raw / name).write_text('{"text": "some text"}\n')
    upload(bucket, raw, "raw")
    names = [file.name for file in IngestStage(JsonlReader(), (f"{bucket.url}/raw/*/?.jsonl",)).raw().files]
    assert names == ["x/1.jsonl", "x/2.jsonl"]
    assert [f.name for f in IngestStage(JsonlReader(), (f"{bucket.url}/raw/y.jsonl",)).raw().files] == ["y.jsonl"]


def test_an_object_that_is_replaced_while_it_is_read(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "BLOCK", 1000)
    bucket.client.put_object(Bucket=bucket.name, Key="a.jsonl", Body=b'{"text": "one text"}\n' * 200)
    stage = IngestStage(JsonlReader(), (f"{bucket.url}/a.jsonl",))
    assert stage.raw().files
    bucket.client.put_object(Bucket=bucket.name, Key="a.jsonl", Body=b'{"text": "two text"}\n' * 200)
    with pytest.raises(DataError, match="changed while it was read"):
        run_stage(stage, tmp_path / "out", QUIET)


def test_a_bucket_that_is_not_there(tmp_path: Path, bucket: Bucket) -> None:
    with pytest.raises(Exception, match=r"s3://no-such-bucket-here/x .*: check the URL"):
        run_stage(IngestStage(JsonlReader(), ("s3://no-such-bucket-here/x",)), tmp_path / "out", QUIET)
