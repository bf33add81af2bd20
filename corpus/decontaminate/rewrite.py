"""A batch of documents with its matches taken out, and the report of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from corpus.decontaminate.cut import JOINT, contaminated, pieces
from corpus.decontaminate.index import Index
from corpus.decontaminate.matches import MATCH_SCHEMA, NOTHING_LEFT, OVERLAP, PIECES
from corpus.decontaminate.ngrams import Ints
from corpus.engine.task import Task


@dataclass
class Rewriter:
    """Rewrites the documents of a task; `cut` counts those that were."""

    index: Index
    examples: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    task: Task
    report: Any
    cut: int = 0

    def rewrite(self, batch: pa.RecordBatch, positions: Ints) -> pa.RecordBatch:
        """The documents that stay; `positions` (int64[4, n]) are row of the batch, n-gram, first byte and end, by row."""
        keep = np.ones(batch.num_rows, np.bool_)
        changed: dict[int, str] = {}
        lines: list[dict[str, Any]] = []
        rows, starts = np.unique(positions[0], return_index=True)
        for row, begin, end in zip(rows.tolist(), starts, np.append(starts[1:], positions.shape[1]), strict=True):
            id, text = batch.column("id")[row].as_py(), batch.column("text")[row].as_py()
            left, reason, found = self.decide(text, positions[1:, begin:end])
            if reason:
                keep[row] = False
                self.task.drop(id, reason, text)
            elif left != text:
                changed[row] = left
                self.cut += 1
            action = "dropped" if reason else "cut" if row in changed else "kept"
            lines += [{"id": id, "action": action} | line for line in found]
        self.report.write_table(pa.Table.from_pylist(lines, schema=MATCH_SCHEMA))
        if changed:
            texts = batch.column("text").to_pylist()
            for row, text in changed.items():
                texts[row] = text
            at = batch.schema.get_field_index("text")
            batch = batch.set_column(at, batch.schema.field(at), pa.array(texts, batch.schema.field(at).type))
        return batch if keep.all() else batch.filter(pa.array(keep))

    def decide(self, text: str, positions: Ints) -> tuple[str, str, list[dict[str, Any]]]:
        """What is left of a document, why it is dropped (or nothing), and a line for each text that it shares n-grams
        with; `positions` int64[3, n]: n-gram, first byte and end."""
        grams = np.unique(positions[0])
        texts, counts, enough = contaminated(self.index, grams, self.settings["share"])
        lines = [
            self._line(number, count, positions) for number, count in zip(texts.tolist(), counts.tolist(), strict=True)
        ]
        if not enough.any():
            return text, "", lines
        if self.settings["mode"] == "drop":
            return text, OVERLAP, lines
        bad = [self.index.held_by(number) for number in texts[enough].tolist()]
        chosen = np.isin(positions[0], np.concatenate(bad))
        left = pieces(text, list(zip(*positions[1:, chosen].tolist(), strict=True)), self.settings["window"])
        if len(left) > self.settings["most_pieces"]:
            return text, PIECES, lines
        joined = JOINT.join(piece for piece in left if len(piece) >= self.settings["min_piece"])
        return joined, "" if joined.strip() else NOTHING_LEFT, lines

    def _line(self, text: int, matched: int, positions: Ints) -> dict[str, Any]:
        first = int(np.flatnonzero(np.isin(positions[0], self.index.held_by(text)))[0])
        gram, start, end = (int(value) for value in positions[:, first])
        example = self.examples[text]
        names = {name: example[name] for name in ("file", "record", "field", "ngrams")}
        return names | {"matched": matched, "ngram": self.index.gram(gram), "start": start, "end": end}
