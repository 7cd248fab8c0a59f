"""The AsyncAPI document as a page, without scripts.

Why it is not the AsyncAPI project's own renderer: docs/decisions/0016-a-rendered-asyncapi-page.md.
"""

from __future__ import annotations

import json
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from api.asyncapi.document import Document
from api.struct_schemas import JsonSchema

# Of JSON Schema; others are names of ours.
_KNOWN_FORMATS: Final = frozenset({"date-time", "uuid"})
_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False})


def page(document: Document) -> str:
    """Return the page of an AsyncAPI document as HTML."""
    environment = Environment(
        loader=PackageLoader("api.asyncapi", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "markdown": _markdown,
        "inline": _inline_markdown,
        "json": _json,
        "kind": _kind,
        "referred": _last_part,
    }
    return environment.get_template("page.html").render(
        document=document,
        messages=document["components"]["messages"],
        schemas=document["components"]["schemas"],
    )


def _markdown(text: str) -> Markup:
    return Markup(_MARKDOWN.render(text))  # noqa: S704 - HTML in the text is escaped


def _inline_markdown(text: str) -> Markup:
    return Markup(_MARKDOWN.renderInline(text))  # noqa: S704 - HTML in the text is escaped


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _last_part(reference: str) -> str:
    """Return the name that a reference ends with."""
    return reference.rpartition("/")[2]


def _kind(schema: JsonSchema) -> Markup:
    """Return what kind of value a schema describes, with links to the schemas it names."""
    if "$ref" in schema:
        name = escape(_last_part(schema["$ref"]))
        return Markup('<a href="#schema-{0}">{0}</a>').format(name)
    if "anyOf" in schema:
        return Markup(" or ").join(_kind(one) for one in schema["anyOf"])
    if "const" in schema:
        return Markup("<code>{}</code>").format(json.dumps(schema["const"]))
    if "enum" in schema:
        return Markup(" | ").join(
            Markup("<code>{}</code>").format(json.dumps(value)) for value in schema["enum"]
        )
    if schema.get("type") == "array":
        return Markup("list of {}").format(_kind(schema.get("items", {})))
    return Markup("{}{}").format(
        schema.get("type", "any value"),
        f" ({schema['format']})" if schema.get("format") in _KNOWN_FORMATS else "",
    )
