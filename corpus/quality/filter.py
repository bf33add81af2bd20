"""Step `filter`: documents of low quality go, by named rule sets with their thresholds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from corpus.config import build, check_options, option_names, parse_option
from corpus.engine.document_map import DocumentMap
from corpus.errors import UsageError
from corpus.option import SHARDS_ARE_INHERITED, nearest, option
from corpus.quality.rules.registry import PRESETS, RULES
from corpus.quality.sample import SampleByScore, SampleForm
from corpus.quantity import parse_quantity

_LIMITED = ("min_chars", "max_chars")
"""Rule sets that can be written with their limit, as in `min_chars:300`."""
_LISTED = "badwords"
"""The rule set that is written with its list, as in `badwords:FILE`."""
_DEFAULT = ("gopher",)
RuleEntry = str | Mapping[str, Any]


@dataclass(frozen=True)
class FilterConfig:
    """Which rule sets a document has to pass, in order."""

    removed: ClassVar[Mapping[str, str]] = SHARDS_ARE_INHERITED

    rules: tuple[str | dict[str, Any], ...] = option(
        (),
        "Rule sets or presets in order: gopher (gopher_quality, gopher_repetition), fineweb, c4, c4-paper, code, pii,"
        " badwords:FILE, length, min_chars:N, max_chars:N; with models perplexity, reference, cited; gopher where nothing else is"
        " asked for.",
        metavar="RULE",
    )
    languages: tuple[str, ...] = option(
        (), "Keep only documents whose language (of langid, or of their dump) is one of these.", metavar="LANGUAGE"
    )
    set: tuple[str, ...] = option(
        (), "A threshold of a rule set, as gopher_quality.min_words=40.", metavar="RULE.SETTING=VALUE"
    )

    annotate: bool = option(
        False, "Write what the rule sets measure and why they would drop a document as columns; they drop nothing."
    )
    where: str = option(
        "",
        'Then keep only documents for which this SQL expression over columns is true, as "perplexity < 500".',
        metavar="SQL",
    )
    sample_by_score: str = option(
        "", "Then keep a document with a probability that this column gives, a score from 0 to 1.", metavar="COLUMN"
    )
    sample_form: SampleForm = option(
        "linear", "linear: with the probability of the score (PaLM); pareto: (2 - score)^-alpha (GPT-3, GLaM)."
    )
    sample_alpha: float = option(9.0, "The exponent of pareto (GPT-3: 9).", above=0)
    sample_seed: int = option(0, "Seed of the draw, which follows from it and the document's id.", least=0)
    sample_missing: Literal["drop", "keep"] = option(
        "drop", "Documents without a score, as where there was too little to train a classifier: drop or keep them."
    )

    def __post_init__(self) -> None:
        check_options(self)
        self.maps()

    def maps(self) -> tuple[DocumentMap, ...]:
        """The rule sets as maps; a UsageError names what does not exist."""
        asked = self.rules or self.languages or self.where or self.sample_by_score
        entries = list(_expanded(self.rules if asked else _DEFAULT))
        if self.languages:
            entries.insert(0, ("languages", {"keep": self.languages}))
        _override(entries, self.set)
        rules = [build(f"filter rule {name}", RULES.load(name), settings) for name, settings in entries]
        return (*(_annotated(rules) if self.annotate else rules), *self._by_columns())

    def _by_columns(self) -> Iterator[DocumentMap]:
        """The maps that decide by columns."""
        if self.where:
            from corpus.quality.where import Where

            yield Where(self.where)
        if self.sample_by_score:
            yield SampleByScore(
                self.sample_by_score, self.sample_form, self.sample_alpha, self.sample_seed, self.sample_missing
            )


def _annotated(rules: Sequence[DocumentMap]) -> list[DocumentMap]:
    """The rules as maps that write columns."""
    from corpus.quality.annotated import Annotated

    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--annotate: {name} is named twice, and its columns have its name: name it once.")
    return [Annotated(rule) for rule in rules]


def _expanded(rules: Iterable[RuleEntry]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Names and settings of the rule sets, presets replaced by what they stand for."""
    for rule in rules:
        if isinstance(rule, Mapping):
            for written, settings in ((str(key), value) for key, value in rule.items()):
                if not isinstance(settings, Mapping | None):
                    raise UsageError(f"filter rule {written} is {settings!r}: give its settings as a table.")
                yield _known(written), dict(settings or {})
            continue
        for part in PRESETS.get(rule, (rule,)):
            written, colon, limit = part.partition(":")
            name = _known(written)
            if name == _LISTED:
                yield name, {"list": limit} if colon else {}
                continue
            if colon and name not in _LIMITED:
                raise UsageError(f"filter rule '{part}' takes no limit: give '{name}'.")
            yield name, {"limit": _limit(part, name, limit)} if colon else {}


def _limit(rule: str, name: str, limit: str) -> int:
    try:
        return parse_quantity(limit)
    except ValueError:
        raise UsageError(f"filter rule '{rule}' needs a whole number: give it as '{name}:300'.") from None


def _known(written: str) -> str:
    """The name of a rule set that may be written with its version, as `gopher_quality@1`; only that version is taken."""
    name, at, version = written.partition("@")
    if name not in RULES:
        raise UsageError(f"there is no filter rule '{name}': {nearest(name, [*RULES, *PRESETS])}")
    current = getattr(RULES.load(name), "version", None) if at else None
    if at and current is None:
        raise UsageError(f"filter rule '{written}': {name} has no versions: write '{name}'.")
    if at and version != str(current):
        raise UsageError(
            f"filter rule '{written}': there is version {current} of {name} here: write '{name}@{current}', or take the"
            " release of corpusmill that has the other."
        )
    return name


def _override(entries: Sequence[tuple[str, dict[str, Any]]], assignments: Iterable[str]) -> None:
    """Set thresholds given as `rule.setting=value`."""
    for assignment in assignments:
        place, equals, value = assignment.partition("=")
        name, dot, key = place.strip().partition(".")
        if not (equals and dot):
            raise UsageError(
                f"--set {assignment} is not RULE.SETTING=VALUE: write for example gopher_quality.min_words=40."
            )
        named = [settings for entry, settings in entries if entry == name]
        if not named:
            given = sorted({entry for entry, _ in entries})
            if name in RULES:
                raise UsageError(f"--set {assignment}: {name} is not among the rules: add --rules {name}.")
            raise UsageError(f"--set {assignment}: {name} is not among the rules; {nearest(name, given)}")
        rule = RULES.load(name)
        if key not in option_names(rule):
            raise UsageError(f"--set {assignment}: {name} has no setting '{key}'; {nearest(key, option_names(rule))}")
        try:
            number = parse_option(rule, key, value)
        except UsageError as error:
            raise UsageError(f"--set {assignment}: {error.message}") from None
        for settings in named:
            settings[key] = number
