"""Texts that pipelines write for operators, as anyone may read them."""

from __future__ import annotations

import re

_ENDPOINT = re.compile(r"\w+://\S+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\blocalhost:\d+\b")


def without_endpoints(text: str | None) -> str | None:
    """Return ``text`` without the addresses of nodes and services, which may contain keys."""
    return None if text is None else _ENDPOINT.sub("(endpoint)", text)
