"""`GET /`, `/docs` and `/page/…`: the page to try the service with, and its documentation, from files."""

from pathlib import Path

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

_FOLDER = Path(__file__).parents[1] / "page"
_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page_routes() -> list[HTTPRouteHandler]:
    """The routes; the files are read once."""
    files = {
        path.name: Response(path.read_bytes(), media_type=_MEDIA_TYPES[path.suffix], headers=_HEADERS)
        for path in _FOLDER.iterdir()
        if path.suffix in _MEDIA_TYPES
    }

    @get("/", include_in_schema=False)
    async def page() -> Response[bytes]:
        """The page to try the service with."""
        return files["index.html"]

    @get("/docs", include_in_schema=False)
    async def documentation() -> Response[bytes]:
        """The interactive documentation."""
        return files["docs.html"]

    @get("/page/{name:str}", include_in_schema=False)
    async def page_file(name: FromPath[str]) -> Response[bytes]:
        """Style, scripts and icon of both."""
        if name not in files:
            raise NotFoundException
        return files[name]

    return [page, documentation, page_file]
