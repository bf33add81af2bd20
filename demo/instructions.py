"""The raw file of a fine-tuning: questions about trades and tools, asked in several ways, in Alpaca's form.

`python -m demo.instructions DIR` writes `DIR/instructions/alpaca_data.json`. The same bytes on every run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random

_TRADES = {
    "miller": "A miller grinds grain into flour.",
    "baker": "A baker makes bread from flour.",
    "cooper": "A cooper makes barrels from oak.",
    "smith": "A smith shapes hot iron with a hammer.",
    "weaver": "A weaver makes cloth on a loom.",
    "tanner": "A tanner turns hides into leather.",
    "cobbler": "A cobbler mends old shoes.",
    "shepherd": "A shepherd looks after sheep.",
    "beekeeper": "A beekeeper looks after bees.",
    "gardener": "A gardener plants seeds in spring.",
    "sailor": "A sailor steers a ship by the stars.",
    "fisherman": "A fisherman catches fish with a net.",
    "carpenter": "A carpenter builds with wood.",
    "mason": "A mason builds walls of stone.",
    "potter": "A potter makes pots of clay.",
    "printer": "A printer sets type and prints books.",
    "clockmaker": "A clockmaker repairs clocks.",
    "ropemaker": "A ropemaker twists hemp into rope.",
    "teacher": "A teacher shows children how to read.",
    "doctor": "A doctor helps people who are ill.",
}
_WAYS = (
    "What does a {} do?",
    "Tell me what a {} does.",
    "What is the work of a {}?",
    "What is a {}?",
    "Describe the work of a {}.",
    "I met a {}. What is that?",
    "Explain what a {} does all day.",
    "Say in one sentence what a {} does.",
    "How does a {} make a living?",
    "What can a {} do for us?",
    "Why do we need a {}?",
    "My uncle is a {}. What does he do?",
)


def build(directory: Path) -> int:
    """Writes the file below `directory` and gives the number of its instructions."""
    rows = [
        {"instruction": way.format(trade), "input": "", "output": answer}
        for trade, answer in _TRADES.items()
        for way in _WAYS
    ]
    Random("instructions").shuffle(rows)
    path = directory / "instructions" / "alpaca_data.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return len(rows)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m demo.instructions DIR")
    print(f"{sys.argv[1]}: {build(Path(sys.argv[1]))} instructions")
