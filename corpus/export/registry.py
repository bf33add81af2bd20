"""The formats that sets are exported in, by name."""

from __future__ import annotations

FORMATS = {
    "megatron": "Megatron-LM's indexed dataset",
    "mds": "MosaicML Streaming's shards",
    "datatrove": "datatrove's tokenized files",
    "nanogpt": "nanoGPT's bare ids",
}
"""Each is the `write` of the module of its name in this package: of the sequences of a packed or token set."""
TABLES = {"parquet": "Parquet in a folder of its own, for tools"}
"""The same for datasets of any kind, as tables."""
