"""What runs as `corpus` and `trainer`: first a look whether our packages are ours.

Their names are those of other projects on PyPI, too. Where another one's files stand in the place of ours, the programs
would end with an error that says nothing. Nothing is imported and no import is changed for this look: it reads the
beginning of four files.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("corpus", "pipelines", "tokenizer", "trainer")
"""Our top-level packages. Each says `corpusmill` at the beginning of its `__init__.py`."""
_MARK = b"corpusmill"
_HEAD_BYTES = 200


def corpus() -> None:
    """The program `corpus`."""
    _check()
    from corpus.cli import main

    main()


def trainer() -> None:
    """The program `trainer`."""
    _check()
    from trainer.cli import main

    main()


def _check() -> None:
    problem = displaced()
    if problem:
        print(f"Error: {problem}", file=sys.stderr)
        sys.exit(1)


def displaced() -> str:
    """What is wrong with the first package that is not ours, and what to do, in a sentence; empty where all are."""
    for name in PACKAGES:
        spec = find_spec(name)
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        if spec is None or not places:
            where = f" ({spec.origin} is a module of that name)" if spec is not None and spec.origin else ""
            return f"the package {name} of corpusmill is missing{where}: {_again()}."
        place = Path(places[0])
        if not _is_ours(place):
            other = _distribution(name)
            if other:
                remedy = f"pip uninstall {other}, then {_again()}"
            else:
                remedy = f"keep that folder out of PYTHONPATH and of the working directory, or {_again()}"
            return f"{place} is of another project and stands in the place of corpusmill's package {name}: {remedy}."
    return ""


def _again() -> str:
    return "pip install --force-reinstall --no-deps corpusmill (docs/install.md)"


def _is_ours(place: Path) -> bool:
    try:
        with (place / "__init__.py").open("rb") as file:
            return _MARK in file.read(_HEAD_BYTES)
    except OSError:
        return False


def _distribution(name: str) -> str:
    """Another installed distribution that has files in the package; empty where none is found."""
    from importlib.metadata import packages_distributions  # takes a while: only where something is wrong

    return next((other for other in packages_distributions().get(name, []) if other.lower() != "corpusmill"), "")
