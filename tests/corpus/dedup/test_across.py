"""Verdicts over several domains: the decisions of one dedup of all, each domain in a dataset of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from corpus.data.dataset import Dataset
from corpus.data.verify import verify_dataset
from corpus.decontaminate.across import DecontaminatedStage, DecontaminationVerdictStage
from corpus.decontaminate.stage import DecontaminateConfig, DecontaminateStage
from corpus.dedup.config import DedupConfig
from corpus.dedup.levels import dedup_stage
from corpus.dedup.verdict import DedupVerdictStage
from corpus.dedup.without import WithoutStage, verdict_lines
from corpus.engine.runner import RunOptions, run_stage
from corpus.engine.stage import Stage
from corpus.errors import UsageError
from tests.corpus.dedup.similar_twin import contents, invented

QUIET = RunOptions(quiet=True)
Make = Callable[..., Path]
LEVELS: list[dict[str, Any]] = [
    {"level": "document"},
    {"level": "document", "key": "url", "keep": "longest"},
    {"level": "near"},
    {"level": "book", "threshold": 0.7},
]


def planted(make_documents: Make, seed: int = 1) -> list[Path]:
    """Three domains with copies and variants of what stands in any of them, in shards of several pieces."""
    rng = random.Random(seed)
    texts: dict[str, list[str]] = {"c4": [], "crawl": [], "books": []}
    urls: dict[str, list[str | None]] = {name: [] for name in texts}
    every: list[str] = []
    for number in range(240):
        text = " ".join(invented(rng, rng.randrange(40, 90)))
        if every and rng.random() < 0.4:
            words = rng.choice(every).split()
            for _ in range(rng.choice([0, 0, 1, 3])):
                words[rng.randrange(len(words))] = "changed"
            text = " ".join(words)
        every.append(text)
        name = rng.choice([*texts])
        texts[name].append(text)
        urls[name].append(None if number % 5 == 0 else f"https://x.org/{rng.randrange(120)}")
    return [
        make_documents(name, texts[name], domain=name, shard_rows=25, piece_rows=10, url=urls[name]) for name in texts
    ]


def ids(path: Path) -> list[str]:
    return [key for batch in Dataset.open(path).batches(["id"]) for key in batch["id"].to_pylist()]


def across(folder: Path, sources: Sequence[Path], options: RunOptions = QUIET, **settings: Any) -> list[Path]:
    """The output of each of `sources`, by a verdict in `folder`/verdict; all verified."""
    run_stage(DedupVerdictStage(tuple(map(str, sources)), DedupConfig(**settings)), folder / "verdict", options)
    outputs = [folder / source.name for source in sources]
    for source, output in zip(sources, outputs, strict=True):
        run_stage(WithoutStage((str(source),), str(folder / "verdict")), output, options)
        assert verify_dataset(output).problems == []
    assert verify_dataset(folder / "verdict").problems == []
    return outputs


@pytest.mark.parametrize("settings", LEVELS, ids=lambda settings: "-".join(map(str, settings.values())))
def test_the_domains_are_those_of_one_dedup_of_all(
    tmp_path: Path, make_documents: Make, settings: dict[str, Any]
) -> None:
    sources = planted(make_documents)
    for order in (sources, sources[::-1]):
        folder = tmp_path / f"{order[0].name}-first"
        outputs = across(folder, order, **settings)
        whole = dedup_stage(tuple(map(str, order)), DedupConfig(**settings))
        run_stage(whole, folder / "whole", QUIET)
        assert [key for output in outputs for key in ids(output)] == ids(folder / "whole")
        read = [pq.read_table(path) for path in sorted((folder / "verdict/_clusters").iterdir())]
        expected = [pq.read_table(path) for path in sorted((folder / "whole/_clusters").iterdir())]
        assert [row for part in read for row in part.to_pylist()] == [r for part in expected for r in part.to_pylist()]
        # what goes, by reason, adds up for each domain, and each pair of domains is named
        verdict = Dataset.open(folder / "verdict").manifest
        kept = {row["removed"]: row["kept"] for part in read for row in part.to_pylist()}
        for output in outputs:
            counts = Dataset.open(output).manifest.counts["documents"]
            own = {pair["kept"]: pair["documents"] for pair in verdict.extra["pairs"] if pair["removed"] == output.name}
            assert sum(own.values()) == sum(counts.dropped.values()) == counts.seen - counts.kept
            gone = [key for key in kept if key.startswith(f"{output.name}/")]
            assert own == {
                name: number
                for name in ("c4", "crawl", "books")
                if (number := sum(kept[key].startswith(f"{name}/") for key in gone))
            }
            for reason, number in counts.dropped.items():
                assert number == own[reason.rpartition(" in ")[2] if " in " in reason else output.name]
        assert len(verdict.extra["pairs"]) > 4
        assert len(list(verdict_lines(Dataset.open(folder / "verdict")))) == 3


def test_the_first_domain_loses_nothing_to_others(tmp_path: Path, make_documents: Make) -> None:
    sources = planted(make_documents, seed=2)
    (first, *_) = across(tmp_path / "all", sources, level="near")
    alone = dedup_stage((str(sources[0]),), DedupConfig(level="near"))
    run_stage(alone, tmp_path / "alone", QUIET)
    assert ids(first) == ids(tmp_path / "alone")


@pytest.mark.slow
def test_workers_and_memory_change_nothing(tmp_path: Path, make_documents: Make) -> None:
    sources = planted(make_documents, seed=3)
    folders = [tmp_path / name for name in ("one", "two", "small")]
    options = [
        QUIET,
        RunOptions(workers=2, memory=200_000_000, quiet=True, always_pool=True),
        RunOptions(memory=1, quiet=True),
    ]
    for folder, given in zip(folders, options, strict=True):
        across(folder, sources, given, level="near")
    for name in ("verdict", *(source.name for source in sources)):
        one, two, small = (contents(folder / name) for folder in folders)
        assert one == two == small


class Stopped(Exception):
    """A kill, as far as what lies on the disk goes."""


@pytest.mark.parametrize("point", ["shards-placed", "before-manifest", "after-manifest"])
def test_a_commit_that_is_killed_goes_on(
    tmp_path: Path, make_documents: Make, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    sources = planted(make_documents, seed=5)
    evaluation = tmp_path / "evaluation.jsonl"
    text = next(Dataset.open(sources[0]).batches(["text"]))["text"][0].as_py()
    evaluation.write_text(f'{{"text": "{text}"}}\n')
    documents = tuple(map(str, sources))
    stages: dict[str, Stage] = {
        "dedup": DedupVerdictStage(documents, DedupConfig(level="document")),
        "decontaminate": DecontaminationVerdictStage(documents, DecontaminateConfig(against=(str(evaluation),))),
    }

    def stop(passed: str) -> None:
        if passed == point:
            raise Stopped

    for name, stage in stages.items():
        run_stage(stage, tmp_path / f"{name}-whole", QUIET)
        with monkeypatch.context() as patch:
            patch.setattr("corpus.engine.publish.fault", stop)
            with pytest.raises(Stopped):
                run_stage(stage, tmp_path / name, QUIET)
        run_stage(stage, tmp_path / name, QUIET)
        assert contents(tmp_path / name) == contents(tmp_path / f"{name}-whole")


def test_what_cannot_be_judged(tmp_path: Path, make_documents: Make) -> None:
    sources = planted(make_documents, seed=4)
    with pytest.raises(UsageError, match="--level line does not compare domains with each other"):
        across(tmp_path / "out", sources, level="line")
    with pytest.raises(UsageError, match="give one dataset for each domain, and each domain once"):
        across(tmp_path / "out", [sources[0], make_documents("again", ["text"], domain="c4")], level="document")
    across(tmp_path / "out", sources, level="document")
    other = make_documents("other", ["new"], domain="c4")
    with pytest.raises(UsageError, match=r"has not judged .*other, or it has changed since: judge it anew"):
        run_stage(WithoutStage((str(other),), str(tmp_path / "out/verdict")), tmp_path / "other-out", QUIET)


def test_ngrams_of_all_domains_count(tmp_path: Path, make_documents: Make) -> None:
    rng = random.Random(9)
    known, common = (" ".join(invented(rng, 20)) for _ in range(2))
    evaluation = tmp_path / "evaluation.jsonl"
    evaluation.write_text(f'{{"text": "{known}"}}\n{{"text": "{common}"}}\n')

    def text(inside: str = "") -> str:
        return " ".join([*invented(rng, 90), inside, *invented(rng, 90)])

    made = {name: [text(common) for _ in range(6)] + [text(), text(known)] for name in ("one", "two")}
    sources = [make_documents(name, made[name], domain=name, shard_rows=3) for name in made]
    config = DecontaminateConfig(against=(str(evaluation),))
    verdict = DecontaminationVerdictStage(tuple(map(str, sources)), config)
    run_stage(verdict, tmp_path / "verdict", QUIET)
    run_stage(DecontaminateStage(tuple(map(str, sources)), config), tmp_path / "whole", QUIET)
    run_stage(DecontaminateStage((str(sources[0]),), config), tmp_path / "alone", QUIET)
    assert verify_dataset(tmp_path / "verdict").problems == []
    rows = []
    for source in sources:
        output = tmp_path / f"{source.name}-clean"
        run_stage(DecontaminatedStage((str(source),), config, str(tmp_path / "verdict")), output, QUIET)
        assert verify_dataset(output).problems == []
        rows += [row for batch in Dataset.open(output).batches() for row in batch.to_pylist()]
        assert Dataset.open(output).manifest.extra["cut"] == 1
    # as all together: what twelve documents have is left alone, and by itself each domain would cut it out of six
    assert rows == [row for batch in Dataset.open(tmp_path / "whole").batches() for row in batch.to_pylist()]
    assert sum(common in row["text"] for row in rows) == 12 and not any(known in row["text"] for row in rows)
    assert Dataset.open(tmp_path / "alone").manifest.extra["cut"] == 7
    two = RunOptions(workers=2, memory=100_000_000, quiet=True, always_pool=True)
    run_stage(verdict, tmp_path / "again", two)
    assert contents(tmp_path / "again") == contents(tmp_path / "verdict")
