"""Versions, extras, and distributions whose files stand in each other's place."""

from __future__ import annotations

import platform
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import PurePosixPath

from corpus.doctor.finding import Finding, note, ok, problem
from corpus.version import __version__

TOPIC = "packages"
_LEAST = (3, 11)
_MODULE_ENDINGS = (".py", ".so", ".pyd")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([\w-]+)['\"]")
_NAME = re.compile(r"^[\w.-]+")
_SHOWN_EXTRAS = ("train", "hub", "s3", "gcs", "ray", "report", "eval", "wandb")


def look() -> Iterator[Finding]:
    """Python, corpusmill, what it needs, its extras, and what shadows what."""
    found = platform.python_version()
    if sys.version_info < _LEAST:
        yield problem(TOPIC, "Python", found, "use Python 3.11 or newer")
    else:
        yield ok(TOPIC, "Python", f"{found} on {platform.platform(terse=True)}, {platform.machine()}")
    yield from _own()
    yield from shadowed(distributions())


def _own() -> Iterator[Finding]:
    from corpusmill.programs import displaced

    wrong = displaced()
    if wrong:
        yield problem(TOPIC, "corpusmill", wrong, "see docs/install.md")
        return
    try:
        own = distribution("corpusmill")
    except PackageNotFoundError:
        yield note(TOPIC, "corpusmill", f"{__version__}, run from its source and not installed", "pip install .")
        return
    yield ok(TOPIC, "corpusmill", own.version)
    requirements = own.requires or []
    lacking = missing(requirements, "")
    if lacking:
        install = "pip install --upgrade corpusmill"
        yield problem(TOPIC, "dependencies", f"{', '.join(lacking)} missing", install)
    else:
        yield ok(TOPIC, "dependencies", f"all {sum(not _EXTRA.search(entry) for entry in requirements)} are there")
    for extra in _SHOWN_EXTRAS:
        if not any(extra in _EXTRA.findall(entry) for entry in requirements):
            continue
        lacking = missing(requirements, extra)
        if lacking:
            yield note(TOPIC, f"extra {extra}", f"without {', '.join(lacking)}", f"pip install 'corpusmill[{extra}]'")
        else:
            yield ok(TOPIC, f"extra {extra}", "installed")


def missing(requirements: Iterable[str], extra: str) -> list[str]:
    """The requirements of an extra (empty: of all) that are not there, or not of a version that is asked for."""
    found = []
    for entry in requirements:
        if extra not in (_EXTRA.findall(entry) or [""]):
            continue
        wanted = entry.partition(";")[0].strip()
        name = _NAME.match(wanted)
        try:
            version = distribution(name[0] if name else wanted).version
        except PackageNotFoundError:
            found.append(wanted)
            continue
        if not _fits(wanted, version):
            found.append(f"{wanted} (there is {version})")
    return found


def _fits(wanted: str, version: str) -> bool:
    """Whether a version is one that a requirement takes; where `packaging` is not there, it is believed to be."""
    try:
        from packaging.requirements import Requirement
    except ModuleNotFoundError:
        return True
    return Requirement(wanted).specifier.contains(version, prereleases=True)


def shadowed(installed: Iterable[Distribution]) -> Iterator[Finding]:
    """Distributions that are installed twice, and modules that several of them brought: which one's files are there is
    chance."""
    versions: dict[str, list[str]] = defaultdict(list)
    owners: dict[str, set[str]] = defaultdict(set)
    for one in installed:
        name = re.sub(r"[-_.]+", "-", one.metadata["Name"] or "").lower()
        if one.version not in versions[name]:
            versions[name].append(one.version)
        for module in _modules(one):
            owners[module].add(name)
    clean = True
    for name, several in sorted(versions.items()):
        if len(several) > 1:
            clean = False
            said = f"{', '.join(several)} are installed; {several[0]} is the one that is used"
            yield problem(TOPIC, name, said, f"pip uninstall {name}, as often as it takes, and install one")
    for module, names in sorted(owners.items()):
        if len(names) > 1:
            clean = False
            listed = ", ".join(sorted(names))
            remedy = f"keep one: pip uninstall {' '.join(sorted(names))}, then install it again"
            yield problem(TOPIC, module, f"several distributions brought it ({listed}); the last to come won", remedy)
    if clean:
        yield ok(TOPIC, "shadows", "no two distributions brought the same module")


def _modules(one: Distribution) -> Iterator[str]:
    """The top-level modules and packages whose own file a distribution brought; not those that several may share."""
    for file in one.files or ():
        parts = PurePosixPath(file).parts
        if len(parts) == 2 and parts[1] == "__init__.py" and parts[0] != "..":
            yield parts[0]
        elif len(parts) == 1 and parts[0].endswith(_MODULE_ENDINGS) and not parts[0].startswith("__"):
            yield parts[0].partition(".")[0]
