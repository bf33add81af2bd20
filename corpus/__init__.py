"""corpusmill: raw dumps in, packed pretraining shards out. The `corpus` command lives in `corpus.cli`."""

__version__ = "0.1.0"
