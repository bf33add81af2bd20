"""The same chain by datatrove, one core: runs inside an environment of its own and prints its seconds as JSON.

    python chain_datatrove.py WET_FOLDER WORK LID_MODEL TOKENIZER_JSON

Its nearest steps: WARC reader, sentence dedup on lines (which keeps the first of the lines that repeat, in three passes),
language filter, Gopher's repetition and quality rules, tokens (with the documents shuffled, as is its default). Each
step's seconds are those of its own statistics; what the steps' sum lacks of the whole is between them.
"""

import json
import re
import sys
import time
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import SentenceDedupFilter, SentenceDedupSignature, SentenceFindDedups
from datatrove.pipeline.dedup.sentence_dedup import SentDedupConfig
from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter, LanguageFilter
from datatrove.pipeline.readers import JsonlReader, WarcReader
from datatrove.pipeline.tokens import DocumentTokenizer
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.lid import FT176LID
from loguru import logger


def pipelines(source: str, work: Path, tokenizer: str) -> dict[str, list]:
    """Name and steps of each pass."""
    config = SentDedupConfig(
        n_sentences=1,
        split_sentences=False,
        only_dedup_in_index=False,
        min_doc_words=0,
        min_num_sentences=0,
        hash_config=HashConfig(precision=64),
    )
    ingested, signatures, duplicates = str(work / "ingested"), str(work / "signatures"), str(work / "duplicates")
    return {
        "ingest": [WarcReader(source), JsonlWriter(ingested)],
        "dedup, signatures": [
            JsonlReader(ingested),
            SentenceDedupSignature(signatures, config=config, finder_workers=1),
        ],
        "dedup, duplicates": [SentenceFindDedups(signatures, duplicates, config=config)],
        "dedup, langid, filter": [
            JsonlReader(ingested),
            SentenceDedupFilter(duplicates, config=config),
            LanguageFilter(["en"], language_threshold=0.5),
            GopherRepetitionFilter(),
            GopherQualityFilter(),
            JsonlWriter(str(work / "filtered")),
        ],
        "tokens": [JsonlReader(str(work / "filtered")), DocumentTokenizer(str(work / "tokens"), tokenizer, seed=0)],
    }


def main() -> None:
    source, work, model, tokenizer = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    logger.remove()
    FT176LID.MODEL_URL = model
    result = {}
    for name, steps in pipelines(source, work, tokenizer).items():
        began = time.perf_counter()
        log = str(work / f"log-{len(result)}")
        stats = LocalPipelineExecutor(steps, tasks=1, workers=1, logging_dir=log).run()
        # "READER: Jsonl" without the pictures
        parts = {re.sub(r"[^ -~]", "", each.name).split(":")[-1].strip(): each.time_stats.total for each in stats.stats}
        result[name] = {"seconds": time.perf_counter() - began, "steps": parts}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
