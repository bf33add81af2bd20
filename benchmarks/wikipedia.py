"""Wikipedia dumps to text on one core: `python -m benchmarks.wikipedia FILE…`. CPU time, wikitext bytes of articles.

Reads each file as it is stored, then as plain XML; the second is the reader without decompression.
"""

import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from corpus.ingest.compression import open_stream
from corpus.ingest.reader import RawFile, Record
from pipelines.formats.xml import Utf8Stream
from pipelines.readers.wikipedia import WikipediaReader


def measure(path: Path) -> tuple[int, int, float]:
    """Documents, characters and seconds of CPU."""
    start = time.process_time()
    documents = characters = 0
    for item in WikipediaReader().read(RawFile(path, path.name), path.parent):
        if isinstance(item, Record):
            documents += 1
            characters += len(item.text)
    return documents, characters, time.process_time() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:]:
            path = Path(name)
            plain = Path(folder) / "plain.xml"
            with closing(open_stream(path)) as stream, plain.open("wb") as out:
                source = Utf8Stream(stream)
                while chunk := source.read(1 << 20):
                    out.write(chunk)
            size = plain.stat().st_size
            for kind, file in (("stored", path), ("plain", plain)):
                documents, characters, seconds = measure(file)
                print(
                    f"{path.name} {kind}: {documents:,} documents, {characters / 1e6:.2f} M characters of {size / 1e6:.2f} MB,"
                    f" {seconds:.2f} s, {size / seconds / 1e6:.1f} MB/s"
                )


if __name__ == "__main__":
    main()
