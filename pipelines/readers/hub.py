"""Data sets of the Hugging Face hub, or local ones its `datasets` library reads, streamed."""

from __future__ import annotations

import errno
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from corpus.errors import DataError, UsageError
from corpus.ingest.compression import QUARANTINE_BYTES
from corpus.ingest.reader import Item, RawFile, Unreadable
from corpus.option import nearest, option
from pipelines.readers.fields import DeclaresColumns, Fields, NoDocument, plain

_LIBRARIES = frozenset(
    "datasets huggingface_hub fsspec pyarrow httpx httpx2 httpcore requests urllib3 aiohttp yaml"
    " zlib lzma _lzma zipfile tarfile zstandard".split()
)
"""The packages whose errors mean a data set at fault: `datasets`, and the parsers and transports of its versions."""
_PLAIN_ERRORS = (OSError, ValueError, TypeError, LookupError, AttributeError, EOFError, RuntimeError)
_ERROR_TEXT = 1024
"""Characters of the library's error that go to the quarantine."""


@dataclass(frozen=True)
class HubReader(DeclaresColumns):
    """`corpus ingest hub`. Its INPUT is a path that exists, else the name of a data set on the hub."""

    domain: ClassVar[str] = "hub"
    patterns: ClassVar[tuple[str, ...]] = ()
    doc: ClassVar[str] = "A Hugging Face data set, by its name or local path."

    config: str = option("", "Configuration of the data set; empty for its default.")
    split: str = option("train", "Split to read.")
    text_field: str = option("text", "Field of the text; a.b of one inside another, a,b of several that are joined.")
    id_field: str = option("id", "Field of the record's own id, kept as metadata.id.")
    url_field: str = option("url", "Field of the URL.")
    language_field: str = option("language", "Field of the language code.")
    date_field: str = option("date", "Field of the date.")
    speakers: bool = option(False, "Put its role before each message of a list of messages.")

    def read(self, file: RawFile, scratch: Path) -> Iterator[Item]:
        """One item a row. An error of the library in the middle of the stream is one `Unreadable` for the rest."""
        fields = Fields(
            self.text_field, self.id_field, self.url_field, self.language_field, self.date_field, self.speakers
        )
        rows = self._rows(str(file.path), scratch)
        for ordinal in itertools.count():
            try:
                row = next(rows, None)
            except Exception as error:
                if not _of_library(error):
                    raise
                if ordinal == 0 or _is_local_fault(error):
                    raise DataError(_sentence(f"data set {file.path} cannot be read", error)) from error
                reason = f"stream broke off ({type(error).__name__})"
                yield Unreadable(ordinal, 0, 0, reason, _without_paths(error, file, scratch).encode("utf-8", "replace"))
                return
            if row is None:
                return
            try:
                yield fields.item(ordinal, row)
            except NoDocument as error:
                data = json.dumps(plain(row), ensure_ascii=False).encode("utf-8")
                yield Unreadable(ordinal, 0, len(data), str(error), data[:QUARANTINE_BYTES])

    def _rows(self, name: str, scratch: Path) -> Iterator[Mapping[str, object]]:
        try:
            import datasets
            from datasets.exceptions import DatasetNotFoundError
        except ModuleNotFoundError:
            raise UsageError("data sets of the hub need the library datasets: pip install 'corpusmill[hub]'.") from None

        options: dict[str, Any] = {"streaming": True}
        if Path(name).exists():
            options["cache_dir"] = str(scratch)  # a local data set leaves nothing behind
        try:
            splits = datasets.load_dataset(name, self.config or None, **options)
        except DatasetNotFoundError as error:
            raise DataError(
                _sentence(f"there is no data set {name}, neither as a path nor on the hub", error)
            ) from error
        except (ConnectionError, TimeoutError) as error:
            raise DataError(
                f"the hub cannot be reached for data set {name}: check the network, or give the path of a local copy."
            ) from error
        except Exception as error:  # bad configuration, gated, no data files, a broken file: all in the library's words
            if not _of_library(error):
                raise
            raise DataError(_sentence(f"data set {name} cannot be opened", error)) from error
        if self.split not in splits:
            hint = nearest(self.split, splits)
            raise DataError(f"data set {name} has no split '{self.split}' ({hint}): choose it with --split.")
        return iter(splits[self.split])


def _of_library(error: Exception) -> bool:
    """Whether an error is of the library or of what it calls: not a full memory, and none of this package."""
    modules = {base.__module__.partition(".")[0] for base in type(error).__mro__}
    return isinstance(error, _PLAIN_ERRORS) or not modules.isdisjoint(_LIBRARIES)


def _is_local_fault(error: Exception) -> bool:
    """Whether this machine is at fault and not the data: then a stream has not ended, and the command can go on."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.EACCES)


def _without_paths(error: Exception, file: RawFile, scratch: Path) -> str:
    """The first words of an error, equal wherever the data set lies."""
    text = str(error)
    for path, name in ((scratch, "scratch"), (file.path.absolute(), file.name), (file.path.resolve(), file.name)):
        text = text.replace(str(path), name)
    return text[:_ERROR_TEXT]


def _sentence(what: str, error: Exception) -> str:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return f"{what}: {reason[0].rstrip('.')}."
