"""Wikimedia Enterprise's HTML dumps: articles as readers see them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from corpus.errors import UsageError
from corpus.option import option
from corpus.remote.url import join_url
from pipelines.download.source import SourceFile
from pipelines.download.web import Web
from pipelines.download.wikipedia import LLAMA_LANGUAGES

_DATE = re.compile(r'href="(?:[^"]*/)?(\d{8})/?"')
_FILE = re.compile(r'href="(?:[^"]*/)?([a-z_]+wiki)-NS0-(\d{8})-ENTERPRISE-HTML\.json\.tar\.gz"')


@dataclass(frozen=True)
class EnterpriseSource:
    """`corpus download enterprise`. The page of a run lists its files; `NAME.md5sum` has the MD5 of one, where it is there."""

    domain: ClassVar[str] = "wikipedia"
    base: ClassVar[str] = "https://dumps.wikimedia.org/other/enterprise_html/runs"
    doc: ClassVar[str] = "Wikimedia Enterprise's HTML dumps of Wikipedia"
    terms: ClassVar[str] = (
        "English is about 130 GB, compressed. CC BY-SA 4.0. The last runs only; two connections at most."
    )
    rate: ClassVar[float] = 2.0
    robots: ClassVar[bool] = False

    languages: tuple[str, ...] = option(
        LLAMA_LANGUAGES, "A language, as en. Default: LLaMA's twenty.", flag="--language", metavar="LANGUAGE"
    )
    date: str = option("latest", "A run, as 20230401, or the latest that has all languages.")

    def files(self, web: Web, base: str) -> Iterator[SourceFile]:
        """The file of each language."""
        dates = [self.date]
        if self.date == "latest":
            dates = sorted(set(_DATE.findall(web.page(base.rstrip("/") + "/"))), reverse=True)
        wanted = [language.replace("-", "_") + "wiki" for language in self.languages]
        for date in dates:
            there = {wiki for wiki, _ in _FILE.findall(web.page(join_url(base, f"{date}/")))}
            if there.issuperset(wanted):
                for wiki in wanted:
                    name = f"{wiki}-NS0-{date}-ENTERPRISE-HTML.json.tar.gz"
                    url = join_url(base, f"{date}/{name}")
                    yield SourceFile(url, name, None, self._checksum(web, url))
                return
            missing = ", ".join(sorted(set(wanted) - there)[:3])
        raise UsageError(
            f"no run has all languages ({self.date} lacks {missing if dates else 'all'}): give another --date."
        )

    def _checksum(self, web: Web, url: str) -> str:
        if web.entry(f"{url}.md5sum") is None:
            return ""
        found = re.match(rb"[0-9a-f]{32}\b", web.read(f"{url}.md5sum"))
        return f"md5:{found[0].decode()}" if found else ""
