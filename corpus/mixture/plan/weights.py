"""Weights file -> Mixture: the weight of each domain, exactly as it is written.

A mixture is the section `mixture` of a recipe, or a file that holds nothing else:

    wikipedia: {share: 4.5, epochs: 2.45, max_epochs: 3}
    books: {share: 4.5, epochs: 2.23}

Every domain gives a `share` of the training tokens, a number of `epochs`, or both; a bare number is a share. Shares
sum to 1 or to 100, or to what `shares_sum` next to `mixture` says (a paper's rounded figures, or counts), to
within one millionth of that, and are then divided by their sum.

The files that DoReMi (`train_domain_weights`) and RegMix (`train`) write are read as they are. They hold weights:
both projects divide by the sum whatever it is; this reader does so too, and says it. RegMix names a domain `train_…`;
the domain is what follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from corpus.errors import UsageError
from corpus.mixture.plan.recipe_file import load_recipe_file
from corpus.option import nearest
from corpus.quantity import parse_decimal

SHARE_TOLERANCE = Fraction(1, 1_000_000)
"""How far the shares may sum from 1 (or from 100, divided by 100)."""

_FIELDS = ("share", "epochs", "max_epochs")
_SUM = "shares_sum"
_RECIPE_SECTIONS = ("domains", "tokenizer")
_FOREIGN = {"train_domain_weights": {"eval_domain_weights"}, "train": {"valid", "model_name"}}
_PREFIX = "train_"
_MOST = 10**18


@dataclass(frozen=True, slots=True)
class Weight:
    """One domain of a mixture. Numbers are the decimals of the file, as fractions; no rounding has happened."""

    domain: str
    share: Fraction | None = None
    epochs: Fraction | None = None
    max_epochs: Fraction | None = None

    def as_config(self) -> dict[str, str]:
        """The same as JSON, numbers as exact text, fields that were not given left out."""
        values = {field: getattr(self, field) for field in _FIELDS}
        return {"domain": self.domain, **{field: exact(value) for field, value in values.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class Mixture:
    """The weights of all domains, in the order of the file; either all have a share or none, and so for epochs.

    `note` is a sentence that the user should see, where the shares of the file sum to neither 1 nor 100.
    """

    weights: tuple[Weight, ...]
    note: str = ""

    @property
    def has_shares(self) -> bool:
        return self.weights[0].share is not None

    @property
    def has_epochs(self) -> bool:
        return self.weights[0].epochs is not None

    def as_config(self) -> list[dict[str, str]]:
        return [weight.as_config() for weight in self.weights]


def load_mixture(path: Path | str) -> Mixture:
    """The mixture of a recipe or weights file (a path, or the name of a packaged recipe). Raises `UsageError`."""
    return parse_mixture(load_recipe_file(str(path)), str(path))


def parse_mixture(value: object, where: str) -> Mixture:
    """A mixture from parsed YAML or JSON: a recipe, a table of domains, or DoReMi's or RegMix's form.

    `where` names the source in errors. Raises `UsageError` for anything that is not a mixture.
    """
    table, foreign = _domain_table(value, where)
    weights = tuple(_weight(domain, entry, where) for domain, entry in table.items())
    for field in ("share", "epochs"):
        without = [weight.domain for weight in weights if getattr(weight, field) is None]
        if without and len(without) < len(weights):
            raise UsageError(
                f"{where}: domain '{without[0]}' has no {field} while others have one; give it to all domains or none."
            )
    if weights[0].share is None:
        return Mixture(weights)
    total = sum((weight.share for weight in weights if weight.share is not None), Fraction(0))
    declared = _declared_sum(value, where)
    note = ""
    if not any(_near(total, whole) for whole in (1, 100)):
        if not total or not (foreign or (declared is not None and _near(total, declared))):
            said = "1 or 100" if declared is None else f"the {exact(declared)} of {_SUM}"
            raise UsageError(
                f"{where}: the shares sum to {float(total):.9g}, not to {said} (within a millionth); correct them."
            )
        # the set keeps it, and so it does not name the file, which may be called anything
        note = f"The shares of the mixture sum to {float(total):.9g} and were divided by that."
    return Mixture(tuple(replace(w, share=w.share / total) for w in weights if w.share is not None), note)


def exact(number: Fraction) -> str:
    """A fraction as text that loses nothing: a decimal where there is one (`0.045`), else `p/q`."""
    scale = 0
    while scale < 40 and (number * 10**scale).denominator != 1:
        scale += 1
    digits = number * 10**scale
    if digits.denominator != 1:
        return str(number)
    if scale == 0:
        return str(digits)
    text = str(abs(digits.numerator)).zfill(scale + 1)
    return f"{'-' if number < 0 else ''}{text[:-scale]}.{text[-scale:]}"


def _declared_sum(value: object, where: str) -> Fraction | None:
    if not isinstance(value, Mapping) or "mixture" not in value or _SUM not in value:
        return None
    number = _parsed(value[_SUM])
    if number is None or number <= 0:
        raise UsageError(f"{where}: {_SUM} is {value[_SUM]!r}; give what the shares sum to.")
    return number


def _near(total: Fraction, whole: Fraction | int) -> bool:
    return abs(total / whole - 1) <= SHARE_TOLERANCE


def _domain_table(value: object, where: str) -> tuple[Mapping[str, object], bool]:
    """The table of domains, and whether it is another project's."""
    foreign = False
    if not isinstance(value, Mapping) or not value:
        raise UsageError(f"{where} holds no mixture; it needs a table of domains, each with a share or epochs.")
    if "mixture" in value:
        section = value["mixture"]
        where = f"{where}, section mixture"
    elif any(section in value for section in _RECIPE_SECTIONS):
        raise UsageError(f"{where} is a recipe without a section 'mixture'; add it, or give another weights file.")
    else:
        key = next((key for key, others in _FOREIGN.items() if _is_foreign(value, key, others)), None)
        foreign = key is not None
        section = value if key is None else value[key]
    if not isinstance(section, Mapping) or not section:
        raise UsageError(f"{where} holds no domains; give each domain a share, epochs, or both.")
    for domain in section:
        if not isinstance(domain, str) or not domain or not domain.isprintable():
            raise UsageError(f"{where}: {domain!r} is no domain name; it has to be text.")
    if foreign and all(len(domain) > len(_PREFIX) and domain.startswith(_PREFIX) for domain in section):
        section = {domain.removeprefix(_PREFIX): entry for domain, entry in section.items()}
    return section, foreign


