"""`python -m benchmarks.lmplz`: builds KenLM's estimator from the sources of its package and prints where it lies.

The conformance tests compare with it. It needs cmake, a compiler, and Boost, Eigen, zlib, bz2 and lzma with their headers
(Debian: cmake g++ libboost-all-dev libeigen3-dev zlib1g-dev libbz2-dev liblzma-dev); without them nothing is printed.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

KENLM = "0.3.0"
FOLDER = Path("out/benchmarks/kenlm")


def lmplz() -> Path:
    """The program `lmplz`, built on first use; a CalledProcessError where that fails."""
    folder = FOLDER.resolve()
    built = folder / f"kenlm-{KENLM}" / "build" / "bin" / "lmplz"
    if built.exists():
        return built
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([*pip, "--no-binary", "kenlm", f"kenlm=={KENLM}", "--dest", str(folder)], folder)
    with tarfile.open(folder / f"kenlm-{KENLM}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    build = built.parents[1]
    build.mkdir(exist_ok=True)
    _run(["cmake", "..", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_POLICY_VERSION_MINIMUM=3.5"], build)
    _run(["make", "lmplz", "build_binary"], build)
    return built


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)


def main() -> None:
    try:
        print(lmplz())
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"lmplz cannot be built ({error}): {__doc__}", file=sys.stderr)


if __name__ == "__main__":
    main()
