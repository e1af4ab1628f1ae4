"""The API's own description, read for what a test has to try: routes, bodies, parameters, schemas."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from exchange.kit.http_auth import RouteAccess

Schema = Mapping[str, Any]
BY_SCHEMA: Final = frozenset(
    {"wrong_type", "unknown_field", "pattern", "too_long", "too_short", "bad_id", "bad_amount"}
)
"""The codes of faults that a schema can tell in advance."""


def path_of(route: RouteAccess) -> str:
    """Return a route's path with `{name}` where it has `{name:str}`, as the document has it."""
    return route.path.replace(":str}", "}").replace(":path}", "}")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One route: method, path with `{names}`, query parameters, needed headers, and the schema of a body."""

    method: str
    path: str
    query: dict[str, Schema]
    names: tuple[str, ...]
    headers: tuple[str, ...]
    body: Schema | None

    @property
    def title(self) -> str:
        """The route as one speaks of it."""
        return f"{self.method} {self.path}"


def undocumented(
    document: Mapping[str, Any], answers: Iterable[tuple[str, str, int]]
) -> Iterator[tuple[str, str, int]]:
    """Yield the answers (method, path, status) whose status does not stand in the document of their route."""
    for method, path, status in answers:
        described = document["paths"].get(path, {}).get(method.lower())
        if described is not None and str(status) not in described["responses"]:
            yield method, path, status


class Description:
    """An OpenAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.schemas: Mapping[str, Schema] = document["components"]["schemas"]
        self.operations = {
            operation.title: operation
            for path, methods in document["paths"].items()
            for method, described in methods.items()
            for operation in [self._operation(method, path, described)]
        }

    def _operation(self, method: str, path: str, described: Mapping[str, Any]) -> Operation:
        parameters = described.get("parameters", [])
        body = described.get("requestBody")
        return Operation(
            method=method.upper(),
            path=path,
            query={each["name"]: each["schema"] for each in parameters if each["in"] == "query"},
            names=tuple(each["name"] for each in parameters if each["in"] == "path"),
            headers=tuple(each["name"] for each in parameters if each["in"] == "header"),
            body=None if body is None else body["content"].get("application/json", {}).get("schema"),
        )

    def bodies(self) -> dict[str, Operation]:
        """Return the routes that take a body, by title."""
        return {title: each for title, each in self.operations.items() if each.body is not None}

    def alternatives(self, schema: Schema) -> Iterator[Schema]:
        """Yield what a value may be: the schema itself, or each member of a union, references followed."""
        if "$ref" in schema:
            yield from self.alternatives(self.schemas[schema["$ref"].rpartition("/")[2]])
        elif "anyOf" in schema:
            for member in schema["anyOf"]:
                yield from self.alternatives(member)
        else:
            yield schema

    def kinds(self, schema: Schema) -> set[str]:
        """Return the JSON types a value may have."""
        return {each.get("type", "string") for each in self.alternatives(schema)}

    def member(self, schema: Schema, kind: str) -> Schema | None:
        """Return what a value must obey if it has a JSON type, or None where it may not have it."""
        return next((each for each in self.alternatives(schema) if each.get("type", "string") == kind), None)
