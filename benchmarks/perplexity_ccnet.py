"""CCNet's perplexity as its pipeline runs it, in the environment of its own: `python perplexity_ccnet.py PAGES.json MODEL`.

Prints the seconds of its functions, without loading and reading, and the perplexities.
"""

import json
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
from cc_net import perplexity  # noqa: E402  # its own warnings are silenced before


def main() -> None:
    source, model = Path(sys.argv[1]), Path(sys.argv[2])
    pieces = perplexity.MultiSentencePiece({"en": model / "sp.model"}, "text", "tokenized", normalize=True)
    scorer = perplexity.DocLM({"en": model / "lm.arpa"}, "tokenized", normalize=False)
    pieces._prepare()
    scorer._prepare()
    pages = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    began = time.process_time()
    for page in pages:
        scorer.do(pieces.do(page))
    print(json.dumps([time.process_time() - began, [page.get("perplexity") for page in pages]]))


if __name__ == "__main__":
    main()
