"""The files of a tokenizer that token and packed sets carry in `_tokenizer/`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from corpus.data.dataset import check_listed
from corpus.data.files import checksum, sync_file
from corpus.engine.commit import Commit
from corpus.errors import DataError, UsageError

MODEL_NAME = "tokenizer.model"
JSON_NAME = "tokenizer.json"
FOLDER = "_tokenizer"


def carried_files(model: Path) -> dict[str, Path]:
    """The files of a tokenizer by their names in `_tokenizer/`: the model, and those for Hugging Face next to it."""
    found = {JSON_NAME if model.suffix == ".json" else MODEL_NAME: model}
    for name in (JSON_NAME, "tokenizer_config.json"):
        if name not in found and model.with_name(name).is_file():
            found[name] = check_listed(model.with_name(name))
    return found


def tokenizer_file(path: str, digest: str) -> Path:
    """The model file at `path`, or in that folder; a `DataError` if it is not the one that made the tokens."""
    place = Path(path)
    files = [file for file in (place / MODEL_NAME, place / JSON_NAME) if file.is_file()] if place.is_dir() else [place]
    if not files or not files[0].is_file():
        raise UsageError(f"There is no tokenizer model at {path}; give the model file or the folder that holds it.")
    digests = [checksum(check_listed(file)) for file in files]
    if digest not in digests:
        raise DataError(
            f"The tokenizer {files[0]} did not make these tokens (digest {digests[0][:8]}, theirs {digest[:8]}): give the "
            "one that did, or tokenize again."
        )
    return files[digests.index(digest)]


def carry(files: Mapping[str, Path], commit: Commit) -> None:
    """Copy them into the output."""
    for name, file in files.items():
        target = commit.create(f"{FOLDER}/{name}")
        shutil.copyfile(file, target)
        sync_file(target)
