"""`trainer eval --tasks`: lm-eval on our models, against a twin without batches, and what the corpus holds of the examples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sentencepiece
import torch
from click.testing import CliRunner

from corpus.data.dataset import Dataset
from corpus.errors import UsageError
from tests.datasets import write_documents
from tests.trainer.packed import EOD, learnable_rows, write_packed
from trainer.cli import main
from trainer.evaluation.contamination import find_contamination
from trainer.evaluation.options import EvaluationOptions
from trainer.run.decoding import decode
from trainer.run.generate import LoadedModel
from trainer.run.sampling import SamplingConfig
from trainer.run.stream import TextStream

pytest.importorskip("lm_eval")
from trainer.evaluation.harness import HarnessModel

WORDS = "the cat sat on a mat and a dog ran to the red house by the sea while birds sang old songs".split()
LENGTH = 16


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a tokenizer of its own."""
    directory = tmp_path_factory.mktemp("tasks")
    text = directory / "text.txt"
    text.write_text("".join(" ".join(WORDS[i:] + WORDS[:i]) + "\n" for i in range(len(WORDS))) * 5)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(directory / "t"), vocab_size=60, model_type="bpe", minloglevel=2
    )
    data = write_packed(directory / "packed", learnable_rows(40, LENGTH, 60), 60, tokenizer_model=directory / "t.model")
    settings = ["--set", "model.layers=1", "--set", "model.d_model=32", "--set", "optimizer.lr=0.02"]
    given = ["--data", str(data), "--model", "llama-tiny", "--output", str(directory / "run"), "--steps", "9"]
    result = CliRunner().invoke(main, ["fit", *given, "--batch-size", "4", "--threads", "1", "--quiet", *settings])
    assert result.exit_code == 0, result.output
    return directory / "run"


def _asked(*arguments: object) -> SimpleNamespace:
    return SimpleNamespace(args=arguments)


def _alone(loaded: LoadedModel, context: Sequence[int], continuation: Sequence[int]) -> tuple[float, bool]:
    """One pair by itself, token by token, each after the last `LENGTH` before it at most."""
    ids = [*context, *continuation][-LENGTH - 1 :]
    with torch.no_grad():
        said = loaded.model.logits(torch.tensor([ids[:-1]]))[0].double().log_softmax(-1)
    places = range(len(ids) - len(continuation[-LENGTH:]), len(ids))
    total = sum(float(said[place - 1, ids[place]]) for place in places)
    return total, all(int(said[place - 1].argmax()) == ids[place] for place in places)


def test_answers_are_those_of_each_request_alone(run: Path) -> None:
    loaded = LoadedModel.load(run, lambda text: None)
    model = HarnessModel(loaded, batch_size=3)
    texts = [("the cat", " sat on"), ("the cat", " sat"), ("", "birds sang"), ("a dog ran to the red house by the sea ", "while"),
             ("the cat sat on a mat and a dog ran to the red house by the sea while", " birds sang")]  # fmt: skip
    answers = model.loglikelihood([_asked(*pair) for pair in texts])
    encode = loaded.codec.encode
    for (context, continuation), answer in zip(texts, answers, strict=True):
        whole = encode(context.rstrip() + " " * (len(context) - len(context.rstrip())) + continuation)
        size = len(encode(context.rstrip())) if context else 0
        expected = _alone(loaded, [EOD, *whole[:size]], whole[size:])
        assert answer == (pytest.approx(expected[0], abs=1e-4), expected[1])
    assert model.cut == 2  # the last two


def test_a_whole_text_is_predicted_once_and_greedy_answers_are_generated(run: Path) -> None:
    loaded = LoadedModel.load(run, lambda text: None)
    model = HarnessModel(run, batch_size=2)
    long = " ".join(WORDS * 2)
    ids = loaded.codec.encode(long)
    assert len(ids) > 2 * LENGTH
    # windows do not overlap in what they predict; the last one has as much before it as fits
    total, done = _alone(loaded, [EOD], ids[:LENGTH])[0], LENGTH
    while done < len(ids):
        end = min(done + LENGTH, len(ids))
        total += _alone(loaded, ids[max(0, end - LENGTH - 1) : done], ids[done:end])[0]
        done = end
    assert model.loglikelihood_rolling([_asked(long), _asked("a mat")])[0] == pytest.approx(total, abs=1e-3)
    settings = {"until": [" ", "."], "max_gen_toks": 5}
    text, other = model.generate_until([_asked("the cat sat", settings), _asked("a", {"max_gen_toks": 3})])
    assert " " not in text
    free = model.generate_until([_asked("the cat sat", {"max_gen_toks": 5})])[0]
    assert free.partition(" ")[0].partition(".")[0] == text
    # a greedy answer is one whose every token the model gives as the likeliest
    whole = loaded.before(loaded.codec.encode("a"))
    assert other == "" or loaded.generate("a", _greedy(3)) == "a" + other
    assert whole[0] == EOD


