"""Plug-in files: what is refused, what is registered, what goes to other processes and into configurations."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from corpus import plugins
from corpus.cli import cli
from corpus.config import options_of
from corpus.engine.document_stage import MapStage
from corpus.errors import UsageError
from corpus.plugins import TABLES, load_plugins, load_source, loaded_plugins, registry
from corpus.quality.filter import FilterConfig
from corpus.quality.rules.gopher import GopherQuality
from corpus.registry import Registry
from tests.datasets import write_documents

HEAD = """
from dataclasses import dataclass
from typing import ClassVar
import corpus
@dataclass(frozen=True)
class Quiet(corpus.Rule):
    name: ClassVar[str] = "quiet"
    def check(self, view):
        return "loud" if view.text.isupper() else None
"""
RULE = HEAD + "RULES = {'quiet': Quiet}\n"


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(plugins, "_loaded", {})
    yield
    for plugin in loaded_plugins():
        for table in TABLES:
            registry(table).remove(plugin.path)
    for name in [name for name in sys.modules if name.startswith("corpusmill_plugin_")]:
        del sys.modules[name]


def write(folder: Path, source: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(source, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero, line 1"),
        ("x = 1\ndef", "SyntaxError: invalid syntax, line 2"),
        ("import nowhere", "No module named 'nowhere', line 1"),
        ("x = 1", "adds nothing"),
        ("READER = {}", "READER: did you mean 'READERS'?"),
        ("READERS = [1]", 'write READERS = {"name"'),
        ("class A: ...\nREADERS = {'a': A}", "reader 'a', which is no frozen dataclass"),
        ("STAGES = {'a': 1}", "stage 'a', which is no StageKind"),
        ("FAMILIES = {'a': 1}", "no table of models"),
        (HEAD + "RULES = {'c4': Quiet}", "filter rule 'c4', a name that is taken"),
        (HEAD + "RULES = {'length': Quiet}", "filter rule 'length', a name that is taken"),
        (HEAD + "MAPS = {'dedup': Quiet}", "document map 'dedup', a name that is taken"),
    ],
)
def test_refused(tmp_path: Path, source: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        load_plugins([write(tmp_path, source)])
    assert words in error.value.message and str(tmp_path / "mine.py") in error.value.message
    assert not loaded_plugins() and not any(name.startswith("corpusmill_plugin_") for name in sys.modules)


def test_missing_file_is_one_sentence(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from corpus.cli import main; main()",
        "plugins",
        "--plugin",
        str(tmp_path / "no.py"),
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2 and "cannot be read (No such file or directory)" in result.stderr


def test_loading_again(tmp_path: Path) -> None:
    path = write(tmp_path, RULE)
    load_plugins([path, path])
    (first,) = loaded_plugins()
    load_plugins([write(tmp_path, RULE, "copy.py")])
    assert loaded_plugins() == (first,)  # the same source is the same plug-in
    with pytest.raises(UsageError, match="'quiet', a name that is taken"):
        load_plugins([write(tmp_path, RULE + "x = 1", "other.py")])
    write(tmp_path, RULE.replace("quiet", "still"))
    load_plugins([path])
    (second,) = loaded_plugins()
    assert second.digest != first.digest
    assert "still" in registry("RULES") and "quiet" not in registry("RULES")
    (tmp_path / "sub").mkdir()
    with pytest.raises(UsageError, match="same file name"):
        load_plugins([write(tmp_path / "sub", HEAD + "MAPS = {'m': Quiet}")])


def test_configuration_of_what_uses_it(tmp_path: Path) -> None:
    documents = (str(write_documents(tmp_path / "documents", ["a b"])),)
    load_plugins([write(tmp_path, RULE)])
    with_it = MapStage(documents, "filter", maps=FilterConfig(rules=("quiet",)).maps())
    without = MapStage(documents, "filter", maps=FilterConfig(rules=("min_chars:1",)).maps())
    assert with_it.whole_config()["plugins"] == {"mine.py": loaded_plugins()[0].digest}
    assert "plugins" not in without.whole_config()


def test_a_stage_brings_its_plugins(tmp_path: Path) -> None:
    documents = (str(write_documents(tmp_path / "documents", ["a b"])),)
    path = write(tmp_path, RULE)
    load_plugins([path])
    stage = MapStage(documents, "filter", maps=FilterConfig(rules=("quiet",)).maps())
    (tmp_path / "stage").write_bytes(pickle.dumps(stage))
    path.unlink()  # another machine need not have it
    program = (
        "import pickle, sys; stage = pickle.load(open(sys.argv[1], 'rb'))\n"
        "from corpus.quality.filter import RULES\n"
        "print(stage.whole_config()['plugins'], type(stage.maps[0]) is RULES.load('quiet'))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "stage")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[0] == f"{stage.whole_config()['plugins']} True"
    assert pickle.loads(pickle.dumps(stage)) == stage


def test_source_without_a_file() -> None:
    plugin = load_source("/nowhere/mine.py", RULE.encode())
    assert registry("RULES")["quiet"].source == "/nowhere/mine.py" and plugin.name == "mine.py"


class Package:
    """Stands in for an installed distribution."""

    def __init__(self, name: str) -> None:
        self.name, self.version = name, "1.0"


def point(name: str, value: str, package: str) -> metadata.EntryPoint:
    found = metadata.EntryPoint(name, value, "corpusmill.test")
    vars(found).update(dist=Package(package))
    return found


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Registry]:
    def make(*points: metadata.EntryPoint, **builtin: Any) -> Registry:
        monkeypatch.setattr(metadata, "entry_points", lambda group: list(points))
        return Registry("thing", "corpusmill.test", builtin, reserved=("kept",))

    return make


def test_entry_points(installed: Callable[..., Registry]) -> None:
    found = installed(
        point("two", "json:loads", "b"),
        point("two", "json:dumps", "a"),
        point("one", "json:loads", "a"),
        point("kept", "json:loads", "a"),
        point("broken", "nowhere:x", "a"),
        one="json:dump",
    )
    import json

    assert found.load("one") is json.dump and found.load("two") is json.dumps
    assert set(found) == {"one", "two", "broken"} and found["two"].source == "a 1.0"
    assert [(name, origin.source) for name, origin in found.hidden()] == [
        ("kept", "a 1.0"),
        ("one", "a 1.0"),
        ("two", "b 1.0"),
    ]
    with pytest.raises(UsageError, match=r"'broken' of a 1.0 cannot be imported .*No module named 'nowhere'"):
        found.load("broken")
    with pytest.raises(UsageError, match="did you mean 'two'"):
        found.load("twoo")
    with pytest.raises(UsageError, match="taken"):
        found.add("two", 1, "file.py")


def test_the_settings_of_a_rule_are_listed_with_their_defaults() -> None:
    done = CliRunner().invoke(cli, ["plugins", "gopher_quality"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("gopher_quality (filter rules): The quality rules")
    rows = dict(line.split(None, 1) for line in done.output.splitlines()[1:])
    assert rows["min_words"].split() == "50 Words that a document needs (A1.1: 50).".split()
    assert rows["stop_word_lists"].startswith('"gopher" ') and len(rows) == len(options_of(GopherQuality))
    found = json.loads(CliRunner().invoke(cli, ["plugins", "badwords", "--json"]).output)["rules"]
    assert next((entry["name"], entry["required"]) for entry in found["settings"]) == ("list", False)


@pytest.mark.parametrize("table", TABLES)
def test_every_entry_has_its_settings_listed(table: str) -> None:
    for name in registry(table).builtin():
        done = CliRunner().invoke(cli, ["plugins", name])
        assert done.exit_code == 0 and done.output.startswith(f"{name} ("), name


def test_an_unknown_entry_is_answered_with_the_nearest() -> None:
    done = CliRunner().invoke(cli, ["plugins", "gopher_qualty"])
    assert done.exit_code == 2 and "did you mean 'gopher_quality'?" in done.output
