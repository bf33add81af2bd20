"""Parameter counts, slow obvious twins of both families, masks, the cache, the first weights."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from corpus.errors import UsageError
from tests.trainer.models.twin import BUCKET_STARTS, exact_weights, slope, twin_logits
from tests.trainer.shapes import build, small
from trainer.config.families.registry import PRESETS, find_preset
from trainer.models.attention import _since_start, document_mask, positions_in_documents
from trainer.models.initialisation import initialise
from trainer.models.model import LanguageModel
from trainer.models.objective import TrainingModel
from trainer.models.positions.alibi import slopes
from trainer.models.positions.t5 import distance_buckets
from trainer.models.shape import ModelShape

# by hand from the papers' shapes, and as the classes of transformers have them
PAPER_COUNTS = {
    "llama-7b": 6_738_415_616,
    "llama-13b": 13_015_864_320,
    "llama-33b": 32_528_943_616,
    "llama-65b": 65_285_660_672,
    # from the shapes of the paper's Table 1, by hand; it prints 8.63, 62.50 and 540.35 billion
    "palm-8b": 8_632_012_800,
    "palm-62b": 62_495_662_080,
    "palm-540b": 540_356_474_880,
    "llama2-7b": 6_738_415_616,
    "llama2-13b": 13_015_864_320,
    "llama2-70b": 68_976_648_192,
    "llama3-8b": 8_030_261_248,
    "llama3-70b": 70_553_706_496,
    "llama3-405b": 405_853_388_800,
    "llama3.2-1b": 1_235_814_400,
    "llama3.2-3b": 3_212_749_824,
    "gpt3-125m": 125_226_240,
    "gpt3-350m": 355_871_744,
    "gpt3-760m": 760_300_032,
    "gpt3-1.3b": 1_315_723_264,
    "gpt3-2.7b": 2_651_553_280,
    "gpt3-6.7b": 6_658_404_352,
    "gpt3-13b": 12_853_386_240,
    "gpt3-175b": 174_604_259_328,
    "galactica-125m": 124_909_056,
    "galactica-1.3b": 1_314_557_952,
    "galactica-6.7b": 6_655_647_744,
    "galactica-30b": 29_968_103_424,
    "galactica-120b": 121_328_947_200,
    "bloom-560m": 559_214_592,
    "bloom-1b1": 1_065_314_304,
    "bloom-1b7": 1_722_408_960,
    "bloom-3b": 3_002_557_440,
    "bloom-7b1": 7_069_016_064,
    "bloom-176b": 176_247_271_424,
    "pythia-14m": 14_067_712,
    "pythia-70m": 70_426_624,
    "pythia-160m": 162_322_944,
    "pythia-410m": 405_334_016,
    "pythia-1b": 1_011_781_632,
    "pythia-1.4b": 1_414_647_808,
    "pythia-2.8b": 2_775_208_960,
    "pythia-6.9b": 6_857_302_016,
    "pythia-12b": 11_846_072_320,
    "neox-20b": 20_554_567_680,
    "opt-125m": 125_239_296,
    "opt-350m": 331_196_416,
    "opt-1.3b": 1_315_758_080,
    "opt-2.7b": 2_651_596_800,
    "opt-6.7b": 6_658_473_984,
    "opt-13b": 12_853_473_280,
    "opt-30b": 29_974_540_288,
    "opt-66b": 65_719_701_504,
    "opt-175b": 174_604_468_224,
    "santacoder": 1_124_886_528,
    "starcoder-1b": 1_137_207_296,
    "starcoder-3b": 3_043_311_104,
    "starcoder-7b": 7_327_263_232,
    "starcoder-15b": 15_517_456_384,
    "glm-130b": 128_697_794_560,
}
PRINTED = {
    "llama-7b": 6.738,
    "llama-13b": 13.016,
    "llama-33b": 32.529,
    "llama-65b": 65.286,
    "palm-8b": 8.63,
    "palm-62b": 62.50,
    "palm-540b": 540.35,
}
# the names that the papers give, in millions; what they do not count is far below the last digit
NAMED = {
    "gopher-44m": 44,
    "gopher-117m": 117,
    "gopher-417m": 417,
    "gopher-1.4b": 1400,
    "gopher-7.1b": 7100,
    "gopher-280b": 280_000,
    "chinchilla-70b": 70_000,
}
# LaMDA's Table 27 (appendix D) counts without the embedding
WITHOUT_EMBEDDING = {"lamda-2b": 2.1, "lamda-8b": 8.6, "lamda-137b": 137.4}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_parameters_on_the_meta_device(name: str) -> None:
    with torch.device("meta"):
        model = LanguageModel(PRESETS[name].shape)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == LanguageModel.count(PRESETS[name].shape).total
    if name in PAPER_COUNTS:
        assert count == PAPER_COUNTS[name]
        assert count / 1e9 == pytest.approx(PRINTED.get(name, count / 1e9), abs=0.0075)
    if name in NAMED:
        assert count / 1e6 == pytest.approx(NAMED[name], rel=0.02)
    if name in WITHOUT_EMBEDDING:
        rest = count - PRESETS[name].shape.vocabulary * PRESETS[name].shape.d_model
        assert rest / 1e9 == pytest.approx(WITHOUT_EMBEDDING[name], abs=0.05)


def test_unknown_model_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="llama-7b"):
        find_preset("lama-7b")


# every setting of a shape at least once, those that transformers has no class for above all
FORMS: dict[str, dict[str, object]] = {
    "llama": {},
    "palm": {},
    "gopher": {"positions": "transformer-xl", "activation": "gelu-tanh", "gated": False, "bias": True, "tied": True},
    "lamda": {"positions": "t5", "activation": "gelu", "head_size": 12, "tied": True},
    "glm": {"block": "glm", "norm": "layer-bias", "activation": "gelu", "bias": True, "tied": True},
    "deep-norm": {"block": "deep-norm", "norm": "layer-bias", "positions": "alibi", "gated": False},
    "post-norm": {"block": "post-norm", "norm": "layer", "positions": "none", "activation": "relu"},
    "sandwich": {"block": "sandwich", "norm": "layer-unscaled", "positions": "learned", "position_offset": 2},
    "neox": {"block": "parallel-two-norms", "rope_share": 0.5, "bias": True, "norm": "layer-bias"},
    "rezero": {"rezero": True, "norm": "rms-unscaled", "qk_norm": True, "logit_cap": 0.7, "activation": "relu-squared"},
    "rezero-neox": {"rezero": True, "block": "parallel-two-norms"},
    "llama3": {"rope_scaling": "llama3", "rope_factor": 8.0, "rope_original_length": 24, "rope_base": 50.0},
    "linear": {"rope_scaling": "linear", "rope_factor": 3.0},
    "opt-350m": {"embedding_size": 16, "embedding_norm": True, "positions": "learned"},
    "alibi-cap": {"positions": "alibi", "n_kv_heads": 1, "logit_cap": 0.5, "scaled_logits": True},
}


def formed(name: str, **changes: object) -> ModelShape:
    return small("palm" if name == "palm" else "llama", **FORMS[name] | changes)


@pytest.mark.parametrize("name", FORMS)
def test_logits_equal_the_twin(name: str) -> None:
    model = build(formed(name))
    tokens = torch.randint(50, (2, 7), generator=torch.Generator().manual_seed(3))
    logits = model.logits(tokens)
    for row in range(2):
        wanted = twin_logits(model.shape, exact_weights(model), tokens[row])
        torch.testing.assert_close(logits[row].double(), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FORMS)
def test_gradients_equal_the_twin(name: str) -> None:
    model = build(formed(name))
    tokens = torch.randint(50, (9,), generator=torch.Generator().manual_seed(3))
    loss, _ = TrainingModel(model)(tokens[None, :-1], tokens[None, 1:], None, None, 0.01, 8)
    loss.backward()
    weights = exact_weights(model)
    logits = twin_logits(model.shape, weights, tokens[:-1])
    z = logits.exp().sum(1).log()
    (functional.cross_entropy(logits, tokens[1:]) + 0.01 * z.square().mean()).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), key
        torch.testing.assert_close(parameter.grad.double(), weights[key].grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FORMS)
def test_losses_of_an_evaluation_are_those_of_training(name: str) -> None:
    model = build(formed(name))
    tokens = torch.randint(50, (2, 13), generator=torch.Generator().manual_seed(3))
    loss, _ = TrainingModel(model)(tokens[:, :-1], tokens[:, 1:], None, None, 0.0, 24)
    losses = TrainingModel(model).losses(tokens[:, :-1], tokens[:, 1:], None)
    torch.testing.assert_close(losses.mean(), loss.detach())


@pytest.mark.filterwarnings("ignore")  # torch warns of its own compiler
@pytest.mark.parametrize("name", FORMS)
def test_a_block_compiles_without_graph_breaks(name: str) -> None:
    """Traced whole, forward and backward; the values are the block's own."""
    torch.compiler.reset()
    model, whole = build(formed(name)), build(formed(name))
    for block in whole.blocks:
        block.compile(fullgraph=True, backend="aot_eager")
    tokens = torch.randint(50, (2, 13), generator=torch.Generator().manual_seed(3))
    for each in (model, whole):
        loss, _ = TrainingModel(each)(tokens[:, :-1], tokens[:, 1:], None, None, 0.0, 24)
        loss.backward()
    for (key, parameter), other in zip(model.named_parameters(), whole.parameters(), strict=True):
        assert parameter.grad is not None and other.grad is not None
        torch.testing.assert_close(parameter.grad, other.grad, atol=1e-5, rtol=1e-4, msg=key)


