"""Sets that go to an object store and come back are the same; what is half there is no set."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.data.dataset import Dataset
from corpus.data.verify import verify_dataset
from corpus.errors import DataError, UsageError
from corpus.remote import checked
from corpus.remote.transport import transport_of
from corpus.transfer.pull import Pull
from corpus.transfer.push import Push
from tests.corpus.remote.http_server import Faults, serving
from tests.corpus.remote.object_store import Bucket


@pytest.fixture
def documents(make_documents: Callable[..., Path]) -> Path:
    """A small set of several shards."""
    return make_documents("docs", [f"text {n} " * 200 for n in range(40)], shard_rows=5)


def files(folder: Path) -> dict[str, bytes]:
    """The contents of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "_log" not in path.parts
    }


def push(folder: Path, url: str, **options: Any) -> str:
    return Push(folder, url, transport_of(url), quiet=True, **options).run()


def pull(url: str, folder: Path, **options: Any) -> str:
    return Pull(url, folder, transport_of(url), quiet=True, **options).run()


def test_there_and_back(documents: Path, bucket: Bucket, tmp_path: Path) -> None:
    said = CliRunner().invoke(cli, ["push", str(documents), f"{bucket.url}/a/set"])
    assert said.exit_code == 0, said.output
    assert {name.removeprefix("a/set/") for name in bucket.names()} == set(files(documents))
    said = CliRunner().invoke(cli, ["pull", f"{bucket.url}/a/set", str(tmp_path / "back")])
    assert said.exit_code == 0, said.output
    assert files(tmp_path / "back") == files(documents)
    assert not verify_dataset(tmp_path / "back").problems
    assert "0.0 of" in push(documents, f"{bucket.url}/a/set")
    assert "0.0 of" in pull(f"{bucket.url}/a/set", tmp_path / "back")


def test_several_sets_and_what_a_run_keeps(documents: Path, bucket: Bucket, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(documents, run / "documents" / "a" / "00-ingest")
    shutil.copytree(documents, run / "packed")
    (run / "recipe.yaml").write_text("domains: {}\n")
    (run / "_log").mkdir()
    (run / "_log" / "plan.json").write_text('{"outputs": [], "kept": []}')
    (run / "half" / "_work").mkdir(parents=True)
    push(run, bucket.url)
    pull(bucket.url, tmp_path / "back")
    assert files(tmp_path / "back") == files(run) and (tmp_path / "back" / "_log" / "plan.json").is_file()


class Stopped(Exception):
    """The command was killed."""


def test_a_push_that_was_stopped_is_no_set_and_goes_on(
    documents: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = transport_of(bucket.url)
    put, sent = transport.put, []

    def failing(path: Path, url: str) -> None:
        if len(sent) >= 4:
            raise Stopped
        sent.append(url)
        put(path, url)

    monkeypatch.setattr(transport, "put", failing)
    with pytest.raises(Stopped):
        push(documents, bucket.url, threads=2)
    with pytest.raises(UsageError, match="was not pushed to its end"):
        pull(bucket.url, tmp_path / "back")
    assert not (tmp_path / "back" / "manifest.json").exists()
    monkeypatch.setattr(transport, "put", lambda path, url: (sent.append(url), put(path, url)))
    push(documents, bucket.url)
    assert len(sent) == len(set(sent))  # nothing twice
    pull(bucket.url, tmp_path / "back")
    assert files(tmp_path / "back") == files(documents)


def test_another_set_is_not_mixed_in(
    documents: Path, bucket: Bucket, tmp_path: Path, make_documents: Callable[..., Path]
) -> None:
    other = make_documents("other", [f"else {n} " * 200 for n in range(40)], shard_rows=5)
    push(documents, bucket.url)
    with pytest.raises(UsageError, match="is of another set"):
        push(other, bucket.url)
    pull(bucket.url, tmp_path / "back")
    push(other, bucket.url, overwrite=True)
    with pytest.raises(UsageError, match="holds another set"):
        pull(bucket.url, tmp_path / "back")
    pull(bucket.url, tmp_path / "back", overwrite=True)
    assert files(tmp_path / "back") == files(other)


def test_files_of_an_unfinished_push_of_another_set_are_not_taken(
    documents: Path, bucket: Bucket, tmp_path: Path, make_documents: Callable[..., Path]
) -> None:
    other = make_documents("other", [f"else {n} " * 200 for n in range(40)], shard_rows=5)
    push(other, bucket.url)
    bucket.client.delete_object(Bucket=bucket.name, Key="manifest.json")
    push(documents, bucket.url)
    pull(bucket.url, tmp_path / "back")
    assert files(tmp_path / "back") == files(documents)


def test_damage_is_found_on_either_side(documents: Path, bucket: Bucket, tmp_path: Path) -> None:
    push(documents, bucket.url)
    shard = Dataset.open(documents).manifest.shards[2]
    data = bytearray((documents / shard.name).read_bytes())
    data[len(data) // 2] ^= 1
    bucket.client.put_object(Bucket=bucket.name, Key=shard.name, Body=bytes(data))
    with pytest.raises(DataError, match=rf"{shard.name} is not as its manifest says"):
        pull(bucket.url, tmp_path / "back")
    assert not (tmp_path / "back" / "manifest.json").exists() and not (tmp_path / "back" / shard.name).exists()
    bucket.client.delete_object(Bucket=bucket.name, Key=shard.name)
    with pytest.raises(DataError, match=rf"{shard.name} is missing"):
        pull(bucket.url, tmp_path / "back")
    (documents / shard.name).write_bytes(data)
    with pytest.raises(DataError, match="is damaged"):
        push(documents, f"{bucket.url}/new")
    assert "new/manifest.json" not in bucket.names()


def test_a_pull_that_was_stopped_goes_on(
    documents: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(documents, bucket.url)
    shard = Dataset.open(documents).manifest.shards[0]
    back = tmp_path / "back"
    back.mkdir()
    (back / f"{shard.name}.part").write_bytes((documents / shard.name).read_bytes()[:1000])
    fetch, asked = checked.fetch, []

    def counting(transport: Any, entry: Any, start: int, stop: int) -> Any:
        asked.append((entry.url.rpartition("/")[2], start))
        return fetch(transport, entry, start, stop)

    monkeypatch.setattr(checked, "fetch", counting)
    pull(bucket.url, back)
    assert (shard.name, 1000) in asked and files(back) == files(documents)
    (back / shard.name).write_bytes(b"damaged")
    pull(bucket.url, back)
    assert files(back) == files(documents)


@pytest.mark.parametrize("faults", [Faults(), Faults(unavailable=2, cuts=3, cut_after=500), Faults(ranges=False)])
def test_a_set_on_a_web_server(documents: Path, tmp_path: Path, faults: Faults) -> None:
    with serving(documents.parent, faults) as server:
        pull(f"{server.url}/{documents.name}", tmp_path / "back")
    assert files(tmp_path / "back") == files(documents)


def test_what_is_no_set_or_no_url(documents: Path, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no finished dataset"):
        push(tmp_path / "empty", bucket.url)
    with pytest.raises(UsageError, match="there is no finished dataset"):
        pull(f"{bucket.url}/nothing", tmp_path / "back")
    with pytest.raises(UsageError, match="nothing can be written"):
        push(documents, "http://127.0.0.1:9/x")
    assert CliRunner().invoke(cli, ["push", str(documents), "elsewhere"]).exit_code == 2
