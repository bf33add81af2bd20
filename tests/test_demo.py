"""The demonstration from its first line to its last screen, with a model that trains for less long."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.shell import programs

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_demo(tmp_path: Path) -> None:
    environment = os.environ | {"BIN": str(programs(tmp_path)), "PYTHONPATH": str(ROOT), "STEPS": "20"}
    done = subprocess.run(
        ["sh", "demo/run.sh", str(tmp_path / "demo")], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    screen = done.stdout[done.stdout.index("summary") :]
    assert "given share" in screen and re.search(r"loss +\d\.\d+ in step 1, \d", screen)
    document = re.search(r"in this document:\n\n(\w+/\S+#\d+)", screen)
    assert document and f"\n{document[1]}" in screen
    assert re.search(r"trained on it in \d+ step", screen)
    assert len(re.findall(r"^  What does a \w+ do\? +\S", screen, re.M)) == 3
    assert (
        f"{tmp_path}/demo/report.html in a browser" in screen
        and (tmp_path / "demo/report.html").stat().st_size > 100_000
    )
