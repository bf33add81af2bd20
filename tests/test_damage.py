"""Random damage to random files of datasets of every kind: whatever reads them names the file, or its result is that of
the undamaged one. Nothing ends in a traceback, and nothing passes damage on."""

from __future__ import annotations

import gc
import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from corpus.cli import cli
from corpus.data.manifest import Manifest
from tests.raw import sentence
from trainer.cli import main

# a task that is stopped by damage leaves what it was writing to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

SEEDS = 40
MANY_SEEDS = 1000
SMALL = ["--batch-size", "2", "--threads", "1", "--set", "model.layers=1", "--set", "model.d_model=16"]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """The garbage of a test is collected before it ends."""
    yield
    gc.collect()


@dataclass(frozen=True)
class House:
    """Datasets of all kinds, each made from the one before."""

    path: Path

    def run(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(cli, [self._word(argument) for argument in arguments])

    def train(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(main, [self._word(argument) for argument in arguments])

    def _word(self, argument: str | Path) -> str:
        return str(self.path / argument) if isinstance(argument, Path) else argument


P = Path
STAGES: dict[str, tuple[str, list[str | Path]]] = {
    "ingested": ("ingest", ["jsonl", P("raw"), "--domain", "web"]),
    "distinct": ("dedup", [P("ingested"), "--level", "document", "--max-drop", "1"]),
    "apart": ("dedup", [P("distinct"), "--level", "near", "--max-drop", "1"]),
    "split": ("split", [P("apart"), "--validation", "10%"]),
    "tokenizer": ("train-tokenizer", [P("split/train"), "--vocab-size", "400"]),
    "tokens": ("tokenize", [P("split/train"), "--tokenizer", P("tokenizer")]),
    "packed": ("mix", [P("tokens"), "--tokenizer", P("tokenizer"), "--split", "validation", "--sequence-length", "32"]),
}
"""The stages that are run again on damaged inputs, by their outputs."""
KINDS = ["ingested", "apart", "split/choice", "split/train", "tokenizer", "tokens", "packed"]


def _make(house: House, name: str, output: str) -> Result:
    command, arguments = STAGES[name]
    return house.run(command, *arguments, "--output", P(output), "--workers", "1", "--quiet")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    made = House(tmp_path_factory.mktemp("house"))
    (made.path / "raw").mkdir()
    rng = random.Random(1)
    texts = [" ".join(sentence(rng) for _ in range(rng.randrange(2, 12))) for _ in range(150)]
    lines = [json.dumps({"text": text, "url": f"https://a.org/{n}"}) for n, text in enumerate(texts + texts[:20])]
    lines += [json.dumps({"text": texts[n] + " More."}) for n in range(30, 45)] + ["{torn"] * 3
    (made.path / "raw" / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for name in STAGES:
        result = _make(made, name, name)
        assert result.exit_code == 0, (name, result.output, result.exception)
    result = made.train(
        "fit", "--data", P("packed"), "--model", "llama-tiny", "--output", P("run"), "--steps", "2", *SMALL
    )
    assert result.exit_code == 0, result.output
    return made


def _again(name: str) -> Callable[[House], tuple[Result, object]]:
    """Run a stage once more: its result is the digests of what it made."""

    def run(house: House) -> tuple[Result, object]:
        try:
            result = _make(house, name, "again")
            made = sorted((house.path / "again").rglob("manifest.json")) if result.exit_code == 0 else []
            return result, [Manifest.load(path.parent).digest for path in made]
        finally:
            shutil.rmtree(house.path / "again", ignore_errors=True)

    return run


def _shown(*arguments: str | Path) -> Callable[[House], tuple[Result, object]]:
    def run(house: House) -> tuple[Result, object]:
        result = house.run(*arguments)
        return result, result.output

    return run


def _trained(*arguments: str | Path) -> Callable[[House], tuple[Result, object]]:
    def run(house: House) -> tuple[Result, object]:
        result = house.train(*arguments)
        return result, result.stdout

    return run


def _fit(house: House) -> tuple[Result, object]:
    try:
        result = house.train(
            "fit", "--data", P("packed"), "--model", "llama-tiny", "--output", P("again"), "--steps", "2", *SMALL
        )
        log = house.path / "again" / "metrics.jsonl"
        lines = log.read_text().splitlines() if result.exit_code == 0 else []
        return result, [(e["step"], e["loss"]) for e in map(json.loads, lines) if e["kind"] == "train"]
    finally:
        shutil.rmtree(house.path / "again", ignore_errors=True)


def _sides(house: House) -> tuple[Result, object]:
    """Make both sides once more by the choice that is there."""
    sides = [house.path / "split" / name for name in ("train", "validation")]
    for side in sides:
        side.rename(side.with_name(f"_{side.name}"))
    try:
        result = _make(house, "split", "split")
        return result, [Manifest.load(side).digest for side in sides] if result.exit_code == 0 else []
    finally:
        for side in sides:
            shutil.rmtree(side, ignore_errors=True)
            side.with_name(f"_{side.name}").rename(side)


def _exported(name: str, kind: str) -> Callable[[House], tuple[Result, object]]:
    """Write a set for another trainer: the result is what was written."""

    def run(house: House) -> tuple[Result, object]:
        folder = house.path / "again"
        try:
            result = house.run("export", P(name), "--format", kind, "--output", P("again"), "--quiet")
            assert folder.exists() == (result.exit_code == 0)
            return result, {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    return run


_explain = _shown("explain", P("."), "web/a.jsonl#7", "--json")

READERS: dict[str, list[Callable[[House], tuple[Result, object]]]] = {
    "ingested": [
        _again("distinct"),
        _shown("inspect", P("ingested"), "--quarantined", "--json"),
        _shown("inspect", P("ingested"), "--id", "web/a.jsonl#7"),
        _explain,
    ],
    "apart": [
        _again("split"),
        _shown("inspect", P("apart"), "--dropped", "--json"),
        _shown("inspect", P("apart")),
        _explain,
    ],
    "split/choice": [_sides],
    "split/train": [_again("tokenizer"), _again("tokens")],
    "tokenizer": [_again("tokens"), _again("packed")],
    "tokens": [_again("packed"), _shown("inspect", P("tokens")), _explain, _exported("tokens", "megatron")],
    "packed": [
        _explain,
        _fit,
        _shown("trace", P("packed"), "--rows", "0:9", "--json"),
        _shown("trace", P("packed"), "--document", "web/a.jsonl#70", "--json"),
        _trained("trace", P("run"), "--data", P("packed"), "--step", "2", "--json"),
        _exported("packed", "mds"),
        _trained("eval", P("run"), "--validation", P("packed"), "--json"),
    ],
}


@pytest.fixture(scope="module")
def whole(house: House) -> dict[tuple[str, int], tuple[int, object]]:
    """What each reader gives of undamaged datasets."""
    found = {}
    for kind, readers in READERS.items():
        for number, reader in enumerate(readers):
            result, value = reader(house)
            found[kind, number] = (result.exit_code, value)
    return found


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Data with a byte flipped, some bytes zeroed, or the end cut off; often near the end, where footers are."""
    at = rng.randrange(len(data)) if rng.random() < 0.6 else len(data) - 1 - rng.randrange(min(len(data), 600))
    how = rng.choice(["flip", "zero", "cut"])
    if how == "flip":
        return data[:at] + bytes([data[at] ^ rng.randrange(1, 256)]) + data[at + 1 :]
    length = rng.randrange(1, 100)
    return data[:at] if how == "cut" else data[:at] + bytes(len(data[at : at + length])) + data[at + length :]


def check(house: House, whole: dict[tuple[str, int], tuple[int, object]], seed: int) -> tuple[str, int]:
    """Damage one file and let all read it; returns which file, and how many readers named it."""
    rng = random.Random(seed)
    kind = rng.choice(KINDS)
    dataset = house.path / kind
    files = sorted(path for path in dataset.rglob("*") if path.is_file() and "_log" not in path.parts)
    path = rng.choice(files)
    data = path.read_bytes()
    changed = damaged(rng, data)
    if changed == data:
        return path.name, 0
    what = f"seed {seed}: {path.relative_to(house.path)}"
    named = 0
    same = _manifest_says_the_same(path, data, changed)
    try:
        path.write_bytes(changed)
        for number, reader in enumerate(READERS[kind]):
            result, value = reader(house)
            assert result.exception is None or isinstance(result.exception, SystemExit), (
                what,
                number,
                result.exception,
            )
            if (result.exit_code, value) == whole[kind, number]:
                continue
            said = result.output.strip().splitlines()[-1]
            assert result.exit_code in (1, 2), (what, number, said)
            assert path.name in said and "gain" in said, (what, number, said)
            named += 1
        result = house.run("verify", P(kind), "--quiet")
        assert result.exception is None or isinstance(result.exception, SystemExit), (what, result.exception)
        assert result.exit_code == (0 if same else 1), (what, result.output)
        assert same or path.name in result.output, (what, result.output)
    finally:
        path.write_bytes(data)
    return path.name, named


def _manifest_says_the_same(path: Path, data: bytes, changed: bytes) -> bool:
    """A manifest whose package versions, which nobody compares, or whose blanks were changed."""
    if path.name != "manifest.json":
        return False
    try:
        before, after = json.loads(data), json.loads(changed)
        return {**before, "versions": 0} == {**after, "versions": 0} and isinstance(after["versions"], dict)
    except (ValueError, KeyError, TypeError):
        return False


def _seeds(house: House, whole: dict[tuple[str, int], tuple[int, object]], seeds: range) -> Iterator[tuple[str, int]]:
    for seed in seeds:
        yield check(house, whole, seed)


def test_damage_is_named_or_makes_no_difference(house: House, whole: dict[tuple[str, int], tuple[int, object]]) -> None:
    found = list(_seeds(house, whole, range(SEEDS)))
    assert sum(named > 0 for _, named in found) > SEEDS // 4


@pytest.mark.parametrize("name", ["apart", "tokenizer"])
def test_a_damaged_report_is_named(house: House, name: str) -> None:
    path = house.path / name / "_report.json"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"1", b"2", 1))
    command, arguments = STAGES[name]
    try:
        result = house.run(command, *arguments, "--output", P(name), "--workers", "1")
        assert result.exit_code == 1 and f"{path} is damaged" in result.output
    finally:
        path.write_bytes(data)


def test_a_damaged_tokenizer_of_a_run_is_named(house: House) -> None:
    path = house.path / "run" / "tokenizer.model"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    try:
        result = house.train("generate", P("run"), "--prompt", "x")
        assert result.exit_code == 1 and f"{path} is damaged" in result.output
    finally:
        path.write_bytes(data)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_much_damage_is_named_or_makes_no_difference(
    house: House, whole: dict[tuple[str, int], tuple[int, object]]
) -> None:
    found = list(_seeds(house, whole, range(SEEDS, SEEDS + MANY_SEEDS)))
    assert len({name for name, named in found if named}) > 10
