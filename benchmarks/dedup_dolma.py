"""dolma's `dedupe` of paragraphs and its `mix`: `python dedup_dolma.py WORK LINES`, documents in WORK/documents.

Calls the Rust entry points that both commands are; prints the seconds without imports.
"""

import importlib.util
import json
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any


def rust() -> Any:
    """dolma's compiled module, without the package around it and what that imports."""
    path = next(Path(sysconfig.get_paths()["platlib"], "dolma").glob("dolma.*.so"))
    spec = importlib.util.spec_from_file_location("dolma.dolma", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    work, lines = Path(sys.argv[1]), int(sys.argv[2])
    dolma = rust()
    folders = {"input": str(work / "temporary-in"), "output": str(work / "temporary-out")}
    for folder in folders.values():
        Path(folder).mkdir()
    documents = str(work / "documents" / "*.gz")
    dedupe = {
        "documents": [documents],
        "dedupe": {"name": "dups", "paragraphs": {"attribute_name": "dups"}, "skip_empty": True, "min_length": 0}
        | {"min_words": 0, "num_partitions": 1, "partition_index": 0, "document_dir": "documents"},
        "bloom_filter": {"file": str(work / "bloom.bin"), "read_only": False, "size_in_bytes": 0}
        | {"estimated_doc_count": lines, "desired_false_positive_rate": 1e-5},
        "processes": 1,
        "work_dir": folders,
        "compression": {"input": None, "output": None},
        "dryrun": False,
        "is_s3_volume": False,
    }
    mix = {
        "streams": [
            {
                "name": "out",
                "documents": [documents],
                "attributes": ["dups"],
                "output": {"path": str(work / "out"), "max_size_in_bytes": 1 << 30},
                "span_replacement": [{"span": "$.attributes.dups", "min_score": 0.5, "replacement": ""}],
            }
        ],
        "processes": 1,
        "work_dir": folders,
    }
    began = time.perf_counter()
    dolma.deduper_entrypoint(json.dumps(dedupe))
    dolma.mixer_entrypoint(json.dumps(mix))
    assert any(path.stat().st_size > 1000 for path in (work / "out").iterdir())
    print(f"{time.perf_counter() - began:.3f}")


if __name__ == "__main__":
    main()
