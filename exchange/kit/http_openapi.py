"""The OpenAPI 3.1 description at `/schema/openapi.json` and its interactive page at `/schema`.

Litestar describes the routes; what it cannot know is added from the routes' own declarations, in
`http_described`. The page is Swagger UI from our own static files; its Content-Security-Policy forbids
loading anything from elsewhere.
"""

from pathlib import Path
from typing import Any, Final

from litestar import MediaType, Request, Response, Router
from litestar.datastructures import CacheControlHeader
from litestar.enums import OpenAPIMediaType
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.static_files import create_static_files_router
from litestar.types import ControllerRouterHandler

from exchange.kit.errors import NotFound
from exchange.kit.http_auth import public
from exchange.kit.http_described import completed

_STATIC: Final = Path(__file__).parent / "static"
_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DESCRIPTION: Final = (
    "Rent and sell GPU-hours on an open exchange. Money is decimal strings of CNY, times are RFC 3339, "
    "windows start and end on whole hours. Errors are problem+json; every code is explained at /problems. "
    "HEAD is taken wherever GET is. What is no request of HTTP/1.1, or does not come in time, is answered "
    "400, 408 or 431 before it has a path."
)
_KEY: Final = (
    "An API key, such as cx_01hzx0d9k3e7q_... A key that was made with `signing_public_key` also signs each "
    "request, by HTTP Message Signatures (RFC 9421) with Ed25519: the headers `Signature-Input`, `Signature` "
    "and, with a body, `Content-Digest` (RFC 9530, sha-256). The signature covers `@method`, `@path`, "
    "`@query` and, where they are sent, `content-digest`, `content-type` and `idempotency-key`. It has "
    "`created` (within 30 s), `nonce` (used once) and `keyid` (the key's id). docs/keys.md has an example."
)
_PAGE: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Compute exchange API</title>
<link rel="icon" type="image/png" href="/static/swagger-ui/favicon-32x32.png">
<link rel="stylesheet" href="/static/swagger-ui/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/static/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/static/openapi-page.js"></script>
</body>
</html>
"""


class PageRenderPlugin(OpenAPIRenderPlugin):
    """Serves the interactive page."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the page; it fetches the description itself."""
        del request, openapi_schema
        return _PAGE


class CompletedJsonRenderPlugin(OpenAPIRenderPlugin):
    """Serves the description, completed once."""

    _rendered: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the description as JSON."""
        if self._rendered is None:
            self._rendered = self.render_json(request, completed(request.app, openapi_schema))
        return self._rendered


def _refuse_html_404(response: Response[Any]) -> Response[Any]:
    """Answer unknown pages below /schema like unknown paths elsewhere; Litestar has an HTML page for them."""
    if response.status_code == 404:  # noqa: PLR2004
        raise NotFound(detail="there is no such page of the API description")
    response.headers["Content-Security-Policy"] = _PAGE_POLICY
    return response


def openapi_config() -> OpenAPIConfig:
    """Return the configuration of the description."""
    return OpenAPIConfig(
        title="Compute exchange",
        version="1",
        description=_DESCRIPTION,
        use_handler_docstrings=True,
        components=Components(
            security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", description=_KEY)}
        ),
        render_plugins=[
            PageRenderPlugin(path="/", media_type=MediaType.HTML, favicon="", style=""),
            CompletedJsonRenderPlugin(
                path="/openapi.json", media_type=OpenAPIMediaType.OPENAPI_JSON, favicon=""
            ),
        ],
        openapi_router=Router(
            "/schema",
            route_handlers=[],
            include_in_schema=False,
            opt=public(any_query=True),
            after_request=_refuse_html_404,
        ),
    )


openapi_routes: Final[list[ControllerRouterHandler]] = [
    create_static_files_router(
        path="/static",
        directories=[_STATIC],
        include_in_schema=False,
        opt=public(any_query=True),
        cache_control=CacheControlHeader(public=True, max_age=3600),
    )
]
"""The static files of the page."""
