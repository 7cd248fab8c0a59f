"""The result of one check."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """The result of one check, without secrets.

    Attributes:
        subject: what was checked, such as ``Postgres``.
        remedy: what the operator can do; empty for ``ok``.
    """

    subject: str
    status: Status
    detail: str
    remedy: str = ""


def ok(subject: str, detail: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(subject, "ok", detail)


def warn(subject: str, detail: str, remedy: str) -> Finding:
    """Return a finding that does not keep the system from running."""
    return Finding(subject, "warn", detail, remedy)


def fail(subject: str, detail: str, remedy: str) -> Finding:
    """Return a finding that keeps the system, or a part of it, from working."""
    return Finding(subject, "fail", detail, remedy)
