"""docs/domains.md shows what the readers do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pipelines.readers.domain_samples import read_sample

DOC = Path(__file__).parent.parent / "docs/domains.md"
SECTION = re.compile(r"^## (\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^(`{3,})\w+\n(.*?)\n\1$", re.MULTILINE | re.DOTALL)
SECTIONS = {name: [block[1] for block in BLOCK.findall(body)] for name, body in SECTION.findall(DOC.read_text())}


@pytest.mark.parametrize("domain", SECTIONS)
def test_after_follows_from_before(domain: str, tmp_path: Path) -> None:
    before, after = SECTIONS[domain]
    assert read_sample(domain, before + "\n", tmp_path).text.strip("\n") == after


def test_every_domain_is_shown() -> None:
    assert set(SECTIONS) == {
        "commoncrawl", "c4", "github", "wikipedia", "books", "arxiv", "stackexchange", "conversations", "news", "instructions"
    }  # fmt: skip
