"""What the description of the API says of each route, made from what the route declares.

Beside what Litestar knows: who may call, the query parameters, the Idempotency-Key, the exact schemas of body
and answer, the headers of answers, every status with which a route refuses, and where an answer's id leads.
Which refusals those are follows from what a route reads (`_refusals`); the few that cannot be told so are
declared (`refuses`). There is no `default`: a status that does not stand here is a fault, and every test that
serves the exchange looks for one.

Known limits: what is refused before there is a request (408, 431, see `http_connection`) is of no route.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, get_args

import msgspec
from litestar import Litestar, MediaType
from litestar.handlers import HTTPRouteHandler
from litestar.response import Response
from litestar.routes import HTTPRoute

from exchange.kit.http_auth import ONCE, QUERY, RAW_BODY, SAME_ORIGIN, SCOPES
from exchange.kit.http_coding import VARY
from exchange.kit.http_head import READS
from exchange.kit.http_limits import is_unlimited
from exchange.kit.http_problems import PROBLEM_TYPE, Problem
from exchange.kit.http_request import IDEMPOTENCY_KEY_PATTERN

_SCHEMA: Final = "#/components/schemas/{name}"
_HEADER: Final = "#/components/headers/{name}"
_RESPONSE: Final = "#/components/responses/{name}"
_REFUSES: Final = "exchange_refuses"
_PRODUCES: Final = "exchange_produces"
_COUNTS_ROWS: Final = "exchange_counts_rows"
_LINES: Final = "exchange_lines"
_REVALIDATES: Final = "exchange_revalidates"
_JSON: Final = "application/json"
NDJSON_TYPE: Final = "application/x-ndjson"
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
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The ETag of an answer that the caller has: while it is the same, the answer is 304.",
}
_OWN_PAGES: Final = {
    "name": "Sec-Fetch-Site",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "enum": ["same-origin"]},
    "description": (
        "Browsers send it of themselves. One that does not sends an `Origin` instead, which must be the "
        "exchange's own."
    ),
}
_REQUEST_ID: Final = "X-Request-Id"
_ETAG: Final = "ETag"
_CACHE_CONTROL: Final = "Cache-Control"
_VARY: Final = "Vary"
_BUDGETS: Final = ("RateLimit-Policy", "RateLimit")
_REPLAYED: Final = "Idempotent-Replayed"
_ATTACHED: Final = "Content-Disposition"
_ROWS: Final = "Export-Rows"
_HEADERS: Final[Mapping[str, dict[str, Any]]] = {
    _REQUEST_ID: {
        "description": "The request's id: the one sent in this header where it is fit, else a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "RateLimit-Policy": {
        "description": "The limits that the request was counted against: quota and window in seconds.",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": "What is left of them, and the seconds until all of it is back.",
        "schema": {"type": "string"},
    },
    _REPLAYED: {
        "description": "The answer is the stored one of an earlier request.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    _ATTACHED: {
        "description": "The name under which to keep the file.",
        "required": True,
        "schema": {"type": "string", "pattern": "^attachment; filename"},
    },
    _ROWS: {
        "description": "How many rows the file has.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    _ETAG: {
        "description": "A strong entity tag: the same for the same bytes, at whichever process.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}(-gzip)?"$'},
    },
    _VARY: {
        "description": "A long answer comes by gzip to who takes that, and has a tag of its own then.",
        "required": True,
        "schema": {"type": "string", "enum": [VARY]},
    },
    _CACHE_CONTROL: {
        "description": "Caches may keep the answer, and ask whether it is still the same before they use it.",
        "required": True,
        "schema": {"type": "string", "enum": ["public, no-cache"]},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "required": True,
        "schema": {"type": "string", "enum": ["Bearer"]},
    },
    "Retry-After": {
        "description": "The seconds to wait; absent where waiting does not help.",
        "schema": {"type": "integer", "minimum": 1},
    },
}
_OWN_HEADERS: Final[Mapping[int, tuple[str, ...]]] = {
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate",),
    HTTPStatus.TOO_MANY_REQUESTS: ("Retry-After",),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Retry-After",),
}


def refuses(*statuses: HTTPStatus) -> dict[str, Any]:
    """Declare with which statuses a route refuses beside those its form tells of, beside `requires(...)`."""
    return {_REFUSES: statuses}


def produces(*media_types: str, counts_rows: bool = False) -> dict[str, Any]:
    """Declare that a route answers with a file of one of these types, beside `requires(...)`.

    With `counts_rows` the answer's header `Export-Rows` tells how many rows the file has.
    """
    types = tuple(each.partition(";")[0] for each in media_types)
    return {_PRODUCES: types, _COUNTS_ROWS: counts_rows}


def streams(line: type[msgspec.Struct]) -> dict[str, Any]:
    """Declare that a route answers with lines, each such a struct as JSON, beside `requires(...)`."""
    return {_LINES: line}


def revalidates() -> dict[str, Any]:
    """Declare that a route answers 304 to who has the answer (`http_cached`), beside `public(...)`."""
    return {_REVALIDATES: True}


def completed(app: Litestar, document: dict[str, Any]) -> dict[str, Any]:
    """Complete Litestar's description in place and return it."""
    components = document.setdefault("components", {})
    # Litestar's own schemas of answers are less exact, and go by other names.
    schemas = components["schemas"] = {}
    schemas.update(msgspec.json.schema_components([Problem], ref_template=_SCHEMA)[1])
    components["headers"] = dict(_HEADERS)
    used: set[int] = set()
    for operation, handler, method in _operations(app, document):
        used |= _describe(operation, handler, method, schemas)
    components["responses"] = {HTTPStatus(status).name: _problem(status) for status in sorted(used)}
    _link(document)
    return document


