"""The last phase of a stage: add the counts up, check them, give the shards their names, write the manifest last."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from corpus.data.card import write_card
from corpus.data.files import sync_file
from corpus.data.manifest import SIDE_FILES, SIDE_FOLDERS, Counts, FileEntry, Manifest, ShardEntry
from corpus.data.stored import Digests
from corpus.data.trail import dropped_reasons, quarantine_files, sample_files, unreadable_reasons
from corpus.engine.alarms import DEFAULT_ALARMS, REASONS, Alarms, check_alarms, listing
from corpus.engine.commit import Commit, move_file
from corpus.engine.dropped import merge_samples
from corpus.engine.faults import fault
from corpus.engine.result import TaskResult
from corpus.engine.stage import Stage
from corpus.errors import DataError
from corpus.version import __version__


class NothingLeftError(DataError):
    """A stage that kept nothing of its input."""


REMOVED = "removed"
"""Why a record is dropped that `corpus remove` names."""
_RECORDED = ("datatrove", "fasttext-numpy2", "numba", "numpy", "pyarrow", "sentencepiece", "xxhash")


def commit_stage(
    stage: Stage, output: Path, results: Mapping[str, Sequence[TaskResult]], alarms: Alarms = DEFAULT_ALARMS
) -> Manifest:
    """Make the dataset of `stage` below `output` from the published task results.

    The trail (drops, records set aside, reports) is in its place before anything can be found wrong with the whole, so
    that it can be looked at.
    """
    everything = [result for phase in results.values() for result in phase]
    counts = _add_counts(stage, everything)
    totals: dict[str, int] = {}
    for result in everything:
        for name, value in result.totals.items():
            totals[name] = totals.get(name, 0) + value
    names = final_names(stage, results)
    shards = _place_shards(output, _shard_results(stage, results), names)
    fault("shards-placed")
    commit = Commit(output, results, shards, totals, counts)
    _place_side_files(commit, everything, names)
    if not shards and not stage.may_be_empty():
        raise NothingLeftError(_nothing_left(stage, output, counts))
    stage.finish(commit)
    check_alarms(stage, output, counts, commit.extra, alarms)
    references = [
        {"name": ref.name, "digest": commit.input_digests.get(ref.name, ref.digest)} for ref in stage.inputs()
    ]
    files = _side_files(commit)
    manifest = Manifest(
        kind=stage.kind,
        stage=stage.name,
        config=stage.whole_config(),
        inputs=tuple(references),
        counts={unit: counts[unit] for unit in sorted(counts)},
        totals=dict(sorted(commit.totals.items())),
        shards=shards,
        files=files,
        columns=commit.columns,
        seed=stage.seed(),
        extra=commit.extra,
        versions=versions(),
    )
    write_card(output, stage.kind, stage.name, manifest.rows, manifest.digest)
    for parent, folders, _ in os.walk(output):
        folders[:] = [folder for folder in folders if folder not in ("_work", "_log")]
        sync_file(Path(parent))
    fault("before-manifest")
    manifest.save(output)
    fault("after-manifest")
    return manifest


def _side_files(commit: Commit) -> tuple[FileEntry, ...]:
    """All files of the dataset but its shards, card and manifest, and its log. Of those that tasks made the digests are
    the tasks', so that what happened to them since is noticed."""
    output = commit.output
    found = [path for name in SIDE_FOLDERS for path in sorted((output / name).rglob("*")) if path.is_file()]
    found += [output / name for name in SIDE_FILES if (output / name).exists()]
    names = {path.relative_to(output).as_posix(): path for path in found}
    digests = {name: commit.known.get(name) or Digests.of(path) for name, path in names.items()}
    return tuple(FileEntry(name, known.size, known.checksum, known.blocks) for name, known in digests.items())


def versions() -> dict[str, str]:
    """The package versions that a manifest records (and nobody compares)."""
    found = {"corpusmill": __version__}
    for name in _RECORDED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _add_counts(stage: Stage, results: Sequence[TaskResult]) -> dict[str, Counts]:
    counts: dict[str, Counts] = {stage.unit: Counts()}
    for result in results:
        for unit, part in result.counts.items():
            counts.setdefault(unit, Counts()).add(part)
    for unit, total in counts.items():
        assert total.missing == 0, f"stage {stage.name} lost {total.missing} {unit}: {total}"
    return counts


def _nothing_left(stage: Stage, output: Path, counts: Mapping[str, Counts]) -> str:
    total = counts[stage.unit]
    if not total.seen:
        return f"stage {stage.name} found no {stage.unit} in its input: check the input path and its file patterns."
    reasons = dropped_reasons(output, total.dropped, REASONS) + unreadable_reasons(output, REASONS)
    reasons = sorted(reasons, key=lambda entry: -entry.number)[:REASONS]
    kept = {"--dropped": sample_files(output), "--quarantined": quarantine_files(output)}
    looks = [f"see them with corpus inspect {output} {flag}" for flag, files in kept.items() if files]
    change = stage.remedy([entry.reason for entry in reasons]) or "loosen its settings"
    remedy = "; ".join([*looks, f"{change} or check the input"])
    return (
        f"stage {stage.name} kept none of {total.seen:,} {stage.unit}:{listing(reasons)}\n"
        f"{remedy[0].upper()}{remedy[1:]}."
    )


def final_names(stage: Stage, results: Mapping[str, Sequence[TaskResult]]) -> dict[Path, str]:
    """The names below the output of what tasks have published, by their paths in the tasks' directories: of shards, and
    of what each task dropped, merged and set aside, under the number of the task: whoever looks for a record knows by
    which task it was read."""
    everything = [result for phase in results.values() for result in phase]
    shards = [result.directory / entry.name for result in _shard_results(stage, results) for entry in result.shards]
    names = {path: f"{number:05d}{path.suffix}" for number, path in enumerate(shards)}
    for name, folder, suffix in (
        ("dropped", "_dropped", "ids"), ("merged", "_merged", "ids"), ("quarantine", "_quarantine", "records"),
    ):  # fmt: skip
        found = [result.directory for result in everything if name in result.files]
        several = len({directory.parent for directory in found}) > 1
        for directory in found:
            phase = f"{directory.parent.name}-" if several else ""
            names[directory / name] = f"{folder}/{phase}{directory.name}.{suffix}"
    return names


def _shard_results(stage: Stage, results: Mapping[str, Sequence[TaskResult]]) -> Sequence[TaskResult]:
    if stage.shard_phase():
        return results[stage.shard_phase()]
    return [result for phase in results.values() for result in phase]


def _place_shards(output: Path, results: Sequence[TaskResult], names: Mapping[Path, str]) -> tuple[ShardEntry, ...]:
    placed: list[ShardEntry] = []
    for result in results:
        for entry in result.shards:
            source = result.directory / entry.name
            target = move_file(source, output / names[source])
            if target.stat().st_size != entry.bytes:
                raise DataError(f"{target} was cut short after it was written: run the command again with --overwrite.")
            placed.append(dataclasses.replace(entry, name=names[source]))
    return tuple(placed)


def _place_side_files(commit: Commit, results: Sequence[TaskResult], names: Mapping[Path, str]) -> None:
    for source, name in names.items():
        if source.name in ("dropped", "merged", "quarantine"):
            commit.adopt(source, name)
    merge_samples(
        [result.file("samples") for result in results if result.dropped], commit.output / "_dropped" / "samples"
    )
