"""nanoGPT's data (github.com/karpathy/nanoGPT, data/openwebtext/prepare.py): the bare ids of all sequences, one after the
other, in `train.bin` or `val.bin`, to be read with `numpy.memmap`."""

from __future__ import annotations

from corpus.export.folder import Folder
from corpus.export.sequences import Sequences


def write(sequences: Sequences, folder: Folder) -> str:
    """Write the file: uint16, or uint32 where the vocabulary needs it. The result says how to read it."""
    validation = sequences.dataset.manifest.extra.get("split") == "validation"
    name = "val.bin" if validation else "train.bin"
    with folder.create(name) as file:
        for shard in sequences.shards():
            for batch in shard:
                file.write(batch.ids.data)
    dtype = "uint32" if sequences.vocabulary.wide else "uint16"
    rows = f".reshape(-1, {sequences.width})" if sequences.width is not None else ""
    return f"np.memmap('{name}', dtype=np.{dtype}, mode='r'){rows}"
