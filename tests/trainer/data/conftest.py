from tests.corpus.remote.object_store import _moto, _quick, bucket

__all__ = ["_moto", "_quick", "bucket"]
