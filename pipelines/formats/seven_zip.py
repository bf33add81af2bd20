"""Single members of 7z archives, unpacked into a folder; what of a damaged archive can be had is given."""

import errno
from collections.abc import Collection
from pathlib import Path

import py7zr

from corpus.errors import DataError

DECODERS = frozenset(
    "py7zr _lzma zlib backports compression pyzstd brotli _brotli brotlicffi pyppmd bcj inflate64 struct".split()
)
"""The packages whose errors mean a damaged archive: py7zr and the decoders of its versions."""
DAMAGE = (OSError, ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError, EOFError,
          RuntimeError)  # fmt: skip
"""What py7zr lets through when a field of an archive makes no sense."""


def extract(path: Path, folder: Path, main: str, beside: Collection[str] = ()) -> tuple[dict[str, Path], str | None]:
    """Unpacks the first member called `main` (without its folders), and those called like one of `beside` in its folder.

    Gives what was unpacked by these names, and what was wrong with the archive (None if nothing). A DataError where the
    disk is at fault.
    """
    if path.stat().st_size == 0:
        return {}, "empty file"
    targets: dict[str, str] = {}
    fault = None
    try:
        with py7zr.SevenZipFile(path) as archive:
            held = archive.getnames()
            first = next((name for name in held if name.rsplit("/", 1)[-1] == main), None)
            if first is None:
                return {}, None
            if Path(first).is_absolute() or ".." in Path(first).parts:
                return {}, "unsafe path in 7z"
            above = first.removesuffix(main)
            targets = {main: first, **{name: above + name for name in beside if above + name in held}}
            archive.extract(path=folder, targets=list(targets.values()))
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # of the system, not of a decoder
            raise DataError(f"cannot unpack {path}: {error.strerror}; check the file and the disk") from error
        if not _is_damage(error):
            raise
        fault = "unreadable 7z"
    return {name: folder / target for name, target in targets.items() if (folder / target).is_file()}, fault


def _is_damage(error: Exception) -> bool:
    modules = {base.__module__.partition(".")[0] for base in type(error).__mro__}
    return isinstance(error, DAMAGE) or not modules.isdisjoint(DECODERS)