def test_t5_buckets_over_long_distances() -> None:
    buckets = distance_buckets(300)
    firsts = [int((buckets == n).nonzero()[0]) for n in range(32)]
    assert firsts == BUCKET_STARTS
    assert (buckets[113:] == 31).all() and (buckets.diff() >= 0).all()


@pytest.mark.parametrize(("heads", "first", "last"), [(112, 0.9170, 0.01632), (12, 0.5, 0.0884), (8, 0.5, 2**-8)])
def test_alibi_slopes(heads: int, first: float, last: float) -> None:
    """Those that BLOOM's and MPT's code give, heads that are no power of two included."""
    found = slopes(heads)
    assert len(found) == heads
    assert float(found[0]) == pytest.approx(first, rel=1e-3)
    assert float(found[-1]) == pytest.approx(last, rel=1e-3)
    assert found.tolist() == pytest.approx([slope(heads, head) for head in range(heads)])


@pytest.mark.parametrize("name", FORMS)
def test_document_mask_lets_nothing_through(name: str) -> None:
    model = build(formed(name))
    tokens = torch.randint(50, (2, 16), generator=torch.Generator().manual_seed(4))
    changed = tokens.clone()
    changed[:, :7] = (changed[:, :7] + 1) % 50
    documents = torch.tensor([[0] * 7 + [1] * 9] * 2)
    mask = document_mask(documents)
    before, after = model.logits(tokens, mask), model.logits(changed, mask)
    assert torch.equal(before[:, 7:], after[:, 7:])
    assert not torch.equal(before[:, :7], after[:, :7])
    # without the mask the change is seen
    assert not torch.equal(model.logits(tokens)[:, 7:], model.logits(changed)[:, 7:])


