"""What caches may do with a response: declared on its handler as ``cache_control=``.

Without a declaration a GET's answer may be kept but must be revalidated (``no-cache``), which
costs a 304 while nothing has changed; everything else is ``no-store``, and so is every error.
"""

from __future__ import annotations

from typing import Any, Final

from litestar import Request
from litestar.datastructures import CacheControlHeader

from api.middleware import entity_tags

# The same for everybody, and an age of a second does no harm.
A_SECOND: Final = CacheControlHeader(public=True, max_age=1)
# Named by its content.
IMMUTABLE: Final = CacheControlHeader(public=True, max_age=31_536_000, immutable=True)
# Good for one use or for one client: texts to sign, checks of health.
NO_STORE: Final = CacheControlHeader(no_store=True)


def is_known(request: Request[Any, Any, Any], tag: str) -> bool:
    """Return whether the client has the response with this entity tag (with its quotes).

    A handler that knows its tag before the work answers 304 with the header ``ETag``.
    """
    condition = request.headers.get("if-none-match")
    return condition is not None and entity_tags.matches(condition.encode("latin-1"), tag.encode())
