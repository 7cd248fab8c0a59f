"""``python -m clients.generation``: write what the clients have generated (``make clients``)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from clients.generation import python_calls, python_models, typescript
from clients.generation.document import openapi_document

_FOLDER = Path(__file__).parents[1]
_PYTHON = _FOLDER / "python" / "src" / "zmart_client"


def generated_files() -> dict[Path, str]:
    """Return the text of every generated file by its path."""
    document = openapi_document()
    return {
        _FOLDER / "typescript" / "src" / "schema.ts": typescript.typescript_schema(document),
        _PYTHON / "models.py": _formatted(python_models.python_models(document)),
        _PYTHON / "calls.py": _formatted(python_calls.python_calls(document)),
    }


def _formatted(source: str) -> str:
    ruff = Path(sys.executable).with_name("ruff")
    done = subprocess.run(
        [ruff, "format", "-"], input=source, capture_output=True, text=True, check=True
    )
    return done.stdout


def main() -> None:
    """Write the files."""
    for path, text in generated_files().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
