"""The web console over HTTP: `/console/` and its files, and `/`, which leads there.

Every answer of these routes has the headers of `_HEADERS` and a Content-Security-Policy: a page may load,
run and reach nothing but this exchange, and stands in no frame. The console's own addresses (such as
`/console/market`) are answered with its one page, which shows what belongs there.
"""

import re
from typing import Any, Final

from litestar import MediaType, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from exchange.console.files import Page, Pages
from exchange.kit.errors import NotFound
from exchange.kit.http_auth import public
from exchange.kit.http_scope import header
from exchange.kit.http_session import origin_of

NOT_BUILT: Final = (
    "The web console is not built on this machine.\n\n"
    "Run `make console` in the checkout, then start the exchange again.\n"
    "The API works without it: /schema describes it.\n"
)
_HEADERS: Final = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), "
        "publickey-credentials-get=(), serial=(), hid=()"
    ),
    "X-Frame-Options": "DENY",
    "Vary": "Accept-Encoding",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "manifest-src 'self'; connect-src {connect}; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_ASKED_ANEW: Final = "no-cache"


def console_routes(pages: Pages) -> list[HTTPRouteHandler]:
    """Build the routes that serve these pages."""

    @get("/", opt=public(any_query=True), include_in_schema=False, sync_to_thread=False)
    def root(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Lead to the console."""
        headers = _headers(request) | {"Location": "/console/", "Cache-Control": _ASKED_ANEW}
        return Response(b"", status_code=307, media_type=MediaType.TEXT, headers=headers)

    @get("/console", opt=public(any_query=True), include_in_schema=False, sync_to_thread=False)
    def index(request: Request[Any, Any, Any]) -> Response[Any]:
        """Serve the console's page."""
        return _answer(request, pages, "")

    @get(
        "/console/{file_path:path}", opt=public(any_query=True), include_in_schema=False, sync_to_thread=False
    )
    def file(request: Request[Any, Any, Any], file_path: FromPath[str]) -> Response[Any]:
        """Serve a file of the console, or its page where the address is one of its own."""
        return _answer(request, pages, str(file_path).lstrip("/"))

    return [root, index, file]


def _answer(request: Request[Any, Any, Any], pages: Pages, name: str) -> Response[Any]:
    headers = _headers(request)
    if not pages.are_built:
        headers["Cache-Control"] = "no-store"
        return Response(NOT_BUILT, status_code=503, media_type=MediaType.TEXT, headers=headers)
    page = pages.find(name)
    if page is None:
        raise NotFound(detail="there is no such file of the console", headers=headers)
    coding = page.coding_for(header(request.scope, b"accept-encoding") or "")
    headers |= _caching(page, coding)
    if _has(header(request.scope, b"if-none-match"), headers["ETag"]):
        return Response(b"", status_code=304, media_type=page.media_type, headers=headers)
    if coding != "identity":
        headers["Content-Encoding"] = coding
    return Response(page.contents[coding], media_type=page.media_type, headers=headers)


def _caching(page: Page, coding: str) -> dict[str, str]:
    # Each coding is another sequence of bytes, so it has another strong tag.
    return {
        "Cache-Control": _IMMUTABLE if page.is_immutable else _ASKED_ANEW,
        "ETag": f'"{page.etag}-{coding}"',
    }


def _has(if_none_match: str | None, etag: str) -> bool:
    """Whether a caller has this very content already."""
    tags = {each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")}
    return etag in tags or "*" in tags


def _headers(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Return the headers of every answer. Not every browser takes 'self' for the stream's origin, too."""
    connect = "'self'"
    origin = origin_of(request.scope)
    if _ORIGIN.fullmatch(origin):
        connect += f" ws{origin.removeprefix('http')}"
    return {**_HEADERS, "Content-Security-Policy": _POLICY.format(connect=connect)}
