"""Made-up prose of Zipfian words."""

from __future__ import annotations

import random


def made_texts(number: int, seed: int = 0) -> list[str]:
    """Documents of some lines; a word is the rarer the later it was made up."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("aeioutnshrdlc", k=rng.randint(1, 8))) for _ in range(400)]
    shares = [1 / (rank + 1) for rank in range(len(words))]

    def sentence() -> str:
        return " ".join(rng.choices(words, shares, k=rng.randint(1, 20))).capitalize() + "."

    return ["\n".join(sentence() for _ in range(rng.randint(1, 6))) for _ in range(number)]
