"""CCNet's line dedup as its pipeline runs it, in the environment of its own: `python dedup_ccnet.py INPUT.json.gz WORK`.

Hashes to disk, then the duplicates removed; prints the seconds without imports.
"""

import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
from cc_net import dedup, jsonql  # noqa: E402  # its own warnings are silenced before


def main() -> None:
    source, work = Path(sys.argv[1]), Path(sys.argv[2])
    began = time.perf_counter()
    hashes = work / "hashes.bin"
    jsonql.run_pipes(dedup.HashesCollector("raw_content", output=hashes), file=source)
    remover = dedup.DuplicatesRemover("raw_content", [hashes])
    jsonql.run_pipes(remover, file=source, output=work / "out.json.gz")
    assert (work / "out.json.gz").stat().st_size > 1000
    print(f"{time.perf_counter() - began:.3f}")


if __name__ == "__main__":
    main()
