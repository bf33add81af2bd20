"""`_report.json` of train-tokenizer: what was trained on, and how well the model does by domain and language."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus.data.dataset import check_listed
from corpus.errors import DataError
from tokenizer import proto
from tokenizer.model import Tokenizer

REPORT = "_report.json"
MEASURED_BYTES = 4_000_000
"""About how many bytes of each domain and language are encoded: the first of its sample."""
NO_LANGUAGE = "und"
"""The name of the language of documents that have none (ISO 639-2: undetermined)."""


@dataclass
class Measured:
    """Sums over encoded text."""

    bytes: int = 0
    words: int = 0
    tokens: int = 0
    fallback: int = 0

    def add(self, other: Measured) -> None:
        """Add the sums of other text."""
        self.bytes += other.bytes
        self.words += other.words
        self.tokens += other.tokens
        self.fallback += other.fallback

    def to_json(self) -> dict[str, Any]:
        """The form in the report. `coverage` is the share of the text's bytes that are no tokens of their own for want
        of a piece with their character."""
        return {
            "bytes": self.bytes,
            "words": self.words,
            "tokens": self.tokens,
            "bytes_per_token": round(self.bytes / self.tokens, 4) if self.tokens else None,
            "words_per_token": round(self.words / self.tokens, 4) if self.tokens else None,
            "coverage": round(1 - self.fallback / self.bytes, 6) if self.bytes else None,
        }


@dataclass(frozen=True)
class Sampled:
    """Bytes of a domain: `used` went to the trainer, `skipped` were chosen but hold what it cannot take."""

    bytes: int
    used: int
    skipped: int

    def to_json(self) -> dict[str, int]:
        """The form in the report, with the rest, which was not chosen."""
        return {
            "bytes": self.bytes,
            "bytes_used": self.used,
            "bytes_skipped": self.skipped,
            "bytes_not_sampled": self.bytes - self.used - self.skipped,
        }


def measure(tokenizer: Tokenizer, batches: Iterable[pa.RecordBatch]) -> dict[tuple[str, str], Measured]:
    """Encode the first `MEASURED_BYTES` of each domain and language; batches have the columns of `CHUNK_SCHEMA`.

    Words are what stands between ASCII white space.
    """
    fallback = np.array([piece.type == proto.BYTE for piece in tokenizer.model.pieces], dtype=np.int64)
    found: dict[tuple[str, str], Measured] = {}
    for batch in batches:
        batch = batch.filter(_wanted(batch, found))
        if not batch.num_rows:
            continue
        text = batch.column("text")
        ids = tokenizer.encode_batch(text)
        ends = ids.offsets.to_numpy()
        sums = np.concatenate(([0], np.cumsum(fallback[ids.values.to_numpy()])))
        table = pa.table(
            {
                "domain": batch.column("domain"),
                "language": batch.column("language"),
                "bytes": pc.binary_length(text),
                "words": pc.count_substring_regex(text, r"[^\t\n\v\f\r ]+"),
                "tokens": np.diff(ends),
                "fallback": np.diff(sums[ends]),
            }
        )
        names = ("bytes", "words", "tokens", "fallback")
        grouped = table.group_by(["domain", "language"]).aggregate([(name, "sum") for name in names])
        for row in grouped.to_pylist():
            part = Measured(*(int(row[f"{name}_sum"]) for name in names))
            found.setdefault((row["domain"], row["language"]), Measured()).add(part)
    return dict(sorted(found.items()))


def _wanted(batch: pa.RecordBatch, found: Mapping[tuple[str, str], Measured]) -> pa.Array:
    """Which rows belong to the first `MEASURED_BYTES` of their domain and language."""
    sizes = {key: entry.bytes for key, entry in found.items()}
    columns = (batch.column("domain"), batch.column("language"), pc.binary_length(batch.column("text")))
    mask = []
    for domain, language, size in zip(*(column.to_pylist() for column in columns), strict=True):
        before = sizes.get((domain, language), 0)
        mask.append(before < MEASURED_BYTES)
        sizes[domain, language] = before + size
    return pa.array(mask, pa.bool_())


def report(
    tokenizer: Tokenizer,
    sampled: Mapping[str, Sampled],
    measured: Mapping[tuple[str, str], Measured],
    no_huggingface: str,
) -> dict[str, Any]:
    """The value of `_report.json`; `no_huggingface` says why there is no `tokenizer.json`, empty where there is."""
    total = Sampled(*(sum(getattr(entry, name) for entry in sampled.values()) for name in ("bytes", "used", "skipped")))
    languages = sorted({language for _, language in measured})
    return {
        "vocab_size": tokenizer.vocab_size,
        "model_type": proto.TYPE_NAMES[tokenizer.model.model_type],
        **total.to_json(),
        "measured": _sum(measured.values()),
        "domains": {
            name: {
                **entry.to_json(),
                "measured": _sum(part for (domain, _), part in measured.items() if domain == name),
                "languages": {
                    language: part.to_json() for (domain, language), part in measured.items() if domain == name
                },
            }
            for name, entry in sorted(sampled.items())
        },
        "languages": {
            name: _sum(part for (_, language), part in measured.items() if language == name) for name in languages
        },
        "no_tokenizer_json_because": no_huggingface,
    }


def _sum(parts: Iterable[Measured]) -> dict[str, Any]:
    total = Measured()
    for part in parts:
        total.add(part)
    return total.to_json()


def dump(value: Mapping[str, Any]) -> str:
    """A report as the text of its file."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def summary(output: Path) -> list[str]:
    """The report of a finished output in a few lines."""
    path = output / REPORT
    try:
        value = json.loads(check_listed(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): train the tokenizer again.") from None
    lines = [
        f"{value['vocab_size']:,} pieces ({value['model_type']}) from {value['bytes_used']:,} bytes;"
        f" {value['bytes_not_sampled']:,} not sampled, {value['bytes_skipped']:,} skipped",
        f"{'':24} bytes/token  words/token  coverage",
    ]
    rows = [(name, entry["measured"]) for name, entry in value["domains"].items()]
    if list(value["languages"]) != [NO_LANGUAGE]:
        most = sorted(value["languages"].items(), key=lambda item: (-item[1]["bytes"], item[0]))
        rows += [(f"language {name}", entry) for name, entry in most[:8]]
    lines += [
        f"{name:24} {entry['bytes_per_token']:11.3f}  {entry['words_per_token']:11.3f}  {entry['coverage']:8.2%}"
        for name, entry in rows
        if entry["tokens"]
    ]
    if reason := value["no_tokenizer_json_because"]:
        lines.append(f"no tokenizer.json was written, since {reason}")
    return lines
