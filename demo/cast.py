"""Invented people and places, and the cast that one document keeps from its first line to its last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from demo.prose import plain_words


def _pick(rng: Random, rule: str) -> str:
    return rng.choice(plain_words("names", rule))


def town(rng: Random) -> str:
    """An English-sounding town that does not exist, as far as we know."""
    return _pick(rng, "town_head") + _pick(rng, "town_tail")


def family(rng: Random) -> str:
    """A family name."""
    return _pick(rng, "family_head") + _pick(rng, "family_tail")


@dataclass(frozen=True, slots=True)
class Person:
    """One invented person."""

    given: str
    family: str
    female: bool

    @property
    def full(self) -> str:
        """Given name and family name."""
        return f"{self.given} {self.family}"


def person(rng: Random) -> Person:
    """A person with a given name, a family name and the pronouns that go with them."""
    female = rng.random() < 0.5
    return Person(_pick(rng, "woman" if female else "man"), family(rng), female)


@dataclass(slots=True)
class Mention:
    """Says a person's full name once, and later one of the short forms."""

    who: Person
    short: str
    first: bool = True

    def __call__(self) -> str:
        """The name as it should stand here."""
        if self.first:
            self.first = False
            return self.who.full
        return self.short


@dataclass(frozen=True, slots=True)
class Cast:
    """The names and dates of one document; `words` is what `Prose` takes."""

    person: Person
    other: Person
    town: str
    town2: str
    river: str
    street: str
    years: tuple[int, int, int]

    def words(self, familiar: bool) -> dict[str, Callable[[], str]]:
        """One callable for every word of the cast; `familiar` uses given names after the first mention."""
        she = self.person.female

        def fixed(text: str) -> Callable[[], str]:
            return lambda: text

        def mention(who: Person) -> Mention:
            return Mention(who, who.given if familiar else who.family)

        texts = {
            "town": self.town,
            "town2": self.town2,
            "river": self.river,
            "street": self.street,
            "year": str(self.years[0]),
            "year2": str(self.years[1]),
            "year3": str(self.years[2]),
            "he": "she" if she else "he",
            "his": "her" if she else "his",
            "him": "her" if she else "him",
        }
        words = {key: fixed(text) for key, text in texts.items()}
        return words | {"person": mention(self.person), "other": mention(self.other)}


def cast(rng: Random, town_name: str | None = None, earliest: int = 1640) -> Cast:
    """A fresh cast: two people, two towns, a river, a street and three years in order, none before `earliest`."""
    first = earliest + rng.randint(0, min(250, 1960 - earliest))
    second = first + rng.randint(8, 50)
    home = town_name or town(rng)
    away = town(rng)
    while away == home:
        away = town(rng)
    street = f"{_pick(rng, 'street')} {_pick(rng, 'street_kind')}"
    years = (first, second, second + rng.randint(5, 45))
    return Cast(person(rng), person(rng), home, away, _pick(rng, "river"), street, years)
