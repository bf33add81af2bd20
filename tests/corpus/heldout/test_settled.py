"""Settled domains: their validation is chosen first and alone, and nothing they train on is validated elsewhere."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.data.dataset import Dataset
from corpus.data.verify import verify_dataset
from corpus.engine.runner import run_stage
from corpus.heldout.choice import IN_TRAINING
from corpus.heldout.config import ChoiceConfig
from corpus.heldout.side import SIDES, side_stage
from corpus.heldout.stage import ChoiceStage
from tests.corpus.heldout.test_domains import QUIET, lines_of, planted
from tests.datasets import write_documents

WANTED = {"validation": "10%", "min_bytes": 0, "min_documents": 4}


def texts_of(path: Path) -> list[str]:
    return [text for batch in Dataset.open(path).batches(["text"]) for text in batch["text"].to_pylist()]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["exact", "lines"]), st.booleans())
def test_what_models_were_trained_on_is_no_validation(seed: int, overlap: str, two: bool) -> None:
    domains = planted(seed)
    settled = list(domains)[: 1 + two]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {domain: write_documents(folder / domain, domains[domain], domain, 30) for domain in domains}
        early = {}
        for domain in settled:
            stage = ChoiceStage((str(sources[domain]),), ChoiceConfig(**WANTED, overlap="exact"))  # type: ignore[arg-type]  # of several types
            run_stage(stage, folder / f"alone-{domain}", QUIET)
            output = folder / f"early-{domain}"
            run_stage(side_stage((str(sources[domain]),), folder / f"alone-{domain}", domain, "train"), output, QUIET)
            early[domain] = Dataset.open(output)
        stage = ChoiceStage(
            tuple(map(str, sources.values())),
            ChoiceConfig(**WANTED, overlap=overlap),  # type: ignore[arg-type]  # of several types
            tuple((domain, str(folder / f"alone-{domain}")) for domain in settled),
        )
        run_stage(stage, folder / "choice", QUIET)
        assert verify_dataset(folder / "choice").problems == []
        found = {}
        for domain, source in sources.items():
            for side in SIDES:
                output = folder / f"{side}-{domain}"
                run_stage(side_stage((str(source),), folder / "choice", domain, side), output, QUIET)
                found[side, domain] = texts_of(output)
        # models saw the training side as it is in the end, to the byte
        for domain in settled:
            assert Dataset.open(folder / f"train-{domain}").digest == early[domain].digest
        rows = {row["domain"]: row["dropped"] for row in Dataset.open(folder / "choice").manifest.extra["validation"]}
    trained = {text for domain in domains for text in found["train", domain]}
    lines = {line for text in trained for line in lines_of(text)}
    for domain in domains:
        assert not set(found["validation", domain]) & trained
        for text in found["validation", domain] if overlap == "lines" else ():
            sizes = [(len(line.encode()), line in lines) for line in lines_of(text)]
            assert 2 * sum(size for size, shared in sizes if shared) <= sum(size for size, _ in sizes)
        gone = set(domains[domain]) - set(found["train", domain]) - set(found["validation", domain])
        known = {text for other in settled if other != domain for text in found["train", other]}
        assert (IN_TRAINING in rows[domain]) == bool(gone & known)
