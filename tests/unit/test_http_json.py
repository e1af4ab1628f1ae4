"""Goal: what `JsonAnswer` answers is what Litestar's `Response` answers, byte for byte, header for header.

Method: the same handler's routes with either, asked by a client; what it does not do, it says.
"""

from typing import Any

import msgspec
import pytest
from litestar import Litestar, Response, get, post
from litestar.testing import TestClient

from exchange.kit.http_json import JsonAnswer


class Thing(msgspec.Struct):
    """Something to answer with."""

    name: str
    parts: list["Thing"] = []


THING = Thing("größer", [Thing("a"), Thing('"')])
HEADERS = {"Idempotent-Replayed": "true", "X-More": "a, b"}


def routes(kind: type[Response[Any]], path: str) -> list[Any]:
    """Return routes that answer by this kind: as it was made, and as Litestar makes it of a struct."""

    @post(f"{path}/made", sync_to_thread=False)
    def made() -> Response[Thing]:
        return kind(THING, headers=HEADERS)

    @post(f"{path}/other", sync_to_thread=False, status_code=202)
    def other() -> Response[Thing]:
        return kind(THING, status_code=203)

    @get(f"{path}/struct", sync_to_thread=False, response_class=kind)
    def struct() -> Thing:
        return THING

    return [made, other, struct]


def test_both_answer_the_same() -> None:
    app = Litestar([*routes(Response, "/framework"), *routes(JsonAnswer, "/json")])
    with TestClient(app) as client:
        for method, path, status in (("POST", "made", 201), ("POST", "other", 203), ("GET", "struct", 200)):
            framework, json = (client.request(method, f"/{kind}/{path}") for kind in ("framework", "json"))
            assert (json.status_code, json.content) == (status, framework.content)
            assert sorted(json.headers.raw) == sorted(
                (name.lower(), value) for name, value in framework.headers.raw
            )


@pytest.mark.parametrize("name", ["background", "cookies", "type_encoders"])
def test_what_it_does_not_do_is_refused(name: str) -> None:
    unknown: dict[str, Any] = {name: {"a": "b"}}
    with pytest.raises(TypeError, match=f"no {name}"):
        JsonAnswer(THING, **unknown)
    with pytest.raises(TypeError, match=f"no {name}"):
        JsonAnswer(THING).to_asgi_response(app=None, request=None, **unknown)