@pytest.mark.parametrize("name", FORMS)
def test_documents_under_a_mask_are_what_they_are_alone(name: str) -> None:
    """Positions count from the row's start, where only their differences are seen, and learned ones from the document's."""
    model = build(formed(name))
    tokens = torch.randint(50, (1, 16), generator=torch.Generator().manual_seed(4))
    mask = document_mask(torch.tensor([[0] * 7 + [1] * 9]))
    torch.testing.assert_close(model.logits(tokens, mask)[:, 7:], model.logits(tokens[:, 7:]), atol=1e-5, rtol=1e-5)


def test_positions_in_documents() -> None:
    documents = torch.tensor([[0, 0, 0, 5, 5, -1, -1], [3, 4, 4, 4, 4, 4, 7]])
    wanted = [[0, 1, 2, 0, 1, 0, 1], [0, 0, 1, 2, 3, 4, 0]]
    found = positions_in_documents(document_mask(documents))
    assert found is not None and found.tolist() == wanted == _since_start(documents).tolist()
    assert positions_in_documents(None) is None


@pytest.mark.parametrize("name", FORMS)
def test_padding_under_a_mask_is_finite_and_leaks_nothing(name: str) -> None:
    model = build(formed(name))
    tokens = torch.randint(50, (1, 16), generator=torch.Generator().manual_seed(4))
    mask = document_mask(torch.tensor([[0] * 7 + [1] * 4 + [-1] * 5]))
    loss, _ = TrainingModel(model)(tokens, tokens.masked_fill(torch.arange(16) > 9, -100), mask, None, 0.0, 10)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_document_mask_of_one_document_is_the_causal_one() -> None:
    model = build(small("llama"))
    tokens = torch.randint(50, (1, 16), generator=torch.Generator().manual_seed(4))
    masked = model.logits(tokens, document_mask(torch.zeros(1, 16, dtype=torch.int64)))
    torch.testing.assert_close(masked, model.logits(tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FORMS)
def test_cache_gives_the_logits_of_the_whole(name: str) -> None:
    model = build(formed(name))
    tokens = torch.randint(50, (1, 16), generator=torch.Generator().manual_seed(5))
    cache = model.new_cache(1)
    pieces = [model.logits(tokens[:, :6], cache=cache)]
    pieces += [model.logits(tokens[:, t : t + 1], cache=cache) for t in range(6, 16)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), model.logits(tokens), atol=1e-5, rtol=1e-5)


