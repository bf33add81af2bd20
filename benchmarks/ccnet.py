"""`python -m benchmarks.ccnet`: installs CCNet in an environment of its own and prints where its packages lie.

The conformance tests and the benchmark of dedup compare with it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.environment import environment


def ccnet_python() -> Path:
    """The Python that has `cc_net`. Its metadata names a package by URL, which later versions of pip refuse to read."""
    needed = ["pip==23.2.1", "numpy", "pandas", "requests", "psutil", "func_argparse", "beautifulsoup4"]
    return environment("cc-net", needed, ["cc-net"])


def main() -> None:
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    subprocess.run([str(ccnet_python()), "-c", code], check=True)


if __name__ == "__main__":
    main()
