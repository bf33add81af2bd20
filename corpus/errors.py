"""The two errors a user can cause. Each is one sentence: what is wrong, where, and the remedy."""

from __future__ import annotations

import click


class UsageError(click.UsageError):
    """Wrong arguments or configuration; exit code 2."""


class DataError(click.ClickException):
    """Bad data, a full or read-only disk, a broken dataset; exit code 1."""

    exit_code = 1


class LostError(DataError):
    """Something from outside ended the work (a worker was killed, tasks were lost): the same command goes on."""


class Terminated(KeyboardInterrupt):
    """SIGTERM; exit code 143. Like Ctrl-C it is no `Exception`, so that nothing on the way takes it for a failure."""
