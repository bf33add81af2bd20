"""A packed set behind a URL trains as its local copy does."""

from __future__ import annotations

import errno
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from corpus.data.packed import PackedRows
from corpus.errors import DataError, UsageError
from corpus.remote.transport import transport_of
from corpus.transfer.push import Push
from tests.corpus.remote.http_server import Faults, serving
from tests.corpus.remote.object_store import Bucket
from tests.trainer.packed import learnable_rows, write_packed
from trainer.config.options import FitOptions
from trainer.data import shard_cache
from trainer.data.remote_rows import CacheOptions, RemoteRows, open_rows
from trainer.data.validation_sets import open_validation
from trainer.loop.loop import fit

SETTINGS = (
    *("model.layers=1", "model.d_model=32", "model.heads=2", "model.n_kv_heads=2", "model.head_size=16"),
    *("model.feed_forward=64", "optimizer.lr=1e-2", "spikes.mode=stop"),
)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    return write_packed(tmp_path / "packed", learnable_rows(200, 16, 56), 60, shards=10)


def push(folder: Path, url: str) -> None:
    Push(folder, url, transport_of(url), quiet=True).run()


def all_rows(data: PackedRows) -> np.ndarray:
    return np.concatenate([data[row : row + 7] for row in range(0, len(data), 7)])


def shards_in(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*.arrow"))


@pytest.mark.parametrize("faults", [Faults(), Faults(unavailable=3, cuts=5, cut_after=300), Faults(ranges=False)])
def test_rows_are_those_of_the_local_set(packed: Path, tmp_path: Path, faults: Faults) -> None:
    local = PackedRows(packed)
    cache = CacheOptions(tmp_path / "cache")
    with serving(packed.parent, faults) as server:
        remote = open_rows(f"{server.url}/packed", cache)
        assert remote.identity == local.identity and len(remote) == 200
        assert not shards_in(cache.folder)  # nothing before it is needed
        assert np.array_equal(all_rows(remote), all_rows(local))
        assert remote.segments(slice(3, 60)) == local.segments(slice(3, 60))
        assert np.array_equal(pickle.loads(pickle.dumps(remote))[150:170], local[150:170])
        remote.close()
    # all is here now: no server is asked for shards
    assert len(shards_in(cache.folder)) == 10


def test_the_cache_is_bounded_and_jumps_are_served(packed: Path, tmp_path: Path) -> None:
    local = PackedRows(packed)
    size = local.manifest.shards[0].bytes
    cache = CacheOptions(tmp_path / "cache", 4 * size + 10)
    with serving(packed.parent) as server:
        remote = RemoteRows(f"{server.url}/packed", cache)
        for row in [*range(0, 200, 5), 0, 100, 199, 3, 60]:
            assert np.array_equal(remote[row : row + 1], local[row : row + 1])
            assert len(shards_in(cache.folder)) <= 4 + shard_cache.AHEAD
        remote.close()


def test_the_next_shards_come_ahead_of_need(packed: Path, tmp_path: Path) -> None:
    cache = CacheOptions(tmp_path / "cache")
    with serving(packed.parent) as server:
        remote = RemoteRows(f"{server.url}/packed", cache)
        assert remote[0:1].shape == (1, 17)
        for future in list(remote.supply._coming.values()):
            future.result()
        remote.close()
        assert shards_in(cache.folder) == ["00000.arrow", "00001.arrow", "00002.arrow"]


def test_what_is_damaged_in_the_cache_is_fetched_again_and_at_the_source_is_said(packed: Path, tmp_path: Path) -> None:
    local = PackedRows(packed)
    cache = CacheOptions(tmp_path / "cache")
    with serving(packed.parent) as server:
        RemoteRows(f"{server.url}/packed", cache)[0:200]
        for path in cache.folder.rglob("*.arrow"):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        assert np.array_equal(all_rows(RemoteRows(f"{server.url}/packed", cache)), all_rows(local))
        data = bytearray((packed / "00004.arrow").read_bytes())
        data[len(data) // 2] ^= 1
        (packed / "00004.arrow").write_bytes(data)
        other = RemoteRows(f"{server.url}/packed", CacheOptions(tmp_path / "other"))
        with pytest.raises(DataError, match=r"00004\.arrow is not as its manifest says"):
            other[0:200]


def test_a_full_disk_is_said(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with serving(packed.parent) as server:
        remote = RemoteRows(f"{server.url}/packed", CacheOptions(tmp_path / "cache"))
        monkeypatch.setattr(shard_cache, "fetch_checked", full)
        with pytest.raises(DataError, match=r"disk of the cache .* is full: .*--data-cache-bytes"):
            remote[0:1]


_READ = """
import sys
from pathlib import Path
from trainer.data.remote_rows import CacheOptions, RemoteRows
rows = RemoteRows(sys.argv[1], CacheOptions(Path(sys.argv[2])))
print(int(rows[0:200].sum()))
rows.close()
"""


def test_processes_of_a_host_share_what_is_fetched(packed: Path, tmp_path: Path) -> None:
    with serving(packed.parent, Faults(pause=0.05)) as server:
        command = [sys.executable, "-c", _READ, f"{server.url}/packed", str(tmp_path / "cache")]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        sums = [process.communicate(timeout=100)[0] for process in running]
        assert sums[0] == sums[1] == f"{int(PackedRows(packed)[0:200].sum())}\n"
        shards = sum(path.stat().st_size for path in packed.glob("*.arrow"))
        rest = 2 * sum(path.stat().st_size for path in packed.rglob("*.json"))
        assert server.faults.sent <= shards + rest + 2000


def test_a_run_from_a_bucket_is_a_local_one(packed: Path, bucket: Bucket, tmp_path: Path) -> None:
    validation = write_packed(tmp_path / "validation" / "web", learnable_rows(10, 16, 56, 1), 60)
    push(packed, f"{bucket.url}/packed")
    push(validation.parent, f"{bucket.url}/validation")

    def train(data: str, held_out: str, output: Path, steps: int) -> dict[str, bytes]:
        options = FitOptions(
            data, "llama-tiny", output, steps, batch_size=8, settings=SETTINGS, threads=1, validation=held_out,
            save_every=5, data_cache=tmp_path / "cache", data_cache_bytes=1, quiet=True,
        )  # fmt: skip
        fit(options)
        last = max((output / "checkpoints").iterdir())
        return {path.name: path.read_bytes() for path in sorted(last.iterdir())}

    train(str(packed), str(validation.parent), tmp_path / "local", 5)
    local = train(str(packed), str(validation.parent), tmp_path / "local", 12)
    train(f"{bucket.url}/packed", f"{bucket.url}/validation", tmp_path / "remote", 5)
    resumed = train(f"{bucket.url}/packed", f"{bucket.url}/validation", tmp_path / "remote", 12)
    weights = [name for name in local if name.endswith(".safetensors")]
    assert weights and all(resumed[name] == local[name] for name in weights)
    for path in (tmp_path / "remote").rglob("*"):
        assert path.is_dir() or b"TESTSECRET" not in path.read_bytes()


def test_what_is_no_packed_set(packed: Path, bucket: Bucket, tmp_path: Path) -> None:
    cache = CacheOptions(tmp_path / "cache")
    with pytest.raises(UsageError, match=r"no finished set at s3://.* \(no manifest\.json\)"):
        RemoteRows(f"{bucket.url}/nothing", cache)
    with pytest.raises(UsageError, match="there is no finished set"):
        open_validation(f"{bucket.url}/nothing", cache)
