"""Writes the demonstration's raw samples: `python -m demo.raw DIR`.

One folder per LLaMA domain in its genuine format, and `DIR/planted.json`, which says what was planted: duplicates, foreign
pages, boilerplate, broken records. The same bytes on every run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from demo import arxiv, books, c4, exchange, github, wet, wiki

DOMAINS = {
    "commoncrawl": wet.build,
    "c4": c4.build,
    "github": github.build,
    "wikipedia": wiki.build,
    "books": books.build,
    "arxiv": arxiv.build,
    "stackexchange": exchange.build,
}


def build(directory: Path) -> dict[str, dict[str, object]]:
    """Writes every domain below `directory` and gives what `planted.json` says."""
    planted = {domain: make(directory / domain) for domain, make in DOMAINS.items()}
    text = json.dumps(planted, indent=2, sort_keys=True) + "\n"
    (directory / "planted.json").write_text(text, encoding="utf-8")
    return planted


def main(arguments: list[str]) -> int:
    """The command: one argument, the directory to write to."""
    if len(arguments) != 1:
        print("usage: python -m demo.raw DIR", file=sys.stderr)
        return 2
    directory = Path(arguments[0])
    try:
        build(directory)
    except OSError as error:
        print(
            f"cannot write the raw samples to {directory}: {error}; choose a folder that can be written.",
            file=sys.stderr,
        )
        return 1
    files = [path for path in directory.rglob("*") if path.is_file()]
    print(f"{directory}: {len(files)} files, {sum(path.stat().st_size for path in files):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
