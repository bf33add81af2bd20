"""Part of corpusmill: language models from packed sets. The `trainer` command lives in `trainer.cli`.

What is named in `__all__` is for use from Python; it is imported when it is asked for, and torch when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.api import TrainedRun, fit, load

__all__ = ["TrainedRun", "fit", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'trainer' has no attribute '{name}'")
    from trainer import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
