"""Reads Arrow IPC files a record batch at a time, in the thread that asks.

pyarrow's own reader asks a Python file from threads of its own. One that is not done with that when the interpreter ends is
stopped in the middle of C++ code, and the process aborts after all has been said ("terminate called").
"""

from __future__ import annotations

from functools import cached_property

import pyarrow as pa
import pyarrow.ipc

from corpus.data.arrow_footer import batch_spans
from corpus.data.stored import CheckedFile

_MAGIC_BYTES = 8
"""At the beginning of a file: `ARROW1`, padded."""


class ArrowFile:
    """An open Arrow IPC file without dictionaries. A ValueError or pyarrow's own error says that it is none."""

    def __init__(self, file: CheckedFile) -> None:
        self._file = file
        self._spans = batch_spans(file)

    def __len__(self) -> int:
        """The number of record batches."""
        return len(self._spans)

    @cached_property
    def schema(self) -> pa.Schema:
        """The schema, which is the first message."""
        end = self._spans[0][0] if self._spans else self._file.size
        return pa.ipc.read_schema(self._part(_MAGIC_BYTES, end))

    def batch(self, number: int) -> pa.RecordBatch:
        """One of the record batches."""
        return pa.ipc.read_record_batch(pa.ipc.read_message(self._part(*self._spans[number])), self.schema)

    def _part(self, begin: int, end: int) -> pa.Buffer:
        self._file.seek(begin)
        return self._file.read_buffer(end - begin)
