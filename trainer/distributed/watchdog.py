"""Names the rank that the others wait for. A collective says nothing of who is missing until its patience ends, an hour later."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from time import monotonic

from torch.distributed import TCPStore  # type: ignore[attr-defined]  # torch does not list what it exports

from trainer.distributed.ranks import Ranks

_POLLS = 10
"""Looks within the time after which a rank is named."""


class Watchdog:
    """Every rank says where it is; rank 0 looks, in a thread, whether any of them has come further.

    All ranks must pass the same places in the same order. `seconds`: without progress of any until somebody is named.
    """

    def __init__(self, ranks: Ranks, seconds: float, say: Callable[[str], None]) -> None:
        self._ranks, self._seconds, self._say = ranks, seconds, say
        self._places = 0
        self._ended = threading.Event()
        host = os.environ["MASTER_ADDR"]
        self._store = TCPStore(host, 0, is_master=True, wait_for_workers=False) if ranks.first else None
        port = ranks.from_rank_0(lambda: self._store.port if self._store is not None else 0)
        if self._store is None:
            self._store = TCPStore(host, port, is_master=False, wait_for_workers=False)
        self.at("starting")
        ranks.wait()
        self._thread: threading.Thread | None = None
        if ranks.first:
            eyes = TCPStore(host, port, is_master=False, wait_for_workers=False)
            self._thread = threading.Thread(target=self._watch, args=(eyes,), name="watchdog", daemon=True)
            self._thread.start()

    def at(self, place: str) -> None:
        """This rank begins with something."""
        self._places += 1
        assert self._store is not None
        self._store.set(str(self._ranks.rank), json.dumps([self._places, place, socket.gethostname()]))

    def _watch(self, store: TCPStore) -> None:
        seen: list[tuple[int, str, str]] = []
        since, named = monotonic(), False
        while not self._ended.wait(self._seconds / _POLLS):
            now = [tuple(json.loads(store.get(str(rank)))) for rank in range(self._ranks.size)]
            if now != seen:
                if named:
                    self._say(f"the ranks go on after {monotonic() - since:.0f} s")
                seen, since, named = now, monotonic(), False
            elif not named and monotonic() - since >= self._seconds:
                named = True
                self._say(_sentence(seen, self._seconds))

    def close(self) -> None:
        """Look no more; rank 0 keeps the store until all are here."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()


def _sentence(places: list[tuple[int, str, str]], seconds: float) -> str:
    least = min(count for count, _, _ in places)
    behind = [(rank, place, host) for rank, (count, place, host) in enumerate(places) if count == least]
    if len(behind) == len(places):
        return f"no rank has come further for {seconds:g} s: all of them are {behind[0][1]}"
    who = "; ".join(f"rank {rank} (on {host}) is {place}" for rank, place, host in behind)
    return f"the ranks have waited for {seconds:g} s for {len(behind)} of {len(places)}: {who}"
