"""datatrove's tokenized files (datatrove/pipeline/tokens/tokenizer.py): `.ds` has bare ids, `.ds.index` the ends of
documents in ids of its file, uint64, `.ds.metadata` the tokenizer with the bytes of an id, and the number of ids.

There is a file for each shard. `DatatroveFolderDataset(seq_len)` cuts them into windows of `seq_len + 1` ids that do not
overlap, so that with the sequence length of a packed set its windows are the rows, in training order.
"""

from __future__ import annotations

import numpy as np

from corpus.export.folder import Folder
from corpus.export.sequences import Batch, Sequences


def write(sequences: Sequences, folder: Folder) -> str:
    """Write the files. The result says how to read them."""
    size = 4 if sequences.vocabulary.wide else 2
    for number, shard in enumerate(sequences.shards()):
        name = f"{number:05d}.ds"
        count = 0
        with folder.create(name) as ids, folder.create(f"{name}.index") as ends:
            for batch in shard:
                ids.write(batch.ids.data)
                ends.write(_ends(batch, count).data)
                count += len(batch.ids)
        with folder.create(f"{name}.metadata") as file:
            file.write(f"{sequences.vocabulary.tokenizer}|{size}\n{count}\n".encode())
    length = "N" if sequences.width is None else sequences.width - 1
    return f"DatatroveFolderDataset(folder, seq_len={length}, token_size={size})"


def _ends(batch: Batch, before: int) -> np.ndarray:
    return (batch.part_ends + before).astype(np.uint64)
