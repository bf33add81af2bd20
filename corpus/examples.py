"""Two or more examples for the help of each command of `corpus`; those of commands that are made from names take the name."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "download": (
        "corpus download wikipedia --output RAW --dry-run",
        "corpus download commoncrawl --output RAW --limit 2",
    ),
    "download NAME": ("corpus download {name} --output RAW --dry-run", "corpus download {name} --output RAW --limit 2"),
    "ingest": (
        "corpus ingest jsonl dump/ --output docs/mine",
        "corpus ingest commoncrawl s3://bucket/wet/ --output docs/cc --limit 1000",
    ),
    "ingest NAME": (
        "corpus ingest {name} RAW/{name} --output docs/{name}",
        "corpus ingest {name} RAW/{name} --output docs/look --limit 1000",
    ),
    "dedup": (
        "corpus dedup docs/cc --output docs/cc-dedup",
        "corpus dedup docs/cc --level near --threshold 80% --output docs/cc-near --memory 8GB",
    ),
    "dedup-keys": (
        "corpus dedup-keys docs/2023 docs/2024 --output keys/lines",
        "corpus dedup-keys docs/cc --level document --key url --output keys/urls --memory 8GB",
    ),
    "langid": (
        "corpus langid docs/cc --keep en --output docs/cc-en",
        "corpus langid docs/cc --keep de --keep fr --threshold 80% --output docs/cc-de-fr",
    ),
    "filter": (
        "corpus filter docs/cc --rules gopher_quality --output docs/clean",
        "corpus filter docs/cc --rules c4 --rules min_chars:300 --annotate --output docs/scored",
    ),
    "map": (
        "corpus map fim docs/code --rate 50% --output docs/fim",
        "corpus map shape docs/cc --plugin shape.py --least 5 --output docs/shaped",
    ),
    "map NAME": (
        "corpus map {name} docs/cc --output docs/{name}",
        "corpus map {name} docs/cc docs/c4 --workers 8 --output docs/{name}",
    ),
    "decontaminate": (
        "corpus decontaminate docs/cc --against eval.jsonl --output docs/open",
        "corpus decontaminate docs/cc docs/c4 --against suite/ --preset palm --output docs/open",
    ),
    "split": (
        "corpus split docs/clean --validation 0.1% --output docs/split",
        "corpus split docs/c4 docs/cc --validation 0.1% --overlap near --output docs/split",
    ),
    "train-tokenizer": (
        "corpus train-tokenizer docs/split/train --vocab-size 32K --output tokenizer",
        "corpus train-tokenizer docs/c4 docs/github --preset palm --sample-bytes 1GB --output tokenizer",
    ),
    "train-lm": (
        "corpus train-lm docs/wikipedia --language en --output lm",
        "corpus train-lm docs/wikipedia --language de --text-bytes 1GB --output lm",
    ),
    "lm-cutoffs": (
        "corpus lm-cutoffs docs/scored --output cutoffs",
        "corpus lm-cutoffs docs/cc --models lm --min-documents 10K --output cutoffs",
    ),
    "export-tokenizer": (
        "corpus export-tokenizer tokenizer/tokenizer.model --output hf-tokenizer",
        "corpus export-tokenizer spm.model --eod-piece '</s>' --nearly --output hf-tokenizer",
    ),
    "tokenize": (
        "corpus tokenize docs/split/train --tokenizer tokenizer --output tokens/cc",
        "corpus tokenize docs/github --tokenizer tokenizer.json --workers 16 --output tokens/github",
    ),
    "references": (
        "corpus references RAW/wikipedia --output links",
        "corpus references enwiki-latest-pages-articles.xml.bz2 --output links --workers 8",
    ),
    "train-classifier": (
        "corpus train-classifier --positive docs/wikipedia --negative docs/cc --output classifier",
        "corpus train-classifier --negative docs/cc --cited links --output classifier",
    ),
    "mix": (
        "corpus mix --plan --counts counts.yaml --weights llama --tokens 1.4T",
        "corpus mix tokens/ --weights llama.yaml --allow-missing --output packed --memory 8GB",
    ),
    "run": (
        "corpus run llama --input RAW --output OUT --dry-run",
        "corpus run recipe.yaml --input RAW --output OUT --workers 16 --memory 32GB --limit 1000",
    ),
    "plan-cluster": (
        "corpus plan-cluster llama --calibration OUT --input-bytes 4.7TB --cores 512",
        "corpus plan-cluster llama --calibration OUT --input-bytes c4=800GB --input-bytes github=1TB --cores 64 --price 0.04",
    ),
    "remove": (
        "corpus remove OUT --input RAW --ids withdrawn.txt",
        "corpus remove OUT --input RAW --urls urls.txt --hosts hosts.txt --workers 8",
    ),
    "export": (
        "corpus export OUT/packed --format megatron --output data/mine",
        "corpus export OUT/packed --format mds --output mds",
    ),
    "push": (
        "corpus push OUT/packed s3://bucket/packed",
        "corpus push OUT/documents hf://datasets/me/corpus --threads 16",
    ),
    "pull": (
        "corpus pull s3://bucket/packed packed",
        "corpus pull hf://datasets/me/corpus corpus --threads 16",
    ),
    "trace": (
        "corpus trace OUT/packed --row 0",
        "corpus trace OUT/packed --rows 0:10 --json",
    ),
    "verify": ("corpus verify OUT", "corpus verify OUT/packed OUT/tokens --json"),
    "inspect": (
        "corpus inspect docs/clean --dropped",
        "corpus inspect OUT commoncrawl/dedup --lines",
    ),
    "explain": (
        "corpus explain OUT https://example.org/page",
        "corpus explain OUT https://example.org/page --text",
    ),
    "index": ("corpus index OUT", "corpus index OUT --quiet"),
    "stats": (
        "corpus stats docs/scored --by language",
        "corpus stats docs/scored --histogram --json",
    ),
    "report": ("corpus report OUT", "corpus report OUT --output report.html"),
    "compare": ("corpus compare OUT OTHER", "corpus compare OUT OTHER --output compare.html"),
    "cancel": ("corpus cancel OUT", "corpus cancel runs/llama"),
    "status": ("corpus status OUT", "corpus status OUT --input RAW --json"),
    "plugins": ("corpus plugins", "corpus plugins --json"),
    "clean": ("corpus clean OUT --dry-run", "corpus clean OUT"),
    "init": ("corpus init recipe.yaml --domain notes=jsonl --domain wikipedia", "corpus init recipe.yaml --from llama"),
    "recipes": ("corpus recipes", "corpus recipes llama > mine.yaml"),
    "completion": (
        "corpus completion bash >> ~/.bashrc",
        "corpus completion fish > ~/.config/fish/completions/corpus.fish",
    ),
    "doctor": ("corpus doctor", "corpus doctor --output OUT --json"),
}
