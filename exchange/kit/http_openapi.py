"""The OpenAPI 3.1 description at `/schema/openapi.json` and its interactive page at `/schema`.

Litestar describes the routes; what it cannot know is added from the routes' own declarations: who may call,
the query parameters, the Idempotency-Key, the exact body schema (bounds, patterns, no further fields) and the
problem answer. The page is Swagger UI from our own static files; its Content-Security-Policy forbids loading
anything from elsewhere.
"""

from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Litestar, MediaType, Request, Response, Router
from litestar.datastructures import CacheControlHeader
from litestar.enums import OpenAPIMediaType
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute
from litestar.static_files import create_static_files_router
from litestar.types import ControllerRouterHandler

from exchange.kit.errors import NotFound
from exchange.kit.http_auth import ONCE, QUERY, RAW_BODY, SCOPES, public
from exchange.kit.http_problems import PROBLEM_TYPE, Problem
from exchange.kit.http_request import IDEMPOTENCY_KEY_PATTERN

_STATIC: Final = Path(__file__).parent / "static"
_REF: Final = "#/components/schemas/{name}"
_PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DESCRIPTION: Final = (
    "Rent and sell GPU-hours on an open exchange. Money is decimal strings of CNY, times are RFC 3339, "
    "windows start and end on whole hours. Errors are problem+json; every code is explained at /problems."
)
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "pattern": f"^{IDEMPOTENCY_KEY_PATTERN}$"},
    "description": (
        "A fresh value for each request; the same request sent again under it has no second effect, and its "
        "answer carries `Idempotent-Replayed: true`."
    ),
}
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


def _described(operation: dict[str, Any], handler: HTTPRouteHandler, components: dict[str, Any]) -> None:
    """Complete one operation from its handler's declarations."""
    scopes = sorted(scope.value for scope in handler.opt.get(SCOPES) or ())
    operation["security"] = [{"bearer": []}] if scopes else []
    if scopes:
        needed = f"Needs a key with the scope `{'` or `'.join(scopes)}`."
        operation["description"] = "\n\n".join(filter(None, [operation.get("description"), needed]))
    if (query := handler.opt.get(QUERY)) is not None:
        operation.setdefault("parameters", []).extend(_parameters(query, components))
    if handler.opt.get(ONCE):
        operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
    if handler.opt.get(RAW_BODY):
        file = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": {"*/*": file}}
    field = handler.parsed_data_field
    if (
        field is not None
        and isinstance(field.annotation, type)
        and issubclass(field.annotation, msgspec.Struct)
    ):
        (schema,), found = msgspec.json.schema_components([field.annotation], ref_template=_REF)
        components.update(found)
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    responses = operation.setdefault("responses", {})
    responses.pop("400", None)
    responses["default"] = {
        "description": "Refused",
        "content": {PROBLEM_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}}},
    }


def _parameters(query: type[msgspec.Struct], components: dict[str, Any]) -> list[dict[str, Any]]:
    _, found = msgspec.json.schema_components([query], ref_template=_REF)
    own = found.pop(query.__name__)
    components.update(found)
    required = own.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "schema": schema,
            **({"description": schema["description"]} if "description" in schema else {}),
        }
        for name, schema in own["properties"].items()
    ]


def completed(app: Litestar, document: dict[str, Any]) -> dict[str, Any]:
    """Complete Litestar's description in place and return it."""
    components = document.setdefault("components", {}).setdefault("schemas", {})
    _, found = msgspec.json.schema_components([Problem], ref_template=_REF)
    components.update(found)
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        path = document["paths"].get(route.path_format, {})
        for handler in route.route_handlers:
            for method in handler.http_methods:
                if method.lower() in path:
                    _described(path[method.lower()], handler, components)
    return document


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
            security_schemes={
                "bearer": SecurityScheme(
                    type="http", scheme="bearer", description="An API key, such as cx_01hzx0d9k3e7q_..."
                )
            }
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
