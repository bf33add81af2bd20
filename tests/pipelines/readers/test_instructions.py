"""Instruction sets of every shape as conversations."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from corpus.ingest.reader import Item, Merged, RawFile, Record, Skipped, Unreadable
from pipelines.readers.instructions import InstructionsReader
from tests.pipelines.readers.mutating import mutated
from tests.pipelines.readers.reading import items_of, records_of

PLAIN = InstructionsReader(template="plain")


def read(tmp_path: Path, content: Any, reader: InstructionsReader = PLAIN, name: str = "a.json") -> list[Item]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    found = list(reader.read(RawFile(path, name), tmp_path))
    assert sorted(item.ordinal for item in found) == list(range(len(found)))
    return found


def turns(item: Item) -> list[tuple[str, str, bool]]:
    assert isinstance(item, Record), item
    data = item.text.encode()
    listed = item.metadata["turns"]
    assert isinstance(listed, list)
    return [(turn["role"], data[turn["start"] : turn["end"]].decode(), turn["trained"]) for turn in listed]


PAIR = [("user", "q\n\n", False), ("assistant", "a", True)]
SHAPES: dict[str, tuple[Any, list[tuple[str, str, bool]]]] = {
    "alpaca": ({"instruction": "q", "input": "", "output": "a"}, PAIR),
    "with input": ({"instruction": "q", "input": "i", "output": "a"}, [("user", "q\n\ni\n\n", False), PAIR[1]]),
    "no input": ({"instruction": "q", "input": "<noinput>", "output": "a"}, PAIR),
    "without input": ({"instruction": "q", "output": "a"}, PAIR),
    "dolly": ({"instruction": "q", "context": "i", "response": "a"}, [("user", "q\n\ni\n\n", False), PAIR[1]]),
    "self-instruct": ({"id": "s", "instruction": "q", "instances": [{"input": "", "output": "a"}]}, PAIR),
    "completion": ({"prompt": "q", "completion": "a"}, PAIR),
    "question": ({"question": "q", "answer": "a"}, PAIR),
    "number": ({"question": "q", "answer": 4}, [PAIR[0], ("assistant", "4", True)]),
    "answers": ({"question": "q", "answers": {"text": ["a", "b"], "answer_start": [1, 2]}}, PAIR),
    "input and output": ({"input": "q", "output": "a"}, PAIR),
    "system": ({"system": "s", "question": "q", "response": "a"}, [("system", "s\n\n", False), *PAIR]),
    "sharegpt": ({"id": "x", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, PAIR),
    "openai": ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, PAIR),
    "parts": (
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "q"}]},
                {"role": "assistant", "content": "a"},
            ]
        },
        PAIR,
    ),
    "strings": ({"data": ["q", "a"]}, PAIR),
    "pairs": ({"conversation": [["user", "q"], ["bot", "a"]]}, PAIR),
    "ends with a question": (
        {
            "conversations": [
                {"from": "human", "value": "q"},
                {"from": "gpt", "value": "a"},
                {"from": "human", "value": "?"},
            ]
        },
        PAIR,
    ),
    "begins with an answer": (
        {
            "conversations": [
                {"from": "gpt", "value": "z"},
                {"from": "human", "value": "q"},
                {"from": "gpt", "value": "a"},
            ]
        },
        [("assistant", "z", False), ("user", "\n\nq\n\n", False), PAIR[1]],
    ),
    "weights": (
        {
            "messages": [
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "z", "weight": 0},
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "a", "weight": 1},
            ]
        },
        [("user", "q\n\n", False), ("assistant", "z", False), ("user", "\n\nq\n\n", False), PAIR[1]],
    ),
    "rendered prompt": (
        {"prompt": "### Instruction:\nq\n\n### Response:", "response": "a"},
        [("user", "### Instruction:\nq\n\n### Response:", False), PAIR[1]],
    ),
    "rendered text": (
        {"text": "### Human: q### Assistant: a### Human: r### Assistant: b"},
        [
            ("user", "### Human: q### Assistant:", False),
            ("assistant", " a", True),
            ("user", "### Human: r### Assistant:", False),
            ("assistant", " b", True),
        ],
    ),
    "preferences": (
        {"chosen": "\n\nHuman: q\n\nAssistant: a", "rejected": "\n\nHuman: q\n\nAssistant: z"},
        [("user", "\n\nHuman: q\n\nAssistant:", False), ("assistant", " a", True)],
    ),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("form", ["array", "lines", "one"])
def test_the_shape_of_a_row_is_sniffed(tmp_path: Path, name: str, form: str) -> None:
    row, expected = SHAPES[name]
    rows = [row] if form == "one" else [row, row]
    content = json.dumps(rows).encode() if form == "array" else b"\r\n".join(json.dumps(each).encode() for each in rows)
    found = read(tmp_path, content)
    assert [turns(item) for item in found] == [expected] * len(rows)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"instruction": "q", "input": "", "output": " \n"}, "empty answer"),
        ({"instruction": "q", "input": "", "output": "<nooutput>"}, "empty answer"),
        ({"instruction": " ", "input": "", "output": "a"}, "empty instruction"),
        ({"conversations": [{"from": "human", "value": "q"}]}, "no answer"),
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": None, "tool_calls": [1]}]},
            "call of a tool",
        ),
        ({"conversations": [{"from": "gpt", "value": "a"}]}, "no trained answer"),
    ],
)
def test_rows_without_an_answer_drop_by_name(tmp_path: Path, row: Any, reason: str) -> None:
    (item,) = read(tmp_path, [row])
    assert isinstance(item, Skipped) and item.reason == reason


def test_damaged_rows_alone_are_set_aside(tmp_path: Path) -> None:
    good = json.dumps({"instruction": "q", "input": "", "output": "a"}).encode()
    lines = [
        good,
        rb'{"instruction": "it\'s", "output": "a"}',
        good,
        b'{"instruction": "q", "out',
        b'put": "a"}',
        b"[1]",
        good,
    ]
    lines += [
        b'{"messages": [{"role": "wizard", "content": "q"}]}',
        b'{"title": "x"}',
        b'{"instruction": "\\ud800", "output": "a"}',
    ]
    found = read(tmp_path, b"\r\n".join(lines), name="a.jsonl")
    assert [
        "R" if isinstance(item, Record) else "U" if isinstance(item, Unreadable) else "S" for item in found
    ] == list("RURUUURUUU")
    array = read(tmp_path, b"[" + good + rb',{"instruction": "it\'s", "output": "a"},' + good + b"]")
    assert [type(item) for item in array] == [Record, Unreadable, Record]


def test_instances_are_records_of_their_own(tmp_path: Path) -> None:
    instances = [{"input": "i", "output": "a"}, {"input": "", "output": ""}, {"input": "", "output": "b"}]
    found = read(
        tmp_path, [{"id": "s", "instruction": "q", "instances": instances}, {"instruction": "q", "output": "c"}]
    )
    assert [type(item) for item in found] == [Record, Skipped, Record, Record]
    assert [turns(item)[-1][1] for item in found if isinstance(item, Record)] == ["a", "b", "c"]


def message(key: str, parent: str | None, role: str, text: str, **more: Any) -> dict[str, Any]:
    return {"message_id": key, "parent_id": parent, "role": role, "text": text, "lang": "en", **more}


def tree() -> list[dict[str, Any]]:
    return [
        message("1", None, "prompter", "q"),
        message("2", "1", "assistant", "bad", rank=1),
        message("3", "1", "assistant", "good", rank=0),
        message("4", "3", "prompter", "more"),
        message("5", "4", "assistant", "gone", deleted=True),
        message("6", "3", "prompter", "again"),
        message("7", "6", "assistant", "yes"),
    ]


def nested(rows: list[dict[str, Any]]) -> dict[str, Any]:
    by_key = {row["message_id"]: {**row, "replies": []} for row in rows}
    for row in by_key.values():
        if row["parent_id"] in by_key:
            by_key[row["parent_id"]]["replies"].append(row)
    return {"message_tree_id": "1", "tree_state": "ready_for_export", "prompt": by_key["1"]}


@pytest.mark.parametrize("rank", ["1e999", "-1e999", "NaN", "1" + "0" * 400, '"x"'])
def test_an_odd_rank_loses_no_file(tmp_path: Path, rank: str) -> None:
    rows = [json.dumps(row) for row in tree()[:3]]
    assert '"rank": 1}' in rows[1]
    rows[1] = rows[1].replace('"rank": 1}', f'"rank": {rank}}}')
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(rows))
    (record,) = records_of(items_of(InstructionsReader(), path))
    assert record.text


@pytest.mark.parametrize("shape", ["flat", "shuffled", "nested"])
def test_the_best_path_of_a_tree(tmp_path: Path, shape: str) -> None:
    rows = tree()[::-1] if shape == "shuffled" else tree()
    found = read(tmp_path, [nested(rows)] if shape == "nested" else rows)
    (record,) = (item for item in found if isinstance(item, Record))
    assert [text.strip() for _, text, _ in turns(record)] == ["q", "good", "again", "yes"]
    assert record.language == "en"
    kinds = Counter(item.reason if isinstance(item, Skipped) else type(item).__name__ for item in found)
    assert kinds == {"Record": 1, "Merged": 3, "not on the best path": 2, "deleted": 1}
    assert {item.into for item in found if isinstance(item, Merged)} == {record.ordinal}


def test_all_paths_train_on_each_answer_once(tmp_path: Path) -> None:
    rows = [*tree(), message("8", "4", "assistant", "third")]
    found = read(tmp_path, rows, InstructionsReader(template="plain", paths="all"))
    records = [item for item in found if isinstance(item, Record)]
    answers = Counter(text for item in records for _, text, trained in turns(item) if trained)
    assert answers == {"bad": 1, "good": 1, "third": 1, "yes": 1}
    assert sum("good" in item.text for item in records) == 2


def test_messages_in_a_circle_and_without_a_parent(tmp_path: Path) -> None:
    rows = [message("1", "2", "prompter", "q"), message("2", "1", "assistant", "a"), message("3", "9", "prompter", "q")]
    rows += [message("4", "3", "assistant", "a"), message("4", "3", "assistant", "again")]
    found = {item.ordinal: item for item in read(tmp_path, rows)}
    assert isinstance(found[2], Record) and isinstance(found[3], Merged)
    assert [found[n].reason for n in (0, 1, 4)] == ["not on the best path", "not on the best path", "repeated"]  # type: ignore[union-attr]


@pytest.mark.parametrize(("train", "expected"), [("last", [False, True]), ("all", [True, True])])
def test_what_is_trained_on_is_a_setting(tmp_path: Path, train: str, expected: list[bool]) -> None:
    row = {"data": ["q", "a", "r", "b"]}
    (item,) = read(tmp_path, [row], InstructionsReader(template="plain", train=train))
    assert [trained for role, _, trained in turns(item) if role == "assistant"] == expected


def test_all_samples(samples: Path, tmp_path: Path) -> None:
    reader = InstructionsReader()
    for path in sorted((samples / "alpaca").glob("*.json")):
        rows = json.loads(path.read_bytes())
        found = list(reader.read(RawFile(path, path.name), tmp_path))
        kept = [row for row in rows if row["output"].strip() and row["output"].strip().lower() != "<nooutput>"]
        answers = [turns(item)[-1] for item in found if isinstance(item, Record)]
        assert answers == [("assistant", row["output"], True) for row in kept]
        assert len(found) == len(rows)
    found = list(reader.read(RawFile(samples / "alpaca/seed_tasks.jsonl", "s"), tmp_path))
    assert sum(isinstance(item, Record) for item in found) == 175
    for name in ("oasst_flat.json", "oasst_trees.jsonl"):
        found = list(reader.read(RawFile(samples / "conversations" / name, name), tmp_path))
        assert not any(isinstance(item, Unreadable) for item in found)
        assert any(isinstance(item, Record) for item in found)


def _mutate(samples: Path, folder: Path, seed: int) -> None:
    """A damaged copy gives an item for every ordinal, and what is whole is as it was."""
    source = random.Random(seed)
    name = source.choice(["alpaca/alpaca_random_9k.json", "alpaca/seed_tasks.jsonl", "conversations/oasst_flat.json"])
    data = (samples / name).read_bytes()[:60_000]
    begin = source.randrange(len(data) - 4000)
    path = folder / Path(name).name
    path.write_bytes(data)
    whole = {item.text for item in PLAIN.read(RawFile(path, "a"), folder) if isinstance(item, Record)}
    path.write_bytes(mutated(data, source, begin, begin + 4000))
    found = list(PLAIN.read(RawFile(path, "a"), folder))
    assert sorted(item.ordinal for item in found) == list(range(len(found)))
    for item in found:
        if isinstance(item, Record):
            assert "".join(text for _, text, _ in turns(item)) == item.text
    kept = {item.text for item in found if isinstance(item, Record)}
    assert len(whole - kept) <= 40, "the damage is in 4 kB"


def test_mutated_copies(samples: Path, tmp_path: Path) -> None:
    for seed in range(30):
        _mutate(samples, tmp_path, seed)


@pytest.mark.slow
def test_many_mutated_copies(samples: Path, tmp_path: Path) -> None:
    for seed in range(2000):
        _mutate(samples, tmp_path, seed)
