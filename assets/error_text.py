"""Describe an exception in one line that is safe to show."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, SQLAlchemyError


def explain(error: Exception) -> str:
    """Return the error's class and first line.

    Of a database error the statement and its parameters are left out.
    """
    if isinstance(error, DBAPIError) and error.orig is not None:
        text = str(error.orig)
    elif isinstance(error, SQLAlchemyError):
        text = str(error.args[0]) if error.args else ""
    else:
        text = str(error)
    first = text.strip().splitlines()[:1]
    return f"{type(error).__name__}: {first[0] if first else 'no text'}"
