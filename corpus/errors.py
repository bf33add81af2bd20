"""The two errors a user can cause. Each is one sentence: what is wrong, where, and the remedy."""

from __future__ import annotations

import click


class UsageError(click.UsageError):
    """Wrong arguments or configuration; exit code 2."""


class DataError(click.ClickException):
    """Bad data, a full or read-only disk, a broken dataset; exit code 1."""

    exit_code = 1


class Interrupted(click.ClickException):
    """Ctrl-C: what is finished is kept and the same command goes on from there; exit code 130."""

    exit_code = 130


class Terminated(Interrupted):
    """SIGTERM; exit code 143."""

    exit_code = 143