def test_a_prompt_is_kept_where_the_answer_is_asked_to_fill_the_model(run: Path) -> None:
    """The default asks for more tokens than the model takes together."""
    loaded = LoadedModel.load(run, lambda text: None)
    model = HarnessModel(loaded, batch_size=4)
    texts = ["the cat sat on a mat", "a dog ran", " ".join(WORDS), ""]
    starts = [loaded.before(loaded.codec.encode(text))[-LENGTH // 2 :] for text in texts]
    ids = [
        [token for _, token in decode(loaded.model, [start], _greedy(LENGTH - len(start)), (EOD,), loaded.vocabulary)]
        for start in starts
    ]
    expected = []
    for start, found in zip(starts, ids, strict=True):
        stream = TextStream(loaded.codec.decode, start, ())
        for token in found:
            stream.add(token)
        expected.append(stream.text)
    assert model.generate_until([_asked(text, {}) for text in texts]) == expected
    assert model.cut == sum(len(loaded.before(loaded.codec.encode(text))) > LENGTH // 2 for text in texts)
    with pytest.raises(UsageError, match="max_gen_toks at least 1"):
        model.generate_until([_asked("a", {"max_gen_toks": 0})])


def _greedy(tokens: int) -> SamplingConfig:
    return SamplingConfig(max_tokens=tokens, temperature=0.0)


def _tasks(directory: Path, questions: Sequence[dict[str, object]]) -> Path:
    data = directory / "questions.jsonl"
    data.write_text("".join(json.dumps(question) + "\n" for question in questions))
    task = directory / "quiz.yaml"
    task.write_text(
        f"task: quiz\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}, dev: {data}}}}}\n"
        "output_type: multiple_choice\ntest_split: test\nfewshot_split: dev\n"
        'doc_to_text: "{{question}}"\ndoc_to_choice: choices\ndoc_to_target: answer\n'
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
    )
    return task


def test_a_local_task_is_scored_and_its_contamination_said(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    known = " ".join(WORDS[:12])
    questions = [
        {"question": known, "choices": ["by the sea", "birds"], "answer": 0},
        {"question": " ".join(reversed(WORDS)), "choices": ["by the sea", "birds"], "answer": 1},
        {"question": "the cat", "choices": ["sat", "birds"], "answer": 0},
    ]
    task = _tasks(tmp_path, questions)
    write_documents(tmp_path / "docs", [f"and so {known} and on", "nothing"])
    arguments = ["eval", str(run), "--tasks", str(task), "--corpus", str(tmp_path / "docs"), "--few-shots", "1"]
    samples = tmp_path / "samples.jsonl"
    result = CliRunner().invoke(main, [*arguments, "--quiet", "--json", "--samples", str(samples)])
    assert result.exit_code == 0, result.output
    assert "it/s" not in result.stderr and "%|" not in result.stderr  # no bars of the libraries
    found = json.loads(result.stdout)["tasks"]["quiz"]
    assert found["contamination"] == {"contaminated": 1, "clean": 1, "short": 1}
    assert (found["few_shots"], found["examples"]) == (1, 3)
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [line["corpus"] for line in lines] == ["contaminated", "clean", "short"]
    scores = [line["acc"] for line in lines]
    accuracy = found["metrics"]["acc"]
    assert accuracy["value"] == pytest.approx(np.mean(scores)) and accuracy["contaminated"] == scores[0]
    assert accuracy["others"] == pytest.approx(np.mean(scores[1:]))
    # each answer is the likelier of the two after the shot that stands before the question
    model = HarnessModel(run)
    for line, question in zip(lines, questions, strict=True):
        asked = [(a["arg_0"], a["arg_1"]) if isinstance(a, dict) else tuple(a) for a in line["arguments"]]
        assert asked[0][0].endswith(str(question["question"])) and len(asked[0][0]) > len(str(question["question"]))
        said = [answer[0] for answer in model.loglikelihood([_asked(*pair) for pair in asked])]
        assert line["acc"] == float(int(np.argmax(said)) == question["answer"])


def test_an_example_is_contaminated_by_scattered_grams_and_not_by_common_ones(tmp_path: Path) -> None:
    """PaLM's rule goes by all documents together; GPT-3's leaves alone what many have."""
    first, second = " ".join(WORDS[:10]), " ".join(WORDS[2:12])
    texts = [first, second, *[" ".join(WORDS[:14])] * 11]
    write_documents(tmp_path / "docs", texts)
    corpus = [Dataset.open(tmp_path / "docs")]
    examples = {"t": [{"q": " ".join(WORDS[:12])}, {"q": [" ".join(reversed(WORDS))]}, {"q": "a"}]}
    assert find_contamination(examples, corpus, "palm")["t"].found == ("contaminated", "clean", "short")
    long = {"t": [{"q": " ".join(WORDS[:14])}]}
    assert find_contamination(long, corpus, "gpt3")["t"].found == ("clean",)
    assert find_contamination(long, corpus, "palm")["t"].found == ("contaminated",)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give --validation, --tasks, or both"),
        ({"tasks": ("a",), "documents": ("d",)}, "--documents tells the languages"),
        ({"validation": Path("v"), "few_shots": 3}, "--few-shots is about tasks"),
        ({"validation": Path("v"), "few_shots": 0}, "--few-shots is about tasks"),
        ({"tasks": (",",)}, "--tasks , names no task"),
        ({"tasks": ("a",), "contamination": "gpt3"}, "give --corpus too"),
        ({"tasks": ("a",), "corpus": ("c",), "contamination": "pal"}, "give palm or gpt3"),
    ],
)
def test_what_does_not_go_together_is_said(options: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        EvaluationOptions(**options)  # type: ignore[arg-type]  # wrong on purpose


def test_a_task_without_its_data_is_one_sentence(run: Path, tmp_path: Path) -> None:
    (tmp_path / "quiz.yaml").write_text("task: quiz\ndataset_path: json\ndataset_kwargs: {data_files: {test: nowhere.jsonl}}\n"
                                        "output_type: multiple_choice\ntest_split: test\n")  # fmt: skip
    result = CliRunner().invoke(main, ["eval", str(run), "--tasks", str(tmp_path / "quiz.yaml")])
    assert result.exit_code == 1 and "cannot be loaded" in result.output and "Traceback" not in result.output
