"""`corpus verify`: does a dataset hold what its manifest says, and keep the promises of its kind?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from corpus.data.card import CARD, card_text
from corpus.data.columns import document_schema
from corpus.data.dataset import Dataset, group_rows, read_batches, read_schema
from corpus.data.manifest import MANIFEST, SIDE_FOLDERS, Counts, Manifest
from corpus.data.schema import packed_schema, token_schema
from corpus.data.stored import DamagedFileError, Digests
from corpus.errors import DataError

PLAN = Path("_log", "plan.json")
"""Written by `corpus run`: the outputs of its stages in order, relative to the run's own."""
_WHOLE = ("records", "documents")
"""The units whose drops are recorded: a stage has one of them."""


@dataclass
class Report:
    """What was looked at and what is wrong with it; no problems, a good dataset."""

    path: Path
    kind: str = ""
    rows: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)
    cleaned: bool = False


def find_datasets(path: Path) -> list[Path]:
    """The finished datasets, cleaned ones too, at or below `path`, in the order of their names; folders that begin with `_` are inside one."""
    own = [path] if (path / MANIFEST).exists() else []
    if own and not (path / PLAN).exists():  # a stray manifest must not hide the outputs of a run
        return own
    return own + [dataset for child in _children(path) for dataset in find_datasets(child)]


def is_output(path: Path) -> bool:
    """Whether a folder is what a stage or a run wrote or writes: a dataset, unfinished work, or the output of a run."""
    if (path / PLAN).exists() or ((path / "_work").is_dir() and (path / "_log").is_dir()):
        return True
    try:
        value = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and {"kind", "stage", "digest", "shards"} <= value.keys()


def missing_outputs(path: Path) -> list[tuple[Path, bool]]:
    """Outputs of the runs at or below `path` that are not there, with whether their run had finished.

    A finished run has all that it keeps, until `corpus run` is started again; one that goes on need have nothing yet.
    """
    if (path / PLAN).exists():
        finished = run_finished(path)
        names = read_plan(path)["kept" if finished else "outputs"]
        return [(path / name, finished) for name in names if not (path / name / MANIFEST).exists()]
    if (path / MANIFEST).exists():
        return []
    return [missing for child in _children(path) for missing in missing_outputs(child)]


def read_plan(output: Path) -> dict[str, list[str]]:
    """The `outputs` of a run and those of them that are `kept`, as `corpus run` wrote them down."""
    try:
        value = json.loads((output / PLAN).read_text(encoding="utf-8"))
        return {key: [str(name) for name in value[key]] for key in ("outputs", "kept")}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{output / PLAN} is not readable ({error}): run corpus run again.") from None


def run_finished(output: Path) -> bool:
    """Whether the `corpus run` into `output` came to its end and was not started again since."""
    return (output / "_log" / "run.json").exists()


def _children(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith(("_", ".")))


def verify_dataset(path: Path) -> Report:
    """Check manifest, checksums, counts, schema, unique ids and the rules of the kind. Reads every byte once."""
    report = Report(path)
    try:
        dataset = Dataset.open(path)
    except DataError as error:
        report.problems.append(error.message)
        return report
    manifest = dataset.manifest
    report.kind, report.rows = manifest.kind, manifest.rows
    report.bytes = sum(shard.bytes for shard in manifest.shards)
    report.cleaned = dataset.cleaned
    problems = report.problems
    for unit, counts in manifest.counts.items():
        if counts.missing:
            problems.append(f"{counts.missing} {unit} are not accounted for")
    shards = () if report.cleaned else manifest.shards
    listed = {shard.name for shard in shards}
    found = {p.name for p in path.iterdir() if p.suffix in (".parquet", ".arrow")}
    problems += [f"{name} is no shard of this dataset" for name in sorted(found - listed)]
    if (path / "_work").exists():
        problems.append("_work is left over from an unfinished run")
    damage = list(_damaged(dataset))
    problems += damage
    problems += [*_check_card(dataset), *_check_listed(dataset)]
    if not damage:
        checks = {"documents": _check_documents, "tokens": _check_tokens, "packed": _check_packed}
        rows = () if report.cleaned else (checks.get(manifest.kind, _nothing), _check_pieces)
        for check in (*rows, _check_dropped, _check_merged, _check_quarantined):
            problems += _readable(check(dataset))
    return report


def _damaged(dataset: Dataset) -> Iterator[str]:
    """A sentence for each shard and side file that is not as it was written."""
    manifest = dataset.manifest
    for entry in manifest.files if dataset.cleaned else manifest.entries:
        file = dataset.stored(entry)
        try:
            file.check_size()
            if Digests.of(file.path) != Digests(entry.bytes, entry.checksum, entry.blocks):
                yield f"{entry.name} is damaged (its digests differ)"
        except DamagedFileError as error:
            yield f"{entry.name} is damaged ({error.how})"
        except OSError as error:
            yield f"{entry.name} cannot be read ({error.strerror})"


