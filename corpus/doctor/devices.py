"""torch: which build, and what it can compute on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from corpus.doctor.finding import Finding, note, ok, problem
from corpus.doctor.machine import has_compiler
from corpus.engine.progress import megabytes

TOPIC = "training"
_SECONDS = 120
_LOOK = """
import json, torch
found = {"version": torch.__version__, "cuda": torch.version.cuda, "hip": torch.version.hip, "threads": torch.get_num_threads(),
         "available": torch.cuda.is_available(), "devices": []}
if found["available"]:
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        found["devices"].append([about.name, about.total_memory, f"{about.major}.{about.minor}"])
    found["bf16"] = torch.cuda.is_bf16_supported()
print(json.dumps(found))
"""


def look() -> Iterator[Finding]:
    """torch is asked in a process of its own: a broken build can end it."""
    done = subprocess.run([sys.executable, "-P", "-c", _LOOK], capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        if "No module named 'torch'" in last:
            yield note(
                TOPIC, "torch", "is not installed: corpus needs none", "pip install 'corpusmill[train]' to train"
            )
        else:
            yield problem(TOPIC, "torch", f"cannot be loaded ({last})", "pip install --force-reinstall torch")
        return
    yield from described(json.loads(done.stdout.splitlines()[-1]), shutil.which("nvidia-smi") is not None)


def described(found: dict[str, Any], driver: bool) -> Iterator[Finding]:
    """What torch said of itself; `driver`: whether NVIDIA's programs are there."""
    build = f"CUDA {found['cuda']}" if found["cuda"] else f"ROCm {found['hip']}" if found["hip"] else "CPU only"
    said = f"{found['version']}, {build}"
    if driver and not found["cuda"]:
        remedy = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126"
        yield problem(TOPIC, "torch", f"{said}, though this machine has an NVIDIA driver", remedy)
    elif driver and not found["available"]:
        remedy = "see nvidia-smi; a driver that is older than this CUDA needs an update or an older torch"
        yield problem(TOPIC, "torch", f"{said}, and finds no GPU", remedy)
    else:
        yield ok(TOPIC, "torch", said)
    for number, (name, memory, capability) in enumerate(found["devices"]):
        yield ok(TOPIC, f"GPU {number}", f"{name}, {megabytes(memory)}, compute capability {capability}")
    if found["available"] and not found["bf16"]:
        yield note(TOPIC, "bf16", "these GPUs do not have it", "trainer fit --set training.precision=fp32")
    if not has_compiler():
        yield note(TOPIC, "compiler", "there is no C++ compiler, which training.compile needs", "apt-get install g++")
