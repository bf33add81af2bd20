"""The settings of `corpus ingest` that are the same for every reader."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from corpus.config import check_options
from corpus.errors import UsageError
from corpus.option import option
from corpus.quantity import parse_decimal


@dataclass(frozen=True)
class IngestConfig:
    """Settings of `corpus ingest` besides the reader's own."""

    prefix: str = option("", "Put before every file name in ids, so that two dumps with equal names can live together.")
    shard_bytes: int = option(256_000_000, "Data bytes after which an output shard is closed.", least=1)
    limit: int | None = option(
        None, "A first look: read only so many records of each raw file, the first ones.", least=1
    )
    sample: str | None = option(
        None, "A first look: take only this part of the records, by a hash of their ids, as 1%.", metavar="SHARE"
    )

    def __post_init__(self) -> None:
        check_options(self)
        _ = self.share
        if not self.prefix.isprintable():  # lone surrogates, too: bytes that are not UTF-8
            raise UsageError(f"--prefix {self.prefix!a} is not printable text: give another one.")

    @property
    def share(self) -> Fraction:
        """The part of the records that is taken; a UsageError where it is none."""
        try:
            share = Fraction(1) if self.sample is None else parse_decimal(self.sample)
        except ValueError as error:
            raise UsageError(f"--sample: {error}.") from None
        if not 0 < share <= 1:
            raise UsageError(
                f"--sample {self.sample} is no part of the records: give a share over 0% up to 100%, as 1%."
            )
        return share

    def as_json(self) -> dict[str, Any]:
        """What decides the output; what makes it a sample only where it is given."""
        return {name: value for name, value in asdict(self).items() if value is not None}


USUAL = IngestConfig()
"""Those where none are given."""
