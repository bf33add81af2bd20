"""What a run has memorized, as a table, a drawing, and records with the documents of each hit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from corpus.data.provenance import DocumentList
from trainer.data.text import TextCodec
from trainer.data.validation_sets import PackedRows
from trainer.run.directory import Run
from trainer.run.trace import steps_of_rows
from trainer.science.chart import Axis, Series, draw
from trainer.science.memorization import Memorization, Share, Tested, bucket_of, bucket_range

_EIDETIC = (1, 10, 100, 1000)
"""The k of k-eidetic memorization: said by heart, and in at most k documents (Carlini et al. 2021)."""
_SHOWN = 10


def memorization_lines(found: Memorization) -> Iterator[str]:
    """The tables: prompts, domains, duplicates, k-eidetic counts, and some of the hits with their documents."""
    options, prompt = found.options, max(found.options.prompts)
    yield (
        f"{found.run} at step {found.step}: spans of {prompt} + {options.continuation} tokens, greedy, exact match of the "
        f"last {options.continuation}"
    )
    for length in options.prompts:
        yield f"training, prompt of {length}: {_share(Share.of(found.random.exact(length)))}, {_matched(found.random, length)}"
        if found.control is not None:
            yield (
                f"control, prompt of {length}: {_share(Share.of(found.control.exact(length)))}, "
                f"{_matched(found.control, length)}; {int((found.control.occurrences.counts > 0).sum())} of them occur in training"
            )
    yield "by domain:"
    for domain, share in domain_shares(found.random, prompt).items():
        yield f"  {domain:<16} {_share(share)}"
    yield "by occurrences in training, of at most so many spans each:"
    for bucket, share in count_shares(found.by_count, prompt).items():
        low, high = bucket_range(bucket)
        yield f"  {f'{low:,}' if low == high else f'{low:,} to {high:,}':<16} {_share(share)}"
    exact = found.random.exact(prompt)
    documents = found.random.occurrences.documents[exact]
    counts = ", ".join(f"{int((documents <= k).sum())} in at most {k:,}" for k in _EIDETIC)
    yield f"k-eidetic: of {int(exact.sum())} hits at random {counts} documents"
    hits = hit_records(found)
    yield f"{len(hits)} hits in all" + ("" if len(hits) <= _SHOWN else f", the first {_SHOWN}:")
    for hit in hits[:_SHOWN]:
        text = " ".join(hit.get("text", "").split())[:80]
        yield (
            f"  {hit['document']} ({hit['domain']}), row {hit['row']} at {hit['position']}, step {hit['step']}; "
            f"{hit['occurrences']} times in {hit['documents']} documents: {text}"
        )


def domain_shares(tested: Tested, prompt: int) -> dict[str, Share]:
    """The hits of each domain."""
    exact, domains = tested.exact(prompt), np.array(tested.spans.domains)
    return {str(domain): Share.of(exact[domains == domain]) for domain in np.unique(domains)}


def count_shares(tested: Tested, prompt: int) -> dict[int, Share]:
    """The hits of each bucket of occurrences."""
    exact = tested.exact(prompt)
    buckets = np.array([bucket_of(int(count)) for count in tested.occurrences.counts])
    return {int(bucket): Share.of(exact[buckets == bucket]) for bucket in np.unique(buckets)}


def hit_records(found: Memorization) -> list[dict[str, Any]]:
    """Every training span that was continued exactly: its document's id, where it lies, the step that saw it first, how often
    it occurs, and its text where the run has its tokenizer."""
    data, prompt = PackedRows(found.options.data), max(found.options.prompts)
    run = Run(found.run)
    tokenizer = run.checked_tokenizer()
    codec = None if tokenizer is None else TextCodec(tokenizer)
    entries: dict[tuple[int, int], dict[str, Any]] = {}
    for tested in (found.random, found.by_count):
        spans = tested.spans
        for number in np.flatnonzero(tested.exact(prompt)):
            key = int(spans.rows[number]), int(spans.positions[number])
            entries[key] = {
                "document": int(spans.documents[number]),
                "domain": spans.domains[number],
                "row": key[0],
                "position": key[1],
                "occurrences": int(tested.occurrences.counts[number]),
                "documents": int(tested.occurrences.documents[number]),
                "continuation_occurrences": int(tested.continuations.counts[number]),
            }
            if codec is not None:
                entries[key]["text"] = codec.decode(spans.tokens[number].tolist())
    listed = DocumentList(data.dataset)
    names = listed.read({entry["document"] for entry in entries.values()}) if len(listed) else {}
    steps = steps_of_rows(found.run, data.identity.digest, (row for row, _ in entries))
    for entry in entries.values():
        number = entry["document"]
        entry["document"] = names[number].id if number in names else number
        entry["step"] = steps.get(entry["row"])
    return [entries[key] for key in sorted(entries)]


def memorization_json(found: Memorization) -> dict[str, Any]:
    """The same for programs."""
    prompts = found.options.prompts
    longest = max(prompts)

    def tested(each: Tested) -> dict[str, Any]:
        return {
            "spans": len(each.spans),
            "prompts": {
                str(prompt): {**_numbers(Share.of(each.exact(prompt))), "matched_tokens": each.matched(prompt)}
                for prompt in prompts
            },
            "domains": {name: _numbers(share) for name, share in domain_shares(each, longest).items()},
        }

    return {
        "run": str(found.run),
        "step": found.step,
        "continuation": found.options.continuation,
        "training": tested(found.random),
        "control": None if found.control is None else tested(found.control),
        "occurrences": [
            {"from": bucket_range(bucket)[0], "to": bucket_range(bucket)[1], **_numbers(share)}
            for bucket, share in count_shares(found.by_count, longest).items()
        ],
        "hits": hit_records(found),
    }


def draw_memorization(found: Memorization, path: Path) -> None:
    """The shares by occurrences with their intervals, as in PaLM's Figure 18, and the control."""
    prompt = max(found.options.prompts)
    shares = {bucket: share for bucket, share in count_shares(found.by_count, prompt).items() if bucket}
    points = [
        ((low * high) ** 0.5, share.value) for (low, high), share in ((bucket_range(b), s) for b, s in shares.items())
    ]
    series = [
        Series("training", points),
        Series("95 %", points, False, spread=[share.interval for share in shares.values()]),
    ]
    if found.control is not None and points:
        value = Share.of(found.control.exact(prompt)).value
        series.append(Series("validation", [(points[0][0], value), (points[-1][0], value)]))
    title = f"Said by heart: {found.options.continuation} tokens after {prompt}"
    draw(path, title, Axis("occurrences in training", log=True), Axis("share of spans"), series)


def _share(share: Share) -> str:
    low, high = share.interval
    return f"{share.hits:,} of {share.spans:,} = {share.value:.2%} ({low:.2%} to {high:.2%})"


def _matched(tested: Tested, prompt: int) -> str:
    return f"{tested.matched(prompt):.2f} tokens right before the first wrong one"


def _numbers(share: Share) -> dict[str, Any]:
    low, high = share.interval
    return {"hits": share.hits, "spans": share.spans, "share": share.value, "low": low, "high": high}
