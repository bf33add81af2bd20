"""What the trainer needs of `corpusmill[train]`, asked for by name where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec

from corpus.errors import UsageError

NEEDED = ("torch", "safetensors")


def needed(error: ModuleNotFoundError) -> Exception:
    """What to raise for a module that is not there: a UsageError where it is one of `corpusmill[train]`."""
    name = (error.name or "").partition(".")[0]
    return _sentence(name) if name in NEEDED else error


def check_needed() -> None:
    """A UsageError where a module is not there that training needs."""
    for name in NEEDED:
        if find_spec(name) is None:
            raise _sentence(name)


def _sentence(name: str) -> UsageError:
    return UsageError(f"this needs {name}, which is not installed: pip install 'corpusmill[train]' (docs/install.md).")
