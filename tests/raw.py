"""A small raw folder of three domains in JSON lines, with duplicates, blank texts and broken lines, and its recipe."""

from __future__ import annotations

import json
import random
from pathlib import Path

_WORDS = [
    "river",
    "mill",
    "stone",
    "grain",
    "water",
    "wheel",
    "dust",
    "light",
    "morning",
    "evening",
    "carpenter",
    "market",
    "bridge",
    "letter",
    "winter",
    "garden",
    "engine",
    "valley",
    "copper",
    "lantern",
    "harbour",
    "orchard",
    "ledger",
    "window",
    "kitchen",
    "signal",
    "meadow",
    "chapel",
    "station",
    "thread",
]

RECIPE = """
domains:
  commoncrawl: {reader: jsonl, stages: [{dedup: {level: line}}, {langid: {threshold: 0.1}}, {filter: {rules: ["min_chars:20"]}}]}
  wikipedia: {reader: jsonl, stages: [{filter: {rules: ["min_chars:20"]}}]}
  books: {reader: jsonl, stages: [{dedup: {level: document}}]}
validation: {fraction: 0.02}
tokenizer: {preset: llama, vocab_size: 500}
packing: {sequence_length: 32}
shard_bytes: 60000
mixture:
  commoncrawl: {share: 80, epochs: 1.1}
  wikipedia: {share: 10, epochs: 2.45}
  books: {share: 10, epochs: 2.23}
"""


def sentence(rng: random.Random) -> str:
    """A sentence of known words."""
    words = rng.choices(_WORDS, k=rng.randint(5, 12))
    return f"The {' '.join(words)} of {rng.randint(1, 99)}."


def write_raw(folder: Path, documents: int = 60, files: int = 4) -> None:
    """RAW/<domain>/<file>.jsonl for the domains of `RECIPE`."""
    for domain in ("commoncrawl", "wikipedia", "books"):
        rng = random.Random(domain)
        (folder / domain).mkdir(parents=True)
        for number in range(files):
            lines = []
            for index in range(documents):
                text = "\n".join(sentence(rng) for _ in range(rng.randint(2, 9)))
                if index % 5 == 0:
                    text = f"Accept all cookies 123\n{text}"
                lines.append(json.dumps({"text": text, "id": f"{number}-{index}", "url": f"https://x.example/{index}"}))
            lines += [lines[0], '{"text": ""}', '{"no": "text"}', "not json", '{"text": "\\ud800"}']
            (folder / domain / f"{number}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / domain / "README.txt").write_text("no data", encoding="utf-8")
