"""Wikipedia's dumps, as the status of each dump names its files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from corpus.errors import DataError, UsageError
from corpus.option import option
from corpus.remote.url import join_url
from pipelines.download.source import SourceFile
from pipelines.download.web import Web

LLAMA_LANGUAGES = tuple("bg ca cs da de en es fr hr hu it nl pl pt ro ru sl sr sv uk".split())
_JOBS = ("articlesdump", "articlesmultistreamdump")
_DATE = re.compile(r'href="(?:[^"]*/)?(\d{8})/?"')


@dataclass(frozen=True)
class WikipediaSource:
    """`corpus download wikipedia`. A dump's `dumpstatus.json` has its jobs, whether each is done, and size, MD5 and SHA-1 of
    every file."""

    domain: ClassVar[str] = "wikipedia"
    base: ClassVar[str] = "https://dumps.wikimedia.org"
    doc: ClassVar[str] = "Wikipedia's dumps: pages-articles XML of languages"
    terms: ClassVar[str] = (
        "English is 22 GB, the 20 languages of LLaMA about 60 GB, compressed. CC BY-SA 4.0 and GFDL. Wikimedia asks for two"
        " connections at most; mirrors: dumps.wikimedia.org/mirrors.html."
    )
    rate: ClassVar[float] = 2.0
    robots: ClassVar[bool] = False

    languages: tuple[str, ...] = option(
        LLAMA_LANGUAGES, "A language, as en. Default: LLaMA's twenty.", flag="--language", metavar="LANGUAGE"
    )
    date: str = option("latest", "A dump, as 20230401, or the latest that is done.")

    def files(self, web: Web, base: str) -> Iterator[SourceFile]:
        """The files of the languages, one after the other."""
        for language in self.languages:
            wiki = language.replace("-", "_") + "wiki"
            yield from self._wiki(web, base, wiki)

    def _wiki(self, web: Web, base: str, wiki: str) -> Iterator[SourceFile]:
        dates = [self.date]
        if self.date == "latest":
            found = _DATE.findall(web.page(join_url(base, f"{wiki}/")))
            dates = sorted(set(found), reverse=True)
        elif not re.fullmatch(r"\d{8}", self.date):
            raise UsageError(f"--date is {self.date}: give eight digits, as 20230401, or latest.")
        for date in dates:
            job = self._job(web, base, wiki, date)
            if job is not None:
                for name, entry in sorted(job.items(), key=lambda item: _natural(item[0])):
                    checksum = f"sha1:{entry['sha1']}" if "sha1" in entry else ""
                    checksum = checksum or (f"md5:{entry['md5']}" if "md5" in entry else "")
                    url = join_url(base, str(entry["url"]).lstrip("/"))
                    yield SourceFile(url, name, int(entry["size"]), checksum)
                return
        raise UsageError(f"{wiki} has no finished dump of the articles ({self.date}): give another --date.")

    def _job(self, web: Web, base: str, wiki: str, date: str) -> dict[str, dict[str, Any]] | None:
        """The files of the articles of a dump, by name; None where they are not done."""
        url = join_url(base, f"{wiki}/{date}/dumpstatus.json")
        if web.entry(url) is None:
            return None
        try:
            jobs = json.loads(web.read(url))["jobs"]
            for name in _JOBS:
                if jobs.get(name, {}).get("status") == "done":
                    files: dict[str, dict[str, Any]] = jobs[name]["files"]
                    return {name: entry for name, entry in files.items() if "index" not in name}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{url} is not as expected ({error!r}): give another --date.") from None
        return None


def _natural(name: str) -> list[tuple[int, str]]:
    """A key by which part 2 comes before part 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
