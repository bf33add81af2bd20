"""The recipe that `corpus init` writes: small, whole, and explained line by line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from corpus.config import options_of
from corpus.errors import UsageError
from corpus.option import nearest
from pipelines.readers.registry import READERS

_HEAD = """\
# A recipe of corpusmill: what becomes of raw files, from reading them to packed training rows.
# See what it will do:    corpus run {file} --input RAW --output OUT --dry-run
# A first look:           corpus run {file} --input RAW --output OUT-look --limit 1000
# All of it:              corpus run {file} --input RAW --output OUT
# All keys: docs/recipes.md. What an option means: corpus ingest READER --help, corpus dedup --help, corpus filter --help.

domains: # each is read from the folder RAW/<its name>
"""
_DOMAIN = """\
  {name}:
    reader: {reader} # {doc}; corpus plugins lists the others
{settings}    stages: # in this order; each drops with a reason that corpus inspect shows
      - dedup: {{level: document}} # equal texts: one stays. line, book and near find repeated lines and similar texts
      - langid: {{keep: [en], threshold: 50%}} # languages to keep, and how sure the classifier must be
      - filter:
          rules: # corpus plugins lists the rule sets, corpus plugins gopher_quality its thresholds
            - gopher_repetition
            - gopher_quality: {{min_words: 50}}
"""
_TEXT_FIELD = """\
    # settings: {{text_field: {field}}} # where the text is: a.b is a field inside another, as body.content
"""
_TAIL = """\

validation: # held out of training before anything is trained, and compared with all domains
  fraction: 0.001
  min_documents: 10 # of a small domain more than the fraction, up to a tenth of it
  # min_tokens: 2049 # also so much text, up to half of the domain; left out: a sequence. A small domain wants less

# A small sample needs less than what stands in the next two sections: corpus run … --vocab-size 1K --sequence-length 128
tokenizer: {preset: llama, vocab_size: 32K} # or path: tokenizer.model, to take one that is there

packing: {sequence_length: 2048} # tokens in a row

# budget: {basis: share, tokens: 10B} # left out: as many tokens as the epochs below make

mixture: # share: percent of the tokens; epochs: how often each document is seen. One of the two decides (budget.basis)
"""


def new_recipe(domains: Iterable[str], file: str = "recipe.yaml") -> str:
    """The text of a recipe with `domains`, each `NAME` or `NAME=READER`; a UsageError where there is no such reader."""
    readers = _readers(domains)
    parts = [_HEAD.replace("{file}", file)]
    parts += [
        _DOMAIN.format(name=name, reader=reader, doc=_doc(reader), settings=_settings(reader))
        for name, reader in readers.items()
    ]
    share = round(100 / len(readers), 2)
    mixture = [f"  {name}: {{share: {share:g}, epochs: 1}}\n" for name in readers]
    return "".join([*parts, _TAIL, *mixture])


def _readers(domains: Iterable[str]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for entry in domains:
        name, equals, reader = entry.partition("=")
        reader = reader if equals else name
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise UsageError(f"--domain {entry}: {name!r} is no name of a domain: take letters, digits, -, _ and dots.")
        if reader not in READERS:
            raise UsageError(f"--domain {entry}: there is no reader '{reader}': {nearest(reader, READERS)}")
        if name in found:
            raise UsageError(f"--domain {entry}: domain {name} is there twice.")
        found[name] = reader
    return found


def _settings(reader: str) -> str:
    """Where the text is in a record, commented out, of a reader of records with any fields."""
    field = options_of(READERS.load(reader)).get("text_field")
    return _TEXT_FIELD.format(field=field.default) if field is not None and field.default else ""


def _doc(reader: str) -> str:
    """What a reader reads, in its own words up to the first colon or semicolon."""
    text = str(getattr(READERS.load(reader), "doc", reader))
    return re.split(r"[;:.]", text)[0]