def _check_card(dataset: Dataset) -> Iterator[str]:
    manifest = dataset.manifest
    card = card_text(manifest.kind, manifest.stage, manifest.rows, manifest.digest)
    path = dataset.path / CARD
    if card and (path.read_bytes() if path.is_file() else b"") != card.encode():
        yield f"{CARD} is missing or was changed"


def _nothing(dataset: Dataset) -> Iterator[str]:
    return iter(())


def _check_pieces(dataset: Dataset) -> Iterator[str]:
    """The pieces of each shard are its row groups, or record batches, and have their rows."""
    for shard, entry in zip(dataset.shards(), dataset.manifest.shards, strict=True):
        rows = group_rows(shard)
        if sum(groups for groups, _ in entry.pieces) != len(rows):
            yield f"{entry.name} has {len(rows)} row groups, the pieces of the manifest have others"
            continue
        first = 0
        for number, (groups, expected) in enumerate(entry.pieces):
            if sum(rows[first : first + groups]) != expected:
                yield f"{entry.name} has {sum(rows[first : first + groups])} rows in piece {number}, not {expected}"
            first += groups
        if sum(rows) != entry.rows:
            yield f"{entry.name} has {sum(rows)} rows, the manifest says {entry.rows}"


def _check_documents(dataset: Dataset) -> Iterator[str]:
    ids = _UniqueIds()
    size = lines = rows = 0
    domains: set[str] = set()
    wanted = document_schema(dataset.manifest.columns)
    for shard in dataset.shards():
        if not read_schema(shard).equals(wanted):
            yield f"{shard.path.name} has not the columns of documents that the manifest names"
            return
        for batch in read_batches(shard, ["id", "text", "domain"]):
            ids.add(batch.column("id"))
            size += pc.sum(pc.binary_length(batch.column("text"))).as_py() or 0
            lines += (pc.sum(pc.count_substring(batch.column("text"), "\n")).as_py() or 0) + batch.num_rows
            domains.update(pc.unique(batch.column("domain")).to_pylist())
            rows += batch.num_rows
    totals = dataset.manifest.totals
    for name, value in (("documents", rows), ("bytes", size), ("lines", lines)):
        if rows and totals.get(name) != value:
            yield f"the manifest says {totals.get(name)} {name}, the shards hold {value}"
    yield from ids.problems()


def _check_tokens(dataset: Dataset) -> Iterator[str]:
    tokenizer = dataset.manifest.extra["tokenizer"]
    eod, vocabulary = tokenizer["eod_id"], tokenizer["vocab_size"]
    trained = bool(dataset.manifest.extra.get("trained"))
    ids = _UniqueIds()
    rows = tokens = 0
    for shard in dataset.shards():
        path = shard.path
        for batch in read_batches(shard):
            wide = pa.types.is_uint32(batch.schema.field("ids").type.value_type)
            if not batch.schema.equals(token_schema(wide, trained)):
                yield f"{path.name} has not the columns of tokens"
                return
            ids.add(batch.column("id"))
            column = batch.column("ids")
            offsets = np.asarray(column.offsets)
            values = np.asarray(column.values)[offsets[0] : offsets[-1]]
            if len(values) and int(values.max()) >= vocabulary:
                yield f"{path.name} holds ids over the vocabulary of {vocabulary}"
            ends = offsets[1:] - offsets[0] - 1
            lengths = np.diff(offsets)
            # a conversation has one after each answer, where its template says so
            more = not trained and int((values == eod).sum()) != batch.num_rows
            if (lengths == 0).any() or (values[ends] != eod).any() or more:
                yield f"{path.name} holds documents that do not end with the one EOD"
            if trained and not _inside(batch.column("trained"), lengths):
                yield f"{path.name} holds spans that are not inside their document"
            rows += batch.num_rows
            tokens += len(values)
    for name, value in (("documents", rows), ("tokens", tokens)):
        if dataset.manifest.totals.get(name) != value:
            yield f"the manifest says {dataset.manifest.totals.get(name)} {name}, the shards hold {value}"
    yield from ids.problems()


def _inside(column: pa.ListArray, lengths: npt.NDArray[np.int64]) -> bool:
    """Whether the spans of each document follow one another inside it."""
    spans, offsets = column.flatten(), np.asarray(column.offsets).astype(np.int64)
    starts, sizes = (np.asarray(spans.field(name)).astype(np.int64) for name in ("start", "length"))
    ends = starts + sizes
    owner = np.repeat(np.arange(len(lengths)), np.diff(offsets))
    apart = (owner[1:] != owner[:-1]) | (starts[1:] >= ends[:-1])
    return bool((ends <= lengths[owner]).all() and (sizes > 0).all() and apart.all())


