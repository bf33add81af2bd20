"""Compile all kernels into Numba's cache: `python tools/compile_kernels.py`. Test workers that find none would each do so."""

from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Import each module that names the decorator: it compiles when it is used."""
    sources = [
        path for package in ("corpus", "pipelines", "tokenizer", "trainer") for path in (ROOT / package).rglob("*.py")
    ]
    for source in sorted(sources):
        if "from corpus.kernel import" in source.read_text(encoding="utf-8"):
            import_module(".".join(source.relative_to(ROOT).with_suffix("").parts))


if __name__ == "__main__":
    main()
