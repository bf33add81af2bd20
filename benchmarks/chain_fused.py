"""The joined pass against what its maps take by themselves, and the memory of a filter over huge documents."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.chain_stages import DOMAIN, recipe_for, start_executor, steps_of, timed
from benchmarks.chain_text import Text, natural, synthetic_pages
from benchmarks.synth import write_documents
from corpus.data.columns import conform, document_schema, merge_columns
from corpus.data.dataset import Dataset
from corpus.data.writer import ShardWriter
from corpus.engine.document_map import DocumentBatch, DocumentMap, stays_of, titles
from corpus.engine.document_stage import MapStage, _parts
from corpus.engine.runner import RunOptions, run_stage
from corpus.engine.stage import Stage
from corpus.quality.filter import FilterConfig
from pipelines.recipes.graph import INGEST, StepRef
from pipelines.recipes.recipe import make_stage, maps_of, recipe_passes, step_config

Pair = Any
"""float64[2]: seconds by the wall and of the processor."""
_DOCUMENT = 10_000_000
"""Bytes of a huge document."""


@dataclass(frozen=True)
class OwnTime:
    """Seconds (by the wall, of the processor) over all documents in memory: to read them, of each map's `apply`, and to
    write those that stay."""

    read: Pair
    maps: dict[str, Pair]
    write: Pair


def now() -> Pair:
    """The clocks."""
    return np.array([time.perf_counter(), time.process_time()])


def median(found: Iterable[Pair]) -> Pair:
    """That of each clock."""
    return np.median(np.array(list(found)), axis=0)


def document_maps() -> tuple[DocumentMap, ...]:
    """The maps that the recipe runs after dedup."""
    entries = [next(iter(stage.items())) for stage in recipe_for(None, True).domains[DOMAIN].stages][1:]
    configs = [step_config(DOMAIN, name, settings) for name, settings in entries]
    return tuple(step for config in configs for step in maps_of(config))


def own_time(documents: Path, place: Path) -> OwnTime:
    """Run the maps over the documents in memory, in parts as large as the stage's. What one map worked out of a text the
    next has too, as in the stage."""
    maps = document_maps()
    for step in maps:
        step.prepare()
    dataset = Dataset.open(documents)
    columns = merge_columns([dataset.manifest.columns, *(step.columns for step in maps)])
    began = now()
    batches = list(dataset.batches())
    read = now() - began
    spent = {name: np.zeros(2) for name in titles(maps)}
    kept: list[pa.RecordBatch] = []
    for data in batches:
        for part in _parts(data):
            batch = DocumentBatch(part)
            for name, step in zip(titles(maps), maps, strict=True):
                began = now()
                out = step.apply(batch)
                spent[name] += now() - began
                stays, _ = stays_of(out.reasons, batch.num_rows)
                batch = batch.with_columns(out.columns)
                batch = batch if stays is None else batch.filter(stays)
            kept.append(conform(batch.rows, document_schema(columns)))
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    began = now()
    writer = ShardWriter(place, document_schema(columns))
    for data in kept:
        writer.write(data)
    writer.close()
    return OwnTime(read, spent, now() - began)


def fused(text: Text, work: Path, tokenizer: Path, runs: int) -> None:
    """Print the seconds of the joined passes and of what they are made of. The caller pins this to one core."""
    output = work / "fused"
    shutil.rmtree(output, ignore_errors=True)
    executor, _ = start_executor(1)
    options = RunOptions(workers=1, always_pool=True, running=executor, quiet=True)
    seconds: dict[str, list[tuple[float, float]]] = {}
    own = []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        for raw, repeats in ((text.tiny, 1), (text.raw, runs)):  # a few pages first, for all that is start-up
            place = output / raw.name
            stages, documents = _passes(raw, place, tokenizer)
            seconds, own = {name: [] for name in stages}, []
            for _ in range(repeats):
                own.append(alone.submit(own_time, documents, place / "written").result())
                for name, stage in stages.items():
                    seconds[name].append(timed(stage, place / "passes" / name, options)[0])
    executor.close()
    _print_fused(text, own, {name: median(found) for name, found in seconds.items()})


def _passes(raw: Path, output: Path, tokenizer: Path) -> tuple[dict[str, Stage], Path]:
    """The passes to measure by name, and the documents that the maps alone are to go through."""
    ingest, dedup = steps_of(raw, output, tokenizer, False)[:2]
    for step in (ingest, dedup):
        run_stage(step.make(), output / step.output, RunOptions(quiet=True))
    joined = recipe_passes(recipe_for(tokenizer, True), [DOMAIN])[0]
    source, documents = output / ingest.output, output / dedup.output
    stages = {
        "dedup": dedup.make(),
        "langid+filter": MapStage((str(documents),), "langid+filter", maps=document_maps()),
        "dedup+langid+filter": make_stage((str(source),), joined, {StepRef(DOMAIN, INGEST): str(source)}),
    }
    return stages, documents


def _print_fused(text: Text, own: list[OwnTime], passes: dict[str, Pair]) -> None:
    print(f"\nThe joined pass, {text.kind} pages, one core, median of {len(own)}\n")
    print("| | seconds | processor s |\n|---|---:|---:|")
    maps = {name: median(each.maps[name] for each in own) for name in own[0].maps}
    parts = {f"map {name}, own time": spent for name, spent in maps.items()}
    parts |= {"one read": median(each.read for each in own), "one write": median(each.write for each in own)}
    alone, of_maps = sum(parts.values()), sum(maps.values())
    for name, (wall, processor) in [*parts.items(), ("their sum", alone), *passes.items()]:
        print(f"| {name} | {wall:.2f} | {processor:.2f} |")
    wall, processor = passes["langid+filter"] / alone
    print(
        f"\nlangid+filter: {wall:.2f}× its maps' own time, one read and one write (1.10 wanted), processor {processor:.2f}×"
    )
    wall, processor = passes["dedup+langid+filter"] / (passes["dedup"] + of_maps)
    print(f"dedup+langid+filter: {wall:.2f}× dedup and the maps' own time, processor {processor:.2f}×", flush=True)


def huge_documents(number: int, prose: Path | None, have_natural: bool) -> Iterator[list[bytes]]:
    """Documents of 10 MB of English, each from another place of the same 30 MB on; then ordinary pages, so that some
    document stays whatever the rules say of the huge ones."""
    size = 3 * _DOCUMENT
    found = natural(prose, size * 2) if have_natural else synthetic_pages(size * 2)
    pages = ["\n".join(lines).encode() for language, lines, _ in found if language == "eng"]
    text = b"\n".join(pages)
    size = min(size, len(text))
    text += b"\n" + text
    for each in range(number):
        start = text.index(b"\n", each * size // number) + 1
        yield [text[start : text.rindex(b"\n", start, start + _DOCUMENT)]]
    yield pages[:200]


def huge(work: Path, prose: Path | None, have_natural: bool, number: int, memory: int) -> None:
    """Filter by Gopher's rules documents of 10 MB, and print the peak of the process that did it: as the rules are, where
    the number of words ends it, and without that limit, where all the rules run."""
    documents = work / f"huge-{number}"
    if not (documents / "manifest.json").exists():
        shutil.rmtree(documents, ignore_errors=True)
        write_documents(huge_documents(number, prose, have_natural), documents)
    print(f"\nGopher's rules over {number} documents of 10 MB, --memory {memory / 1e6:,.0f} MB\n")
    print("| | seconds | peak MB | before the data, MB |\n|---|---:|---:|---:|")
    for title, settings in {"as they are": (), "no limit of words": ("gopher_quality.max_words=1000000000",)}.items():
        executor, _ = start_executor(1)
        stage = MapStage((str(documents),), "filter", maps=FilterConfig(rules=("gopher",), set=settings).maps())
        options = RunOptions(workers=1, memory=memory, always_pool=True, running=executor, quiet=True)
        try:
            (seconds, _), log = timed(stage, work / "huge-filtered", options)
        finally:
            executor.close()
        print(
            f"| {title} | {seconds:.1f} | {log['peak_memory'] / 1e6:,.0f} | {log['fixed_memory'] / 1e6:,.0f} |",
            flush=True,
        )
