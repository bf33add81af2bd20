"""Fixtures that all rooms share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("corpusmill", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("corpusmill")


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real samples."""
    folder = os.environ.get("CORPUSMILL_SAMPLES")
    if not folder:
        pytest.skip("CORPUSMILL_SAMPLES is not set")
    return Path(folder)


@pytest.fixture
def make_documents(tmp_path: Path) -> Callable[..., Path]:
    """Writes a documents dataset: `make_documents(name, texts, domain="c4", shard_rows=None)` gives its directory."""

    def make(
        name: str, texts: Sequence[str], domain: str = "c4", shard_rows: int | None = None, **columns: Any
    ) -> Path:
        from tests.datasets import write_documents

        return write_documents(tmp_path / name, texts, domain, shard_rows, **columns)

    return make
