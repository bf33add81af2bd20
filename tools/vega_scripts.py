"""Fetches corpus/page/scripts: Vega, Vega-Lite and Vega-Embed with their licences, as npm's registry has them.

    python tools/vega_scripts.py "$(npm config get registry)"

Versions are those below; `altair.VEGALITE_VERSION` says which Vega-Lite the specifications are written for.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import sys
import tarfile
import urllib.request
from pathlib import Path

VERSIONS = {"vega": "6.4.0", "vega-lite": "6.4.3", "vega-embed": "7.3.0"}
ROOM = Path(__file__).parents[1] / "corpus" / "page" / "scripts"


def fetch(url: str) -> bytes:
    """The answer to a request."""
    with urllib.request.urlopen(url) as answer:
        data: bytes = answer.read()
    return data


def main() -> None:
    """Fetch from the registry whose address is given, check against its digests, and write."""
    registry = sys.argv[1].rstrip("/")
    for name, version in VERSIONS.items():
        dist = json.loads(fetch(f"{registry}/{name}/{version}"))["dist"]
        data = fetch(dist["tarball"])
        kind, _, digest = dist["integrity"].partition("-")
        if hashlib.new(kind, data).digest() != base64.b64decode(digest):
            raise SystemExit(f"{dist['tarball']} is not what the registry says")
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for inside, outside in ((f"build/{name}.min.js", f"{name}.min.js"), ("LICENSE", f"{name}.LICENSE")):
                file = archive.extractfile(f"package/{inside}")
                assert file is not None
                text = file.read().decode().rstrip().split("\n")
                kept = [line for line in text if not line.startswith("//# sourceMappingURL")]  # would be a request
                (ROOM / outside).write_text("\n".join(kept) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
