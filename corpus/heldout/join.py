"""What the choices of all domains mean for one of them: the texts of others that it has, and the copies in its validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.engine.task import Task
from corpus.errors import DataError
from corpus.heldout.choice import (
    DOCUMENT_HASH,
    JOINED,
    REPEATED,
    TRAINED,
    Hashes,
    Keys,
    Texts,
    among,
    load_mapped,
    ranks,
)

CHOSEN = "chosen.npy"
"""The texts that a domain chose itself: S16[n], ascending."""


@dataclass(frozen=True)
class Joined:
    """What joins the choice of a domain, and what does not stay in its validation."""

    joined: Texts
    """The texts that other domains chose and that this one has: S16[k], ascending."""
    repeated: Keys
    """The documents of held-out texts but for one of each text, the one with the smallest hash of its id: ascending."""
    trained: Texts
    """Held-out texts that further training has: S16[k], ascending."""
    notes: Mapping[str, Any]
    """How many `documents` there are, `held_out` of them, and of these `repeated` and `trained` (not repeated); the `bytes`
    of the others and of the `largest` of them; `joined`, [domain, documents held out for the texts it chose]; `places`,
    [further training, documents dropped for its texts]."""

    def save(self, task: Task) -> None:
        """Write the tables and notes."""
        for name, table in ((JOINED, self.joined), (REPEATED, self.repeated), (TRAINED, self.trained)):
            np.save(task.directory / name, table)
        for name, value in self.notes.items():
            task.note(name, value)


def join(
    domain: int,
    folders: Sequence[Path],
    documents: Iterable[Hashes],
    further: Sequence[Callable[[], Iterable[Hashes]]] = (),
) -> Joined:
    """What joins the choice of the domain with number `domain`; `folders` have what each domain chose (`CHOSEN`),
    `documents` goes through the hashes of its documents, and `further` through those of each further training.

    Raises `DataError` where a document is there twice, since the sides could not tell which of the two is meant.
    """
    chosen = [load_mapped(folder / CHOSEN) for folder in folders]
    known, first = np.unique(np.concatenate([chosen[domain], *chosen]), return_index=True)
    owners = np.repeat([domain, *range(len(chosen))], [len(chosen[domain]), *map(len, chosen)])[first]
    total, held = _held_out(documents, known)
    owner = owners[np.searchsorted(known, held["text"])]
    joins = owner != domain
    again = np.zeros(len(held), np.bool_)
    again[1:] = held["text"][1:] == held["text"][:-1]
    if (again[1:] & (held["id"][1:] == held["id"][:-1])).any():
        raise DataError("Documents of the same id and text are there twice: give each dataset once.")
    trained, places = np.zeros(len(held), np.bool_), []
    for place, parts in enumerate(further):
        found = np.zeros(len(held), np.bool_)
        for part in parts():
            found |= among(held["text"], np.unique(part["text"]))
        places.append([place, int(np.count_nonzero(found & ~trained & ~again))])
        trained |= found
    size = held["bytes"][~again & ~trained]
    domains, counts = np.unique(owner[joins], return_counts=True)
    return Joined(
        np.unique(held["text"][joins]),
        np.sort(held["id"][again]),
        np.unique(held["text"][trained]),
        {
            "documents": total,
            "held_out": len(held),
            "repeated": int(np.count_nonzero(again)),
            "trained": int(np.count_nonzero(trained & ~again)),
            "bytes": int(size.sum()),
            "largest": int(size.max(initial=0)),
            "joined": [list(pair) for pair in zip(domains.tolist(), counts.tolist(), strict=True)],
            "places": [entry for entry in places if entry[1]],
        },
    )


def _held_out(documents: Iterable[Hashes], known: Texts) -> tuple[int, Hashes]:
    """How many documents there are, and those with a text in `known` (ascending), by text and hash of the id."""
    total, held = 0, [np.empty(0, DOCUMENT_HASH)]
    firsts = ranks(known)
    for part in documents:
        total += len(part)
        likely = part[among(ranks(part["text"]), firsts)]  # numbers compare much faster than hashes of 16 bytes
        held.append(likely[among(likely["text"], known)])
    every = np.concatenate(held)
    return total, every[np.lexsort((every["id"], every["text"]))]