def _check_packed(dataset: Dataset) -> Iterator[str]:
    extra = dataset.manifest.extra
    row_tokens = extra["sequence_length"] + 1
    padded = extra.get("packing") == "best-fit"
    ids = _UniqueIds()
    documents = 0
    for name, file in dataset.files("_documents").items():
        for batch in read_batches(file, ["id"]) if name.endswith(".parquet") else ():
            if batch.schema.names != ["id"]:
                yield f"_documents/{name} has not the columns of a list of documents"
                return
            ids.add(batch.column("id"))
            documents += batch.num_rows
    yield from ids.problems()
    for shard in dataset.shards():
        path = shard.path
        for batch in read_batches(shard):
            wide = pa.types.is_uint32(batch.schema.field("tokens").type.value_type)
            if not batch.schema.equals(packed_schema(row_tokens, wide, bool(extra.get("trained")))):
                yield f"{path.name} has not the columns of packed rows"
                return
            tokens = np.asarray(batch.column("tokens").flatten())
            if int(tokens.max()) >= extra["vocab_size"]:
                yield f"{path.name} holds ids over the vocabulary of {extra['vocab_size']}"
            segments = batch.column("segments")
            parts = segments.flatten()
            lengths = np.asarray(parts.field("length"))
            sums = np.add.reduceat(lengths, np.asarray(segments.offsets)[:-1] - np.asarray(segments.offsets)[0])
            if ((sums > row_tokens) if padded else (sums != row_tokens)).any():
                yield f"{path.name} holds rows that their segments do not fill"
            if int(np.asarray(parts.field("document")).max()) >= documents:
                yield f"{path.name} names documents that _documents does not list"


def _check_listed(dataset: Dataset) -> Iterator[str]:
    """No side file is there that is not listed."""
    listed = {entry.name for entry in dataset.manifest.files}
    for folder in SIDE_FOLDERS:
        for path in sorted((dataset.path / folder).rglob("*")):
            if path.is_file() and path.relative_to(dataset.path).as_posix() not in listed:
                yield f"{path.relative_to(dataset.path)} is no part of this dataset"


def _check_dropped(dataset: Dataset) -> Iterator[str]:
    """Stages that make documents or tokens list each whole record or document that they drop (lines are counted only);
    the others only count."""
    manifest = dataset.manifest
    if manifest.kind not in ("documents", "tokens"):
        return
    recorded = _rows(dataset, "_dropped", ".ids")
    counts = next((manifest.counts[unit] for unit in _WHOLE if unit in manifest.counts), Counts())
    number = sum(recorded_drops(manifest, counts).values())
    if recorded != number:
        yield f"_dropped lists {recorded} records, the manifest counts {number}"
    by_maps = 0
    for entry in manifest.extra.get("maps", ()):
        part = Counts.from_json(entry["counts"])
        by_maps += sum(recorded_drops(manifest, part).values())
        if part.missing:
            yield f"{part.missing} documents are not accounted for by map {entry['map']}"
    number -= by_maps
    clustered = _rows(dataset, "_clusters", ".parquet")
    if clustered != number and (clustered or manifest.config.get("level") in ("document", "book", "near")):
        yield f"_clusters lists {clustered} removed documents, the manifest counts {number}"


def recorded_drops(manifest: Manifest, counts: Counts) -> dict[str, int]:
    """The drops, by reason, that a dataset lists one by one: not those of the other dataset of a pair, which has them."""
    unlisted = manifest.extra.get("unlisted", ())
    return {reason: number for reason, number in counts.dropped.items() if reason not in unlisted}


def _check_merged(dataset: Dataset) -> Iterator[str]:
    recorded = _rows(dataset, "_merged", ".ids")
    number = sum(counts.merged for counts in dataset.manifest.counts.values())
    if recorded != number:
        yield f"_merged lists {recorded} records, the manifest counts {number}"


def _check_quarantined(dataset: Dataset) -> Iterator[str]:
    set_aside = _rows(dataset, "_quarantine", ".records")
    number = sum(counts.quarantined for counts in dataset.manifest.counts.values())
    if set_aside != number:
        yield f"_quarantine holds {set_aside} records, the manifest counts {number}"


def _rows(dataset: Dataset, folder: str, end: str) -> int:
    """Rows of the side files of one kind."""
    return sum(sum(group_rows(file)) for name, file in dataset.files(folder).items() if name.endswith(end))


def _readable(problems: Iterator[str]) -> Iterator[str]:
    """The problems that a check finds, and one more if it meets a file that it cannot read."""
    try:
        yield from problems
    except DataError as error:
        yield error.message


class _UniqueIds:
    """Finds ids that occur twice by their 128-bit hashes: 16 bytes of memory an id."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []

    def add(self, column: pa.Array) -> None:
        """Add the ids of a batch."""
        digests = b"".join(xxhash.xxh3_128_digest(id.encode()) for id in column.to_pylist())
        self._parts.append(np.frombuffer(digests, dtype="<u8").reshape(-1, 2))

    def problems(self) -> Iterator[str]:
        """A sentence if an id occurs twice."""
        if not self._parts:
            return
        hashes = np.concatenate(self._parts)
        hashes = hashes[np.lexsort((hashes[:, 1], hashes[:, 0]))]
        twice = int((hashes[1:] == hashes[:-1]).all(axis=1).sum())
        if twice:
            yield f"{twice} ids occur more than once"
