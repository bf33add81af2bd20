"""The rates of docs/cost.md and docs/peers.md are those of the benchmarks, and its hours follow from them."""

from __future__ import annotations

import re

import pytest

from tests.docs.command_lines import ROOT

BENCHMARKS = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
COST = (ROOT / "docs/cost.md").read_text(encoding="utf-8")
SPEED = re.search(r"^## Speed\n(.*?)^## ", (ROOT / "docs/peers.md").read_text(encoding="utf-8"), re.M | re.S)


def measured(rate: str) -> bool:
    return re.search(rf"(?<![\d.,]){re.escape(rate)}(?![\d]|[.,]\d)", BENCHMARKS) is not None


def test_hours_of_stages_follow_from_measured_rates() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([\d.]+) \| ([\d.]+) \|$", COST, re.M)
    assert len(rows) == 10
    for stage, rate, hours in rows:
        assert measured(rate), f"{stage}: {rate} MB/s is in no benchmark"
        assert float(hours) == pytest.approx(1e6 / float(rate) / 3600, abs=0.05), stage


def test_hours_of_models_follow_from_measured_rates() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([\d,]+) \| ([\d.]+) B \| ([\d.]+) \|$", COST, re.M)
    assert len(rows) == 3
    for model, rate, tokens, hours in rows:
        assert measured(rate), f"{model}: {rate} tokens/s is in no benchmark"
        per_hour = 3600 * int(rate.replace(",", ""))
        assert float(hours) == pytest.approx(float(tokens) * 1e9 / per_hour, rel=0.02), model


def test_what_is_said_of_peers_was_measured() -> None:
    assert SPEED is not None
    rows = [row.split("|")[2:4] for row in SPEED[1].splitlines() if row.startswith("| ") and " ours " not in row]
    numbers = [number for row in rows for number in re.findall(r"(?<![\d.])\d[\d,]*(?:\.\d+)?(?![.\d])", " ".join(row))]
    unknown = [number for number in numbers if not measured(number) and number != "5"]
    assert len(numbers) > 15 and not unknown