def test_first_weights_of_palm() -> None:
    model = LanguageModel(small("palm", d_model=400, feed_forward=300, vocabulary=500))
    initialise(model, 7)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            assert torch.equal(parameter.detach(), torch.ones_like(parameter))
            continue
        wanted = 1.0 if name == "embedding" else parameter.shape[1] ** -0.5
        assert float(parameter.detach().std()) == pytest.approx(wanted, rel=0.05), name
    again = LanguageModel(model.shape)
    torch.manual_seed(123)  # the global generator has no say
    initialise(again, 7)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("law", ["gpt", "small", "deep-norm", "glm"])
def test_first_weights_of_other_laws(law: str) -> None:
    """Deviations by the papers' formulas; scales 1, biases and ReZero's factors 0."""
    sizes = {"d_model": 240, "heads": 4, "n_kv_heads": 4, "head_size": 60, "feed_forward": 400, "vocabulary": 900}
    form = {"initialisation": law, "bias": True, "norm": "layer-bias", "rezero": True, "initial_deviation": 0.006}
    shape = small("llama", layers=3, **sizes, **form)
    model = LanguageModel(shape)
    initialise(model, 7)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    for name, value in weights.items():
        if value.dim() == 1:
            assert torch.equal(value, torch.full_like(value, float(name.endswith("scale")))), name
    project = weights["blocks.1.attention.project.weight"]
    found = {
        "embedding": weights["embedding"],
        "query": project[:480],
        "value": project[480:],
        "attention": weights["blocks.1.attention.output.weight"],
        "up": weights["blocks.1.mlp.project.weight"],
        "down": weights["blocks.1.mlp.output.weight"],
    }
    gain = {"deep-norm": (8 * 3) ** -0.25, "glm": (2 * 3) ** -0.5}.get(law, 1.0)
    square, fed = (2 / 480) ** 0.5, (2 / 640) ** 0.5
    wanted = {
        "gpt": dict.fromkeys(found, 0.006) | dict.fromkeys(("attention", "down"), 0.006 / 6**0.5),
        "small": dict.fromkeys(found, (2 / 1200) ** 0.5) | dict.fromkeys(("attention", "down"), 2 / (3 * 240**0.5)),
    }.get(
        law,
        {"embedding": 0.006, "query": square, "value": gain * square, "attention": gain * square}
        | dict.fromkeys(("up", "down"), gain * fed),
    )
    for name, matrix in found.items():
        assert float(matrix.std()) == pytest.approx(wanted[name], rel=0.03), name


def test_logits_of_a_new_palm_are_of_order_one() -> None:
    model = LanguageModel(small("palm", d_model=256, vocabulary=400))
    initialise(model, 0)
    logits = model.logits(torch.arange(16)[None])
    assert 0.5 < float(logits.detach().std()) < 2.0


@pytest.mark.parametrize("changes", [{"head_size": 7}, {"n_kv_heads": 2}, {"layers": 0}])
def test_impossible_shapes_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        LanguageModel(small("llama", **changes))


def test_flops_of_palm_540b() -> None:
    """The paper's MFU formula: 6N + 12·L·H·Q·T per token."""
    shape = PRESETS["palm-540b"].shape
    flops = LanguageModel.flops_per_token(shape, 2048)
    assert flops == pytest.approx(6 * 540.35e9 + 12 * 118 * 48 * 256 * 2048, rel=1e-4)
