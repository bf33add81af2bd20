"""What the Ray executor takes of Ray, without a cluster: tasks run when they are waited for, and meet what is wanted of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar


class RayError(Exception):
    """As `ray.exceptions.RayError`."""


class WorkerCrashedError(RayError):
    """A worker is gone."""


class OutOfMemoryError(RayError):
    """Ray's monitor has ended a worker."""


class RayTaskError(RayError):
    """The function has raised `cause`."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(eq=False)
class Ref:
    """A task that is under way, and how it will end."""

    run: Callable[[], None]
    fate: BaseException | None


@dataclass
class FakeRay:
    """A cluster of `sizes` (cores, bytes). `fates` are of the first attempts, in the order in which they are sent."""

    sizes: list[tuple[int, int]]
    fates: list[BaseException | None] = field(default_factory=list)
    exceptions: ClassVar[Any] = SimpleNamespace(
        RayError=RayError, OutOfMemoryError=OutOfMemoryError, RayTaskError=RayTaskError
    )
    addresses: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    most: int = 0
    mute: bool = False
    older: str = ""
    """What a cluster of another version is refused with."""

    def is_initialized(self) -> bool:
        return self.calls["init"] > self.calls["shutdown"]

    def init(self, address: str, **options: Any) -> None:
        self.addresses.append(address)
        if address == "auto":
            raise ConnectionError("could not find\nany running Ray instance")
        if self.older:
            # what `ray._private.utils.check_version_info` of Ray 2 raises
            raise RuntimeError(self.older)
        self.calls["init"] += 1

    def shutdown(self) -> None:
        self.calls["shutdown"] += 1

    def nodes(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": {"CPU": float(cpus), "memory": float(size)}} for cpus, size in self.sizes]

    def put(self, value: Any) -> Any:
        return value

    def remote(self, function: Callable[..., None]) -> Any:
        def options(**wanted: Any) -> Any:
            self.asked.append(wanted)
            return SimpleNamespace(remote=lambda *arguments: self._send(lambda: function(*arguments)))

        return SimpleNamespace(options=options)

    def _send(self, run: Callable[[], None]) -> Ref:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        return Ref(run, self.fates.pop(0) if self.fates else None)

    def wait(self, refs: list[Ref], num_returns: int = 1, timeout: float = 0) -> tuple[list[Ref], list[Ref]]:
        assert len(set(map(id, refs))) == len(refs) > 0
        number = 0 if self.mute else 1
        return refs[:number], refs[number:]

    def get(self, ref: Ref) -> None:
        self.under_way -= 1
        if ref.fate is not None:
            raise ref.fate
        try:
            ref.run()
        except Exception as error:
            raise RayTaskError(error) from error

    def cancel(self, ref: Ref, force: bool) -> None:
        assert force
        self.under_way -= 1
        self.calls["cancel"] += 1


def as_module(ray: FakeRay) -> ModuleType:
    """The cluster as what `import ray` gives."""
    module = ModuleType("ray")
    for name in ("is_initialized", "init", "shutdown", "nodes", "put", "remote", "wait", "get", "cancel", "exceptions"):
        setattr(module, name, getattr(ray, name))
    return module
