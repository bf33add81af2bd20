"""A stand-in for Slurm's programs, which runs the jobs as processes. `install(folder)` puts them into `folder/bin`.

What becomes of a job is in `folder/ID/`: `about.json`, and for each element `N.state` and `N.pid` (N is 0 for a job that is
no array). `folder/fates.json` says what is to happen, once each: `{"NAME:ELEMENT": "STATE"}` ends that element of the next
job of this name with this state before its program begins, or, where the state is followed by `!`, when it has taken a
task; `{"sbatch": ["MESSAGE"]}` makes the next sbatch fail with this message, and a file `silent` the next squeue.
The state PENDING leaves an element in the queue. With a file `stuck` cancelled controllers stay COMPLETING.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PARTITIONS = {"work": "1-00:00:00", "short": "10:00", "free": "infinite"}
_ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")


def install(folder: Path) -> dict[str, str]:
    """Put the programs into `folder/bin`; the variables under which they are found."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name in ("sbatch", "scancel", "scontrol", "sacct"):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -S -P {__file__} {name} "$@"\n')
    # these are asked often
    (programs / "sinfo").write_text("#!/bin/sh\n" + "".join(f"echo '{n}|{limit}'\n" for n, limit in PARTITIONS.items()))
    (programs / "squeue").write_text(
        f"#!/bin/sh\ncd {folder}\n[ ! -e silent ] || {{ rm silent; echo Unable to contact slurm controller >&2; exit 1; }}\n"
        "cat [0-9]*/*.line 2>/dev/null || true\n"
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    return {"PATH": f"{programs}:{os.environ['PATH']}", "FAKE_SLURM": str(folder)}


def jobs(folder: Path) -> dict[str, dict[str, str]]:
    """The states of all jobs, by their names and elements."""
    found: dict[str, dict[str, str]] = {}
    for place in sorted(folder.glob("[0-9]*"), key=lambda path: int(path.name)):
        about = _about(place)
        found[f"{place.name} {about['name']}"] = {
            str(number): _state(place, number) for number in range(max(1, about["elements"]))
        }
    return found


def main() -> int:
    """Be the program whose name is the first argument."""
    folder = Path(os.environ["FAKE_SLURM"])
    program, *arguments = sys.argv[1:]
    return {
        "sbatch": sbatch, "scancel": scancel, "scontrol": scontrol, "sacct": sacct, "run": run,
    }[program](folder, arguments)  # fmt: skip


def sbatch(folder: Path, arguments: list[str]) -> int:
    options = dict(argument.removeprefix("--").partition("=")[::2] for argument in arguments[:-1])
    if message := _fate(folder, "sbatch"):
        print(f"sbatch: error: {message}", file=sys.stderr)
        return 1
    if options["partition"] not in PARTITIONS:
        print("sbatch: error: invalid partition specified", file=sys.stderr)
        return 1
    number = 1 + max((int(place.name) for place in folder.glob("[0-9]*")), default=0)
    place = folder / str(number)
    place.mkdir()
    last = options.get("array", "").partition("-")[2]
    about = {
        "name": options["job-name"], "script": arguments[-1], "arguments": arguments[:-1],
        "elements": int(last) + 1 if last else 0, "output": options["output"], "after": options.get("dependency", "").split(":")[1:],
    }  # fmt: skip
    (place / "about.tmp").write_text(json.dumps(about))
    (place / "about.tmp").rename(place / "about.json")
    for element in range(max(1, about["elements"])):
        _set(place, element, "PENDING")
    subprocess.Popen(
        [sys.executable, "-S", "-P", __file__, "run", str(number)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    print(number)
    return 0


def run(folder: Path, arguments: list[str]) -> int:
    """Run a job whose dependencies have ended, all elements at a time."""
    place = folder / arguments[0]
    about = _about(place)
    while not all(_ended(folder / other) for other in about["after"]):
        if (place / "cancelled").exists() or not place.exists():
            return 0
        time.sleep(0.02)
    if about["name"].endswith(".controller") and (folder / "hold").exists():
        return 0
    waiting = list(range(max(1, about["elements"])))
    running: dict[int, subprocess.Popen[bytes]] = {}
    doomed: dict[int, str] = {}
    while waiting or running:
        while waiting:
            number = waiting.pop(0)
            fate = _fate(folder, f"{about['name']}:{number}")
            if fate and not fate.endswith("!"):
                _set(place, number, fate)
            elif not (place / "cancelled").exists() and _state(place, number) == "PENDING":
                running[number] = _start(place, about, number)
                if fate:
                    doomed[number] = fate[:-1]
        for number, process in list(running.items()):
            if number in doomed and _has_taken(Path(about["script"]).parent, number):
                process.kill()
            if (code := process.poll()) is None:
                continue
            del running[number]
            if number in doomed:
                _set(place, number, doomed[number])
            elif (place / "cancelled").exists():
                _set(place, number, "CANCELLED")
            else:
                _set(place, number, "FAILED" if code else "COMPLETED")
        if (place / "cancelled").exists():
            for process in running.values():
                process.kill()
            for number in waiting:
                _set(place, number, "CANCELLED")
            waiting = []
        time.sleep(0.05)
    return 0


def _has_taken(folder: Path, number: int) -> bool:
    return any(path.read_text() == str(number) for path in folder.glob("claim-*"))


def _start(place: Path, about: dict, number: int) -> subprocess.Popen[bytes]:
    log = about["output"].replace("%a", str(number)).replace("%%", "%")
    environment = os.environ | {
        "SLURM_JOB_ID": place.name,
        "SLURM_ARRAY_JOB_ID": place.name,
        "SLURM_ARRAY_TASK_ID": str(number),
    }
    with open(log, "ab") as file:
        process = subprocess.Popen(["bash", about["script"]], stdout=file, stderr=file, env=environment)
    _set(place, number, "RUNNING")
    return process


def scancel(folder: Path, arguments: list[str]) -> int:
    ids = [argument for argument in arguments if not argument.startswith("--")]
    for id in ids:
        if "--state=PENDING" in arguments:
            for number in range(max(1, _about(folder / id)["elements"])):
                if _state(folder / id, number) == "PENDING":
                    _set(folder / id, number, "CANCELLED")
            continue
        (folder / id / "cancelled").touch()
        if _about(folder / id)["name"].endswith(".controller"):
            _set(folder / id, 0, "COMPLETING" if (folder / "stuck").exists() else "CANCELLED")
    return 0


def scontrol(folder: Path, arguments: list[str]) -> int:
    print("MaxArraySize            = 3\nMaxJobCount             = 10000")
    return 0


def sacct(folder: Path, arguments: list[str]) -> int:
    id = next(argument.partition("=")[2] for argument in arguments if argument.startswith("--jobs="))
    for number in range(_about(folder / id)["elements"]):
        print(f"{id}_{number}|{_state(folder / id, number)}|n1")
    return 0


def _about(place: Path) -> dict:
    while not (place / "about.json").exists():
        time.sleep(0.005)
    found: dict = json.loads((place / "about.json").read_text())
    return found


def _state(place: Path, number: int) -> str:
    try:
        return (place / f"{number}.state").read_text() or "PENDING"
    except FileNotFoundError:
        return "PENDING"


def _set(place: Path, number: int, state: str) -> None:
    """Note a state, and what squeue prints of it, which forgets what has ended where there is a file `forgets`."""
    about = _about(place)
    told = not (place.parent / "forgets").exists() or state not in _ENDED
    line = f"{place.name}|{number if about['elements'] else 'N/A'}|{state}|n1|None|{about['script']}\n"
    for name, text in ((f"{number}.line", line if told else ""), (f"{number}.state", state)):
        (place / f".{name}.tmp").write_text(text)
        (place / f".{name}.tmp").rename(place / name)


def _ended(place: Path) -> bool:
    return not place.exists() or all(
        _state(place, number) in _ENDED for number in range(max(1, _about(place)["elements"]))
    )


def _fate(folder: Path, name: str) -> str:
    """What is to happen to this, which is then forgotten."""
    try:
        fates = json.loads((folder / "fates.json").read_text())
    except FileNotFoundError:
        return ""
    found = fates.get(name, [])
    if not found:
        return ""
    (folder / ".fates.tmp").write_text(json.dumps(fates | {name: found[1:]}))
    (folder / ".fates.tmp").rename(folder / "fates.json")
    return str(found[0])


def kill_all(folder: Path) -> None:
    """End what still runs, at the end of a test."""
    for place in folder.glob("[0-9]*"):
        (place / "cancelled").touch()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any("RUNNING" in states.values() for states in jobs(folder).values()):
        time.sleep(0.02)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(main())
