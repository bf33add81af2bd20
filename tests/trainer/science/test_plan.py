"""`trainer plan`: what it prints, shapes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner

from corpus.errors import UsageError
from trainer.cli import main
from trainer.config.families.registry import find_preset
from trainer.config.gpus import find_gpu
from trainer.models.model import LanguageModel
from trainer.science.family_shape import shape_for
from trainer.science.footprint import least_gpus, memory_on
from trainer.science.plan import PlanOptions, make_plan


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["plan", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_plan_names_every_approach_with_its_source(tmp_path: Path) -> None:
    counts = tmp_path / "counts.yaml"
    counts.write_text("web: 60B\nbooks: 40B\n")
    text = _run("--compute", "1e23", "--corpus", str(counts), "--plot", str(tmp_path / "plan.svg"))
    for words in (
        "Besiroglu et al. 2024",
        "Table A3",
        "Kaplan et al. 2020",
        "100B unique tokens",
        "epochs",
        "--set model.",
    ):
        assert words in text
    drawing = ElementTree.fromstring((tmp_path / "plan.svg").read_text())
    assert sum(element.tag.endswith("polyline") for element in drawing.iter()) == 6


def test_json_has_the_numbers(tmp_path: Path) -> None:
    value = json.loads(_run("--gpu-hours", "1000", "--gpu", "a100", "--mfu", "50%", "--json"))
    assert value["optima"]["approach-3-corrected"] == {key: value["chosen"][key] for key in value["chosen"]}
    assert value["chosen"]["compute"] == pytest.approx(1000 * 3600 * 312e12 * 0.5)
    assert value["gpu_hours"] == pytest.approx(1000)
    assert value["shape"]["settings"][0].startswith("model.layers=")


def test_two_numbers_are_placed() -> None:
    plan = make_plan(PlanOptions(parameters=7_000_000_000, tokens=1_000_000_000_000))
    placed = plan.placements["approach-3-corrected"]
    assert placed.loss is not None and placed.optimal_loss is not None and placed.compute_ratio is not None
    assert placed.loss > placed.optimal_loss and 1.3 < placed.compute_ratio < 1.5
    assert "2.70 times smaller than the optimum" in _run("--parameters", "7B", "--tokens", "1T")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "nothing is given"),
        ({"compute": 1e20, "gpu_hours": 3.0}, "twice"),
        ({"compute": 1e20, "parameters": 10, "tokens": 10}, "at most two"),
        ({"compute": 1e20, "gpu": "h1000"}, "did you mean 'H100'"),
        ({"tokens": 100, "law": "kaplan", "inference_tokens": 5}, "needs a loss"),
        ({"tokens": 100, "parameters": 5, "inference_tokens": 5}, "chooses both"),
        ({"compute": 1e20, "corpus": Path("nowhere")}, "nowhere"),
    ],
)
def test_what_cannot_be_planned_is_said(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_plan(PlanOptions(**options))  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("family", ["llama", "palm", "gpt3", "llama3"])
@pytest.mark.parametrize("parameters", [3e8, 1.1e9, 7e9, 5e10])
def test_shapes_are_near_their_size_and_allowed(family: str, parameters: float) -> None:
    found = shape_for(family, parameters)
    LanguageModel.check(found.shape)
    assert found.parameters == pytest.approx(parameters, rel=0.1)
    template = find_preset(found.name).shape
    assert found.shape.head_size == template.head_size
    grouped = template.n_kv_heads > 1
    assert not grouped or found.shape.heads // found.shape.n_kv_heads == template.heads // template.n_kv_heads
    assert found.shape.d_model / found.shape.layers == pytest.approx(template.d_model / template.layers, rel=0.5)


def test_a_size_that_no_shape_meets_is_refused() -> None:
    with pytest.raises(UsageError, match="no shape of the family llama has about 1e"):
        shape_for("llama", 1e18)
    with pytest.raises(UsageError, match="did you mean 'llama'"):
        shape_for("lama", 1e9)


def test_memory_by_hand() -> None:
    shape = find_preset("llama-7b").shape
    parameters = LanguageModel.count(shape).total
    # states of 100.4 GiB do not fit one H100
    assert 16 * parameters / 2**30 == pytest.approx(100.4, abs=0.05)
    assert least_gpus(shape, "H100", "full") == 2
    alone, many = memory_on(shape, 1, "full"), memory_on(shape, 1024, "full")
    assert alone > 16 * parameters > 20 * many
    assert memory_on(shape, 1024, "none") > many


def test_gpus_are_found_by_short_names() -> None:
    assert [find_gpu(name) for name in ("h100", "H100 PCIe", "4090", "mi300x", "a6000")] == [
        "H100", "H100 PCIe", "GeForce RTX 4090", "Instinct MI300X", "RTX A6000",
    ]  # fmt: skip


def test_a_plan_needs_no_torch() -> None:
    """Its import is two seconds, and a plan is arithmetic."""
    code = (
        "import sys; from trainer.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'pyarrow', 'numba', 'numpy', 'sympy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, "plan", "--compute", "1e21"], check=True, stdout=subprocess.DEVNULL)


def test_the_compiler_is_loaded_where_blocks_are_compiled_alone() -> None:
    code = "import sys, trainer.models.model; assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
