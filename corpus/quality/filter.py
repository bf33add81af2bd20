"""Stage `filter`: documents of low quality go, by named rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from corpus.domains import inherited_domains
from corpus.engine.inputs import dataset_inputs, group_batches, open_inputs, shard_groups, text_bytes
from corpus.engine.stage import InputRef, Phase, Stage
from corpus.errors import UsageError
from corpus.option import nearest, option
from corpus.quality.rules.rule import Rule, apply_rules

if TYPE_CHECKING:
    import pyarrow as pa

    from corpus.engine.publish import Commit
    from corpus.engine.task import DocumentWriter, Task

PRESETS: Mapping[str, tuple[str, ...]] = {
    "gopher": ("gopher_quality", "gopher_repetition"),
    "c4-paper": ("c4_paper",),
    "length": ("min_chars:300",),
}
"""Names for several rules, or for one with its usual limit. `c4` and `code` are rules themselves."""


OTHER_LANGUAGE = "languages: another language"
"""Why a document goes that is in none of the wanted languages."""
PLAIN = ("gopher_quality", "gopher_repetition", "c4", "c4_paper", "code")
"""Rules without a limit."""
LIMITED = ("min_chars", "max_chars")
"""Rules with a limit, as in `min_chars:300`."""


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """The rules with presets replaced by what they stand for; a UsageError names a rule that does not exist."""
    rules = tuple(rule for name in names for rule in PRESETS.get(name, (name,)))
    for rule in rules:
        name, colon, limit = rule.partition(":")
        if name not in (*PLAIN, *LIMITED):
            raise UsageError(f"there is no filter rule '{name}': {nearest(name, [*PLAIN, *LIMITED, *PRESETS])}")
        if name in PLAIN and colon:
            raise UsageError(f"filter rule '{rule}' takes no limit: give '{name}'.")
        if name in LIMITED and not (limit.isascii() and limit.isdigit()):
            raise UsageError(f"filter rule '{rule}' needs a whole number: give it as '{name}:300'.")
    return rules


def make_rule(rule: str) -> Rule:
    """The rule of `name` or `name:limit`, as `expand` gives it."""
    from corpus.quality.rules import c4, code, gopher, length

    name, _, limit = rule.partition(":")
    match name:
        case "gopher_quality":
            return gopher.gopher_quality()
        case "gopher_repetition":
            return gopher.gopher_repetition()
        case "c4":
            return c4.c4(c4.CODE)
        case "c4_paper":
            return c4.c4(c4.PAPER)
        case "code":
            return code.code()
        case "min_chars":
            return length.min_chars(int(limit))
    assert name == "max_chars", rule
    return length.max_chars(int(limit))


@dataclass(frozen=True)
class FilterConfig:
    """Which rules a document has to pass, in order."""

    rules: tuple[str, ...] = option(
        ("gopher",),
        "Rules or presets in order: gopher (gopher_quality, gopher_repetition; for English), c4, c4-paper, code, length,"
        " min_chars:N, max_chars:N.",
        metavar="RULE",
    )
    languages: tuple[str, ...] = option(
        (), "Keep only documents whose language (of langid, or of their dump) is one of these.", metavar="LANGUAGE"
    )
    shard_bytes: int = option(256_000_000, "Data bytes after which an output shard is closed.")

    def __post_init__(self) -> None:
        if not self.rules and not self.languages:
            raise UsageError("no filter rule is given: name at least one, such as gopher.")
        expand(self.rules)


@dataclass(frozen=True)
class FilterStage(Stage):
    """Drops the documents that a rule rejects, with the reason `rule: why`; a cleaning rule also changes the text."""

    documents: tuple[str, ...]
    settings: FilterConfig = FilterConfig()
    name: ClassVar[str] = "filter"
    kind: ClassVar[str] = "documents"
    unit: ClassVar[str] = "documents"

    def config(self) -> Mapping[str, Any]:
        return asdict(self.settings) | {"rules": list(expand(self.settings.rules))}

    def inputs(self) -> tuple[InputRef, ...]:
        return dataset_inputs(open_inputs(self.documents))

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("filter", len(shard_groups(open_inputs(self.documents), self.settings.shard_bytes))),)

    def run(self, phase: str, index: int, task: Task) -> None:
        rules = [make_rule(rule) for rule in expand(self.settings.rules)]
        writer = task.documents(self.settings.shard_bytes)
        group = shard_groups(open_inputs(self.documents), self.settings.shard_bytes)[index]
        for batch in group_batches(group):
            filter_batch(rules, frozenset(self.settings.languages), batch, task, writer)
            task.progress(documents=batch.num_rows, bytes=batch.column("text").nbytes)

    def finish(self, commit: Commit) -> None:
        commit.extra["domains"] = inherited_domains(open_inputs(self.documents))

    def input_bytes(self) -> int:
        return text_bytes(open_inputs(self.documents))


def filter_batch(
    rules: list[Rule], languages: frozenset[str], batch: pa.RecordBatch, task: Task, writer: DocumentWriter
) -> None:
    """Write the documents of a batch that are in one of `languages` (none: any) and pass all rules, drop the others."""
    import pyarrow as pa

    texts: list[str] = []
    stays: list[bool] = []
    changed = False
    spoken = batch.column("language").to_pylist()
    for row, text in enumerate(batch.column("text").to_pylist()):
        wanted = not languages or spoken[row] in languages
        cleaned, reason = apply_rules(rules, text) if wanted else (text, OTHER_LANGUAGE)
        stays.append(reason is None)
        texts.append(cleaned)
        changed = changed or cleaned != text
        if reason is not None:
            task.drop(batch.column("id")[row].as_py(), reason, text)
    task.count(seen=batch.num_rows, kept=sum(stays))
    if changed:
        columns = {name: batch.column(name) for name in batch.schema.names}
        columns["text"] = pa.array(texts, pa.large_string())
        batch = pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)
    writer.write(batch if all(stays) else batch.filter(pa.array(stays)))
