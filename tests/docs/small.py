"""What the commands of README and the how-tos need to run on small samples: files that they name, and smaller numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Page:
    """How the commands of a page are run: after `setup`, with words of theirs replaced, but for lines that hold a key of
    `left_out`, whose value says why."""

    setup: tuple[str, ...] = ()
    instead: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


NETWORK = "needs the network; tests/pipelines/download and tests/corpus/remote have servers of their own"
README = Page(
    setup=(
        "python -m demo.raw RAW",
        "python -m demo.instructions RAW",
        "echo 'RULES = {}' > mine.py",
        "cp -r RAW/commoncrawl dump && cp -r RAW/c4 more && cp -r RAW/wikipedia wiki",
        """echo '{"text": "Cold air drains into the valley on clear nights, as any station master knows."}' > eval.jsonl""",
        "printf 'commoncrawl: 878B\\nc4: 175B\\ngithub: 90B\\nbooks: 26B\\narxiv: 28B\\nwikipedia: 24B\\nstackexchange: 20B\\n'"
        " > counts.yaml",
    ),
    instead={
        "https://example.org/page": (
            "https://www.silshaw-sailing.example/6/why-coastal-skippers-in-westham-still-wait-for.html"
        ),
        "compare OUT OTHER": "compare OUT docs",
    },
    left_out={"--download": NETWORK, "s3://": NETWORK},
)
HOWTOS = {
    "classifier.md": Page(
        setup=("mv docs kept-docs && cp -r kept-docs/cc docs && cp -r kept-docs/cc crawl",),
        instead={
            "enwiki-latest-pages-articles.xml.bz2": "RAW/wikipedia/enwiki-20220801-pages-articles.xml.bz2",
            "--cited links --negative crawl": "--negative crawl --positive kept-docs/wikipedia --min-documents 10",
        },
    ),
    "cluster.md": Page(left_out={"corpus": "needs a cluster; tests/corpus/engine has programs that stand for one"}),
    "cost.md": Page(instead={"SAMPLE": "RAW", "--output OUT": "--output OTHER", "1%": "20%"}),
    "download.md": Page(left_out={"corpus": NETWORK}),
    "export.md": Page(),
    "filters.md": Page(setup=("mv docs all && cp -r all/cc docs",)),
    "mixture.md": Page(),
    "own-recipe.md": Page(setup=("mv RAW raw",)),
    "perplexity.md": Page(
        setup=("cp -r docs/wikipedia docs/dewiki && cp -r docs/cc-en docs/reference && rm -r lm",),
        instead={"train-lm": "train-lm --min-text 1000", "filter docs/cc ": "filter docs/cc-en "},
    ),
    "provenance.md": Page(
        setup=(
            "head -c 0 /dev/null > urls.txt && cp urls.txt hosts.txt && echo 'c4/c4-train.00000-of-00003.json.gz#3' > ids.txt",
        ),
        instead={
            "--rows 1000:1032": "--rows 10:12",
            "wikipedia/enwiktionary.xml.bz2#1231": "c4/c4-train.00000-of-00003.json.gz#5",
            "docs/commoncrawl docs/c4 docs/books": "docs/cc docs/new docs/wikipedia",
            "--output OUT": "--output SPLIT",
        },
    ),
    "remote.md": Page(left_out={"corpus": NETWORK, "trainer": NETWORK}),
    "scale.md": Page(
        instead={
            "SAMPLE": "RAW",
            "1%": "20%",
            " …": " --input-bytes "
            + " --input-bytes ".join(
                f"{name}=100GB" for name in ("github", "wikipedia", "books", "arxiv", "stackexchange")
            ),
        }
    ),
    "report.md": Page(
        setup=("mkdir runs && cp -r OUT OTHER && cp -r OUT runs/2026-10 && cp -r OUT runs/2026-11",),
        instead={"RUN1 RUN2 RUN3": "RUN TUNED"},
    ),
    "science.md": Page(
        setup=(
            "printf 'data: OUT/packed\\nvalidation: OUT/validation\\noutput: ladder\\nmodel: llama-tiny\\nsizes:\\n"
            "  s: {layers: 1, d_model: 16, heads: 2, n_kv_heads: 2, feed_forward: 32}\\n"
            "  m: {layers: 1, d_model: 32, heads: 2, n_kv_heads: 2, feed_forward: 64}\\n"
            "  l: {layers: 2, d_model: 32, heads: 2, n_kv_heads: 2, feed_forward: 64}\\n"
            "  x: {layers: 2, d_model: 48, heads: 2, n_kv_heads: 2, feed_forward: 96}\\n"
            "budgets: {tokens: [4K, 8K, 12K]}\\nseeds: [0]\\nbatch_size: 2\\nsettings: {optimizer.lr: 2e-3}\\n' > grid.yaml",
            "printf 'parameters,tokens,loss\\n1e7,2e8,4.1\\n3e7,6e8,3.6\\n1e8,2e9,3.2\\n3e8,6e9,2.9\\n1e9,2e10,2.6\\n' > runs.csv",
            "printf 'compute,problem,pass_rate\\n1e20,a,0.05\\n1e21,a,0.2\\n1e22,a,0.5\\n1e20,b,0.1\\n1e21,b,0.3\\n1e22,b,0.6\\n'"
            " > humaneval.csv",
        ),
        instead={
            "runs.csv …": "runs.csv",
            "trainer fit … --save-every 1000": "trainer fit --data OUT/packed --model llama-tiny --output PROBED --save-every 2",
            "probe RUN": "probe PROBED",
            "--sequences 256": "--sequences 4",
            "trainer fit … --batch-size 64 --micro-batch-size 8 --noise-scale 10": (
                "trainer fit --data OUT/packed --model llama-tiny --output NOISY --batch-size 4 --micro-batch-size 2"
                " --noise-scale 1"
            ),
            "noise RUN": "noise NOISY",
            "mix tokens/* ": "mix OUT/tokens ",
        },
        left_out={"regmix": "trains many models; tests/trainer/science has smaller ones"},
    ),
    "tokenizer.md": Page(
        setup=(
            "mkdir documents keep && mv docs/* keep && cp -r keep/wikipedia keep/new docs && rm -r tokenizer",
            "corpus ingest github RAW/github --output documents/github",
        ),
    ),
    "trainer.md": Page(
        setup=(
            "mv RUN BASE && mv MODEL DIR && cp -r BASE OTHER && cp -r docs documents && rm -r tokens packed && mv RAW raw && ln -s raw RAW",
        ),
        instead={
            "trainer fit …": "trainer fit --data OUT/packed --model llama-tiny",
            "RUN@8000": "RUN@6",
            "--steps 20000 --on-change": "--steps 8 --on-change",
            "--steps 20000": "--steps 6",
            "--steps 10000": "--steps 8",
            "RUN1 RUN2": "RUN BASE",
            "OTHER@8000": "OTHER@4",
            "--step 1200": "--step 2",
            "--eod-piece '<|endoftext|>'": "--eod-piece '</s>'",
            "--init-from DIR --output RUN": "--init-from DIR --output FROM-DIR",
            "--model llama-125m --output RUN": "--output NAMED",
            "--init-from OTHER@4 --output RUN": "--init-from OTHER@4 --output FROM-OTHER",
            "--data packed --init-from DIR --output FROM-DIR": "--data packed --init-from DIR --output OF-PACKED",
            "--input RAW --output OUT": "--input RAW --output CHATS",
            "--data OUT/packed --init-from BASE --preset alpaca --validation OUT/validation --output RUN": (
                "--data CHATS/packed --init-from BASE --preset alpaca --validation CHATS/validation --output ANSWERS"
            ),
        },
        left_out={
            "--tasks": "needs the network; tests/trainer/evaluation has tasks of its own",
            "--watch": "goes on until it is stopped",
            "--tokenizer DIR": "needs a tokenizer.json with special tokens; tests/tokenizer has some",
            "--data packed": "what that would have made",
        },
    ),
}


def shrunk(line: str) -> str:
    """A command over less: few steps of a tiny model, a small vocabulary, short sequences, the first records of each file;
    numbers of one digit are left alone."""
    line = re.sub(r"llama-(60m|125m|7b)\b", "llama-tiny", line) if " fit " in line else line
    for start, options in _LESS.items():
        if line.startswith(start):
            for option, value in options.items():
                given = re.search(rf"{option} (\S+)", line)
                if given is None:
                    line += f" {option} {value}"
                elif not re.fullmatch(r"\d", given[1]):
                    line = line.replace(given[0], f"{option} {value}")
    return line


_LESS: dict[str, dict[str, str]] = {
    "trainer fit": {"--steps": "4", "--batch-size": "2", "--threads": "1"},
    "corpus run llama": {"--vocab-size": "1000", "--sequence-length": "256", "--limit": "40"},
    "corpus run alpaca": {"--sequence-length": "256"},
    "corpus train-tokenizer": {"--vocab-size": "1000"},
    "trainer memorization": {"--samples": "20", "--per-count": "4"},
    "trainer doremi": {"--steps": "4", "--batch-size": "64", "--proxy": "llama-tiny"},
}
