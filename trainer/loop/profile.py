"""A profile of some steps: where their time goes, for `chrome://tracing` or Perfetto and as a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity

_ROWS = 40
"""Rows of the table."""


class StepProfile:
    """Profiles the steps `first` to `last` of a process into `DIRECTORY/steps-FIRST-LAST.json.gz` and `.txt`."""

    def __init__(
        self, steps: tuple[int, int], directory: Path, device: torch.device, say: Callable[[str], None]
    ) -> None:
        self.first, self.last = steps
        self._directory, self._device, self._say = directory, device, say
        self._profile: Any = None

    def before(self, step: int) -> None:
        """Step `step` is about to be made."""
        if step == self.first and self._profile is None:
            activities = [ProfilerActivity.CPU]
            if self._device.type == "cuda":
                activities.append(ProfilerActivity.CUDA)
            self._profile = torch.profiler.profile(activities=activities, profile_memory=True, acc_events=True)
            self._profile.start()

    def after(self, step: int) -> None:
        """Step `step` is made, or was not and is behind us."""
        if self._profile is not None and step >= self.last:
            self.close()

    def close(self) -> None:
        """Write what has been seen, if anything."""
        profile, self._profile = self._profile, None
        if profile is None:
            return
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        profile.stop()
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"steps-{self.first}-{self.last}"
        profile.export_chrome_trace(f"{path}.json.gz")
        by = "self_cuda_time_total" if self._device.type == "cuda" else "self_cpu_time_total"
        table = profile.key_averages().table(sort_by=by, row_limit=_ROWS)
        Path(f"{path}.txt").write_text(table + "\n", encoding="utf-8")
        self._say(f"profile     {path}.json.gz and .txt")
