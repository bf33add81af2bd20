"""datatrove's sentence dedup on lines: `python dedup_datatrove.py INPUT_FOLDER WORK`; prints the seconds without imports."""

import sys
import time
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import SentenceDedupFilter, SentenceDedupSignature, SentenceFindDedups
from datatrove.pipeline.dedup.sentence_dedup import SentDedupConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig
from loguru import logger


def main() -> None:
    source, work = sys.argv[1], Path(sys.argv[2])
    logger.remove()
    config = SentDedupConfig(
        n_sentences=1,
        split_sentences=False,
        only_dedup_in_index=False,
        min_doc_words=0,
        min_num_sentences=0,
        hash_config=HashConfig(precision=64),
    )
    signatures, duplicates = str(work / "signatures"), str(work / "duplicates")
    reader = JsonlReader(source, doc_progress=False)
    pipelines = [
        [reader, SentenceDedupSignature(signatures, config=config, finder_workers=1)],
        [SentenceFindDedups(signatures, duplicates, config=config)],
        [reader, SentenceDedupFilter(duplicates, config=config), JsonlWriter(str(work / "out"))],
    ]
    began = time.perf_counter()
    for number, pipeline in enumerate(pipelines):
        LocalPipelineExecutor(pipeline, tasks=1, workers=1, logging_dir=str(work / f"log{number}")).run()
    assert any(path.stat().st_size > 1000 for path in (work / "out").iterdir())
    print(f"{time.perf_counter() - began:.3f}")


if __name__ == "__main__":
    main()
