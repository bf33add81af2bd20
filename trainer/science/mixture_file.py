"""A mixture as the file that `corpus mix --weights` takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from corpus.data.files import write_atomic
from corpus.errors import DataError
from trainer.data.validation_sets import DataIdentity

_DIGITS = 9


def write_mixture(output: Path, shares: Mapping[str, float], comments: Sequence[str], data: DataIdentity) -> Path:
    """`mixture.yaml` in `output`, with what it comes from."""
    lines = [
        *(f"# {comment}" for comment in comments),
        f"# packed set {data.digest}, tokenizer {data.tokenizer}: other tokenizers give other weights",
        *(f"{_quoted(domain)}: {{share: {share}}}" for domain, share in _decimals(shares).items()),
    ]
    path = output / "mixture.yaml"
    try:
        write_atomic(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}): give another --output.") from None
    return path


def _decimals(shares: Mapping[str, float]) -> dict[str, str]:
    """Decimals that sum to 1 exactly: the largest takes what rounding left."""
    scale = 10**_DIGITS
    whole = {domain: round(share * scale) for domain, share in shares.items()}
    largest = max(whole, key=lambda domain: (whole[domain], domain))
    whole[largest] += scale - sum(whole.values())
    return {domain: f"{number / scale:.{_DIGITS}f}" for domain, number in whole.items()}


def _quoted(domain: str) -> str:
    return "'" + domain.replace("'", "''") + "'"
