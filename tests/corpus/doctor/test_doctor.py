"""What `corpus doctor` finds, on machines that are made up."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.cli import cli
from corpus.doctor import clusters, devices, machine, models, packages, storage
from corpus.doctor.finding import Finding, ok, problem


def install(place: Path, name: str, version: str, *files: str) -> None:
    """A distribution as pip leaves it."""
    record = place / f"{name}-{version}.dist-info"
    record.mkdir(parents=True)
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (record / "RECORD").write_text("".join(f"{file},,\n" for file in files), encoding="utf-8")


def by_name(findings: Iterator[Finding]) -> dict[str, Finding]:
    """Findings by their names."""
    return {finding.name: finding for finding in findings}


def test_distributions_that_shadow_each_other(tmp_path: Path) -> None:
    site, user = tmp_path / "site", tmp_path / "user"
    install(site, "fast-one", "1.0", "fast/__init__.py", "fast/a.py", "__editable___x_finder.py")
    install(site, "fast_two", "2.0", "fast/__init__.py", "fast/b.py", "native.cpython-311-x86_64-linux-gnu.so")
    install(site, "plain", "3.1", "plain.py", "space/part_one.py", "../../bin/plain")
    install(user, "plain", "2.9", "plain.py")
    install(user, "other", "1", "space/part_two.py", "native/__init__.py", "__editable___x_finder.py")
    found = by_name(packages.shadowed(distributions(path=[str(site), str(user)])))
    assert set(found) == {"fast", "plain", "native"} and {one.state for one in found.values()} == {"problem"}
    assert "fast-one, fast-two" in found["fast"].said and "pip uninstall fast-one fast-two" in found["fast"].remedy
    assert "3.1, 2.9 are installed; 3.1 is the one that is used" in found["plain"].said
    clean = by_name(packages.shadowed(distributions(path=[str(user)])))
    assert [(one.name, one.state) for one in clean.values()] == [("shadows", "ok")]


def test_requirements_that_are_not_there() -> None:
    wanted = ["click>=8", "nowhere-to-be-found>=2", "click>=999; extra == 'train'", 'pytest>=1; extra == "dev"']
    assert packages.missing(wanted, "") == ["nowhere-to-be-found>=2"]
    assert packages.missing(wanted, "dev") == []
    assert packages.missing(wanted, "train")[0].startswith("click>=999 (there is 8")


def test_the_file_system_is_tried_and_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_TRIED_BYTES", 1 << 20)
    found = by_name(storage.look(tmp_path / "not" / "there"))
    assert {one.state for name, one in found.items() if name not in ("room", "speed")} == {"ok"}, found
    assert "a second" in found["speed"].said and not list(tmp_path.iterdir())
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)  # as where locks are taken for granted
    monkeypatch.setattr(Path, "rename", lambda source, target: shutil.copytree(source, target, dirs_exist_ok=True))

    def refuse(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "link", refuse)
    worse = by_name(storage.look(tmp_path))
    assert worse["locks"].state == worse["renaming folders"].state == "problem" and worse["locks"].remedy
    assert worse["second names"].state == "note" and "Function not implemented" in worse["second names"].said


def test_a_small_machine_is_told_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert by_name(machine.look())["memory"].state in ("ok", "note")
    monkeypatch.setattr(machine, "cores", lambda: 32)
    for memory, state, words in ((2e9, "problem", "--workers 1"), (16e9, "note", "--workers 20"), (1e12, "ok", "")):
        monkeypatch.setattr(machine, "total_memory", lambda memory=memory: memory)
        found = by_name(machine.look())["memory"]
        assert found.state == state and words in found.remedy


def test_models_have_licences() -> None:
    found = by_name(models.look())
    assert "lid.176" in found["language"].said and "CC BY-SA 3.0" in found["language"].said
    assert all("licence " in one.said and "not stated" not in one.said for one in found.values()), found


def test_devices_of_a_build() -> None:
    cpu = {"version": "2.8+cpu", "cuda": None, "hip": None, "available": False, "devices": []}
    gpu = cpu | {"cuda": "12.6", "available": True, "devices": [["H100", 80 * 10**9, "9.0"]], "bf16": True}
    assert by_name(devices.described(cpu, driver=False))["torch"].state == "ok"
    wrong = by_name(devices.described(cpu, driver=True))["torch"]
    assert wrong.state == "problem" and "download.pytorch.org" in wrong.remedy
    blind = by_name(devices.described(gpu | {"available": False, "devices": []}, driver=True))["torch"]
    assert blind.state == "problem" and "finds no GPU" in blind.said
    found = by_name(devices.described(gpu, driver=True))
    assert found["torch"].state == "ok" and "80.0 GB" in found["GPU 0"].said


def test_clusters_that_answer_and_that_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "version", lambda name: "2.50")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert clusters._ray(address).state == "ok" and "answers" in clusters._ray(f"ray://{address}").said
    assert clusters._ray(address).state == "problem" and clusters._ray("").state == "ok"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert clusters._slurm().state == "note"
    for name, script in (("sbatch", ""), ("sinfo", "echo 'short* up 12'; echo 'long down 3'")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        (tmp_path / name).chmod(0o755)
    assert clusters._slurm().said.endswith("up: short (12 nodes)")
    (tmp_path / "sinfo").write_text("#!/bin/sh\necho 'no slurmctld' >&2\nexit 1\n", encoding="ascii")
    assert clusters._slurm().state == "problem" and "no slurmctld" in clusters._slurm().said


def test_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [ok("machine", "cores", "2"), problem("storage", "locks", "two runs would not see each other", "move it")]
    monkeypatch.setattr("corpus.doctor.look.look_at", lambda output: iter(found))
    shown = CliRunner().invoke(cli, ["doctor"])
    assert shown.exit_code == 1 and "1 problems" in shown.output and ": move it" in shown.output
    as_json = CliRunner().invoke(cli, ["doctor", "--json"])
    value = json.loads(as_json.stdout)
    assert as_json.exit_code == 1 and value["problems"] == 1 and value["findings"][1]["remedy"] == "move it"
    monkeypatch.setattr("corpus.doctor.look.look_at", lambda output: iter(found[:1]))
    assert CliRunner().invoke(cli, ["doctor"]).exit_code == 0
