"""An object store on this machine, and networks that give up quickly."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from corpus.remote import attempts, transport
from corpus.remote.listing import forget_listings


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(attempts, "FIRST_DELAY", 0.001)
    forget_listings()
    yield
    forget_listings()


@dataclass
class Bucket:
    """A bucket of moto's server."""

    name: str
    client: Any

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    def names(self) -> list[str]:
        """The keys in it."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


_SERVER = """
import logging, sys
logging.getLogger("werkzeug").disabled = True
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def _moto() -> Iterator[str]:
    """The address of moto's server, a process of its own: its many warnings are not ours."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None and process.stdin is not None
    port = process.stdout.readline().strip()
    yield f"http://127.0.0.1:{port}"
    process.stdin.close()
    process.wait(20)
    process.stdout.close()


_names = iter(range(1_000_000))
_lock = threading.Lock()


@pytest.fixture
def bucket(_moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """An empty bucket, found by the usual variables of the environment."""
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", _moto)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "TESTKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "TESTSECRET")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    transport._transport.cache_clear()
    with _lock:
        name = f"bucket-{os.getpid()}-{next(_names)}"
    client = boto3.client("s3")
    client.create_bucket(Bucket=name)
    yield Bucket(name, client)
    client.close()
    transport._transport.cache_clear()
