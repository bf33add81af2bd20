"""Personal data masked: e-mail addresses, IP addresses and telephone numbers. The masks are those of Dolma (Soldaini et al.
2024, arXiv 2402.00159, section 3.1); what is found is defined here, without state from one document to the next.

E-mail: letters, digits and ``!#$%&'*+/=?^_`{|}~.-``, an `@`, and labels of letters, digits and hyphens with dots between, of
which the last is of letters only. IP: four numbers to 255 with dots between, not part of a longer number of dots and not
after a word such as version or section; eight groups of hexadecimal digits, or three and more with `::`. Telephone: `+`
and 8 to 15 digits, or three, three and four digits as in (212) 555-0123, 212-555-0123, 212.555.0123. A letter or number
next to an IP address or telephone number says that it is none; in IPv6 letters of other words do so too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from corpus.config import check_options
from corpus.data.columns import Column
from corpus.engine.document_map import DocumentBatch, DocumentMap, Mapped
from corpus.option import option
from corpus.quality.masking import EMAIL, IP, PHONE, mask_texts


@dataclass(frozen=True)
class Pii(DocumentMap):
    """Masks e-mail addresses, IP addresses and telephone numbers, and counts them; drops nothing."""

    name: ClassVar[str] = "pii"
    version: ClassVar[int] = 1
    columns: ClassVar[tuple[Column, ...]] = (
        Column("pii_emails", "int32", "E-mail addresses that were masked in the text."),
        Column("pii_ips", "int32", "IP addresses that were masked in the text."),
        Column("pii_phones", "int32", "Telephone numbers that were masked in the text."),
    )

    email_mask: str = option("|||EMAIL_ADDRESS|||", "What stands for an e-mail address (Dolma).")
    ip_mask: str = option("|||IP_ADDRESS|||", "What stands for an IP address (Dolma).")
    phone_mask: str = option("|||PHONE_NUMBER|||", "What stands for a telephone number (Dolma).")
    private_ips: bool = option(False, "Whether IP addresses of private and reserved networks are masked, too.")

    def __post_init__(self) -> None:
        check_options(self, f"filter rule {self.name}: ")

    def config(self) -> dict[str, Any]:
        return {"version": self.version} | super().config()

    def apply(self, batch: DocumentBatch) -> Mapped:
        masks = (self.email_mask, self.ip_mask, self.phone_mask)
        masked = mask_texts(batch.column("text"), masks, self.private_ips)
        kinds = (("pii_emails", EMAIL), ("pii_ips", IP), ("pii_phones", PHONE))
        columns = {name: pa.array(masked.found[kind], pa.int32()) for name, kind in kinds}
        return Mapped(columns | ({"text": masked.text} if masked.found.any() else {}))
