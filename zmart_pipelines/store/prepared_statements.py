"""Statements of SQLAlchemy Core, compiled once, for a driver that takes Postgres' own text.

SQLAlchemy's execution costs more than a short read itself: it builds the statement, looks its text
up and wraps each row. A hot read therefore keeps the text, with ``$1``, ``$2`` and so on in place
of its parameters, and asyncpg sends it as it is. The statements stay in ``store.queries``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import BindParameter, Select
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg, PGDialect_asyncpg


class _Compiler(PGCompiler_asyncpg):
    """Writes values that a statement contains into its text, where the planner sees them."""

    def visit_bindparam(self, bindparam: BindParameter[Any], *args: Any, **options: Any) -> Any:
        """Render a parameter, or the value that it has already."""
        if not bindparam.required:
            options["literal_binds"] = True
        return super().visit_bindparam(bindparam, *args, **options)  # type: ignore[no-untyped-call]  # of SQLAlchemy


_DIALECT: Final = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # of SQLAlchemy
_DIALECT.statement_compiler = _Compiler


class PreparedStatement:
    """The text of a statement, and the order of its parameters.

    Attributes:
        text: What Postgres prepares.
        parameters: Names of the parameters ``$1``, ``$2`` and so on.
    """

    __slots__ = ("parameters", "text")

    def __init__(self, statement: Select[Any]) -> None:
        """Compile ``statement``.

        Values that it contains become part of the text; those that differ between executions are
        a ``bindparam`` with a name and a type.
        """
        compiled = statement.compile(dialect=_DIALECT)
        self.text = str(compiled)
        self.parameters = tuple(compiled.positiontup or ())

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Return the arguments of an execution, in the order of ``parameters``.

        Raises:
            KeyError: ``values`` lacks one.
        """
        return [values[name] for name in self.parameters]
