"""``schema.ts``: TypeScript's types of the document, by openapi-typescript."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from clients.generation.node import NODE, install_packages

PACKAGE = Path(__file__).parents[1] / "typescript"
_GENERATOR = PACKAGE / "node_modules" / "openapi-typescript" / "bin" / "cli.js"


def typescript_schema(document: dict[str, Any]) -> str:
    """Return the file's text."""
    install_packages(PACKAGE)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "openapi.json", Path(folder) / "schema.ts"
        source.write_text(json.dumps(document))
        subprocess.run(
            [
                *(NODE, _GENERATOR, source, "--output", target),
                *("--root-types", "--root-types-no-schema-prefix", "--root-types-keep-casing"),
                # A member with a default may be left out of a request.
                "--default-non-nullable=false",
            ],
            check=True,
            capture_output=True,
        )
        return target.read_text()