def _operations(
    app: Litestar, document: dict[str, Any]
) -> Iterator[tuple[dict[str, Any], HTTPRouteHandler, str]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            path = document["paths"].get(route.path_format, {})
            for handler in route.route_handlers:
                for method in handler.http_methods:
                    if method.lower() in path:
                        yield path[method.lower()], handler, method


def _describe(
    operation: dict[str, Any], handler: HTTPRouteHandler, method: str, schemas: dict[str, Any]
) -> set[int]:
    """Complete one operation from its handler's declarations; return the statuses with which it refuses."""
    scopes = sorted(scope.value for scope in handler.opt.get(SCOPES) or ())
    operation["security"] = [{"bearer": []}] if scopes else []
    if scopes:
        needed = f"Needs a key with the scope `{'` or `'.join(scopes)}`."
        operation["description"] = "\n\n".join(filter(None, [operation.get("description"), needed]))
    parameters = operation.setdefault("parameters", [])
    if (query := handler.opt.get(QUERY)) is not None:
        parameters.extend(_parameters(query, schemas))
    if handler.opt.get(ONCE):
        parameters.append(_IDEMPOTENCY_KEY)
    if handler.opt.get(_REVALIDATES):
        parameters.append(_IF_NONE_MATCH)
    if handler.opt.get(SAME_ORIGIN):
        parameters.append(_OWN_PAGES)
    if handler.opt.get(RAW_BODY):
        file = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"] = {"required": True, "content": {"*/*": file}}
    field = handler.parsed_data_field
    if (
        field is not None
        and isinstance(field.annotation, type)
        and issubclass(field.annotation, msgspec.Struct)
    ):
        content = {_JSON: {"schema": _schema_of(field.annotation, schemas)}}
        operation["requestBody"] = {"required": True, "content": content}
    refusals = _refusals(operation, handler, method)
    operation["responses"] = {
        str(handler.status_code): _answer(handler, schemas),
        **(
            {str(int(HTTPStatus.NOT_MODIFIED)): _not_modified(handler)} if _REVALIDATES in handler.opt else {}
        ),
        **{
            str(status): {"$ref": _RESPONSE.format(name=HTTPStatus(status).name)}
            for status in sorted(refusals)
        },
    }
    if _REVALIDATES in handler.opt:
        operation["responses"][str(int(HTTPStatus.NOT_MODIFIED))] = _not_modified(handler)
    return refusals


def _schema_of(type_: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type, its parts put among the others."""
    (schema,), found = msgspec.json.schema_components([type_], ref_template=_SCHEMA)
    schemas.update(found)
    return schema


def _parameters(query: type[msgspec.Struct], schemas: dict[str, Any]) -> list[dict[str, Any]]:
    _, found = msgspec.json.schema_components([query], ref_template=_SCHEMA)
    own = found.pop(query.__name__)
    schemas.update(found)
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


def _refusals(operation: Mapping[str, Any], handler: HTTPRouteHandler, method: str) -> set[int]:
    """Return the statuses with which a route refuses."""
    # A line or header that cannot be read, a parameter that nobody asked for, a database out of reach.
    statuses: set[int] = {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        *handler.opt.get(_REFUSES, ()),
    }
    if handler.opt.get(SCOPES):
        statuses |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    if not is_unlimited(handler.opt):
        statuses.add(HTTPStatus.TOO_MANY_REQUESTS)
    if method not in READS:
        statuses.add(HTTPStatus.CONFLICT)
    if "requestBody" in operation:
        statuses |= {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
    if any(each["in"] == "path" for each in operation["parameters"]):
        statuses.add(HTTPStatus.NOT_FOUND)
    return statuses


def _answer(handler: HTTPRouteHandler, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return how a route answers when it does what it was asked for."""
    names = [_REQUEST_ID] if is_unlimited(handler.opt) else [_REQUEST_ID, *_BUDGETS]
    answer: dict[str, Any] = {"description": HTTPStatus(handler.status_code).phrase}
    if produced := handler.opt.get(_PRODUCES):
        file = {"schema": {"type": "string", "format": "binary"}}
        answer["content"] = dict.fromkeys(produced, file)
        names += [_ATTACHED, _ROWS] if handler.opt.get(_COUNTS_ROWS) else [_ATTACHED]
    elif (line := handler.opt.get(_LINES)) is not None:
        # OpenAPI 3.2 has `itemSchema` for this; 3.1 has a place for extensions only.
        text = {"type": "string", "description": f"Lines, each of them a {line.__name__} as JSON."}
        answer["content"] = {NDJSON_TYPE: {"schema": text, "x-itemSchema": _schema_of(line, schemas)}}
    elif (type_ := _answered_type(handler)) is str:
        answer["content"] = {MediaType(handler.media_type).value: {"schema": {"type": "string"}}}
    elif type_ is not type(None):
        answer["content"] = {_JSON: {"schema": _schema_of(type_, schemas)}}
    if handler.opt.get(ONCE) or handler.status_code == HTTPStatus.CREATED:
        names.append(_REPLAYED)
    if handler.opt.get(_REVALIDATES):
        names += [_ETAG, _CACHE_CONTROL, _VARY]
    answer["headers"] = {name: {"$ref": _HEADER.format(name=name)} for name in names}
    return answer


def _not_modified(handler: HTTPRouteHandler) -> dict[str, Any]:
    """Return how a route answers to who has its answer."""
    budgets = () if is_unlimited(handler.opt) else _BUDGETS
    names = (_REQUEST_ID, *budgets, _ETAG, _CACHE_CONTROL, _VARY)
    return {
        "description": HTTPStatus.NOT_MODIFIED.phrase,
        "headers": {name: {"$ref": _HEADER.format(name=name)} for name in names},
    }


def _answered_type(handler: HTTPRouteHandler) -> Any:
    """Return the type of an answer's body."""
    given = handler.parsed_fn_signature.return_type
    if given.is_subclass_of(Response):
        return get_args(given.raw)[0]
    return given.raw


def _problem(status: int) -> dict[str, Any]:
    """Return the answer to what is refused with a status."""
    names = (_REQUEST_ID, *_BUDGETS, *_OWN_HEADERS.get(status, ()))
    return {
        "description": HTTPStatus(status).phrase,
        "headers": {name: {"$ref": _HEADER.format(name=name)} for name in names},
        "content": {PROBLEM_TYPE: {"schema": {"$ref": _SCHEMA.format(name="Problem")}}},
    }


def _link(document: dict[str, Any]) -> None:
    """Link what makes a thing with all that takes its id: `POST /things` with `/things/{thing_id}/...`."""
    paths = document["paths"]
    for path, methods in paths.items():
        made = methods.get("post", {}).get("responses", {}).get(str(int(HTTPStatus.CREATED)))
        if made is None:
            continue
        links = {}
        for other, operations in paths.items():
            name, brace, _ = other.removeprefix(f"{path}/{{").partition("}")
            if not (other.startswith(f"{path}/{{") and brace):
                continue
            for operation in operations.values():
                others = {each["name"] for each in operation["parameters"] if each["in"] == "path"} - {name}
                if all(f"{{{each}}}" in path for each in others):
                    links[operation["operationId"]] = {
                        "operationId": operation["operationId"],
                        "parameters": {
                            name: "$response.body#/id",
                            **{each: f"$request.path.{each}" for each in sorted(others)},
                        },
                    }
        if links:
            made["links"] = links