def _is_foreign(value: Mapping[object, object], key: str, others: set[str]) -> bool:
    """Whether the file is of another project: its table under `key`, next to it nothing but `others`."""
    return isinstance(value.get(key), Mapping) and set(value) <= {key, *others} and not _is_weight(value[key])


def _is_weight(entry: object) -> bool:
    """Whether the entry of a domain that is called `train`, rather than a table of domains."""
    return isinstance(entry, Mapping) and set(entry) <= set(_FIELDS)


def _weight(domain: str, entry: object, where: str) -> Weight:
    if not isinstance(entry, Mapping):
        return Weight(domain, share=_number(entry, domain, "share", where))
    for key in entry:
        if key not in _FIELDS:
            hint = nearest(str(key), _FIELDS)
            raise UsageError(f"{where}: domain '{domain}' has an unknown key '{key}'; {hint}")
    numbers = {key: _number(number, domain, key, where) for key, number in entry.items()}
    if "share" not in numbers and "epochs" not in numbers:
        raise UsageError(f"{where}: domain '{domain}' has neither a share nor epochs; give it one of them.")
    weight = Weight(domain, **numbers)
    if weight.max_epochs is not None:
        if weight.max_epochs == 0:
            raise UsageError(f"{where}: max_epochs of domain '{domain}' is 0; leave the domain out instead.")
        if weight.epochs is not None and weight.epochs > weight.max_epochs:
            raise UsageError(
                f"{where}: domain '{domain}' has epochs {exact(weight.epochs)}, more than its max_epochs "
                f"{exact(weight.max_epochs)}; change one of them."
            )
    return weight


def _number(value: object, domain: str, key: str, where: str) -> Fraction:
    number = _parsed(value)
    if number is None:
        raise UsageError(f"{where}: {key} of domain '{domain}' is {value!r}; give a number from 0 to {_MOST:.0e}.")
    if number < 0:
        raise UsageError(f"{where}: {key} of domain '{domain}' is {value}, less than zero; give a number from 0 up.")
    return number


def _parsed(value: object) -> Fraction | None:
    """The decimal that was written: the shortest text of a float is what stood in the file. None for anything that is
    no number or too large."""
    try:
        number = parse_decimal(value)
    except ValueError:
        return None
    return number if number <= _MOST else None
