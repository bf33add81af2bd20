"""Sets on the hub, through its own library and a hub of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.corpus.transfer.hub_server import Hub, serving_hub
from tests.corpus.transfer.test_push_pull import files


def corpus(hub: Hub, home: Path, *arguments: str, code: int = 0) -> str:
    """What a command says; a process of its own, since the library reads its address when it is imported."""
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_SECRET", "HF_HOME": str(home)}
    command = [sys.executable, "-c", "from corpus.cli import main; main()", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)
    assert done.returncode == code, done.stderr
    assert "hf_SECRET" not in done.stderr
    return done.stderr


@pytest.mark.slow
def test_there_and_back_with_a_card(make_documents: Callable[..., Path], tmp_path: Path) -> None:
    documents = make_documents("docs", [f"text {n} " * 50 for n in range(20)], shard_rows=5)
    other = make_documents("other", ["else " * 50 for n in range(20)], shard_rows=5)
    run = tmp_path / "run"
    shutil.copytree(documents, run / "documents" / "a")
    shutil.copytree(documents, run / "packed")
    with serving_hub() as hub:
        corpus(hub, tmp_path, "push", str(documents), "hf://datasets/someone/set")
        assert set(hub.repos["someone/set"]) == set(files(documents))
        assert "manifest.json" in hub.commits[-1][1] and "manifest.json" not in hub.commits[0][1]
        corpus(hub, tmp_path, "pull", "hf://datasets/someone/set", str(tmp_path / "back"))
        assert files(tmp_path / "back") == files(documents)
        said = corpus(hub, tmp_path, "push", str(other), "hf://datasets/someone/set", code=2)
        assert "is of another set" in said
        corpus(hub, tmp_path, "push", str(other), "hf://datasets/someone/set", "--overwrite")
        assert set(hub.repos["someone/set"]) >= set(files(other))
        hub.fail_commits = 1
        corpus(hub, tmp_path, "push", str(run), "hf://datasets/someone/run")
        card = hub.repos["someone/run"]["README.md"].decode()
        names = {entry["config_name"]: entry["data_files"] for entry in yaml.safe_load(card.split("---")[1])["configs"]}
        assert names["packed"] == "packed/[0-9]*.parquet" and "documents-a" in names
        out = tmp_path / "ingested"
        corpus(hub, tmp_path, "ingest", "parquet", "hf://datasets/someone/set/", "-o", str(out), "--quiet")
        assert (out / "manifest.json").exists()
