"""The web dashboard: its page at every address below ``/app``, and its files."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import MediaType, Request, Response, get
from litestar.datastructures import CacheControlHeader
from litestar.params import PathParameter
from litestar.response import Redirect

from api import caching, dashboard_files
from api.errors import not_found

PATH: Final = "/app"
# Small files in memory: they cost less than counting who asks for them.
_EXEMPT: Final = {"bucket": "exempt"}
_REVALIDATE: Final = CacheControlHeader(no_cache=True)


@get("/", include_in_schema=False, sync_to_thread=False)
def index(request: Request[Any, Any, Any]) -> Redirect:
    """Redirect browsers to the dashboard, and programs to the documentation."""
    wants_page = "text/html" in request.headers.get("accept", "")
    return Redirect(PATH if wants_page else "/docs", headers={"Vary": "Accept"})


@get(
    [PATH, f"{PATH}/{{page:path}}"],
    media_type=MediaType.HTML,
    include_in_schema=False,
    sync_to_thread=False,
    cache_control=_REVALIDATE,
    opt=_EXEMPT,
)
def show_dashboard() -> bytes:
    """Return the page; which of its views is shown, the page decides by its address."""
    return dashboard_files.page()


@get(
    f"{PATH}/assets/{{name:str}}",
    include_in_schema=False,
    sync_to_thread=False,
    cache_control=caching.IMMUTABLE,
    opt=_EXEMPT,
)
def get_dashboard_file(
    name: Annotated[str, PathParameter(description="The file's name.")],
) -> Response[bytes]:
    """Return a file, which is named by a hash of its content."""
    found = dashboard_files.assets().get(name)
    if found is None:
        raise not_found("File")
    return Response(found.content, media_type=found.media_type)


HANDLERS = [index, show_dashboard, get_dashboard_file]
