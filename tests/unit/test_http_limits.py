"""Goal: who sends too much is told so in full and harms nobody else; cancels and traders always get through.

Method: an application built as the real one is, with quotas so small that they are used up, and windows so
long that nothing comes back meanwhile.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from litestar.exceptions import WebSocketDisconnect
from litestar.testing import TestClient

from exchange.kit.auth import Scope
from exchange.kit.http_limits import Limits, Rates, caller_of
from tests.things_app import GOOD, KEYS, ThingsController, bearer, build, greet, open_to_all, problem

HOUR_S = 3600


@contextmanager
def limited(**rates: int) -> Iterator[tuple[TestClient[Any], Limits]]:
    limits = Limits(Rates(**{name: (quota, HOUR_S) for name, quota in rates.items()}))
    app = build(ThingsController, greet, open_to_all, limits=limits)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client, limits


def test_answers_tell_what_is_left_and_the_refusal_when_to_come_back() -> None:
    with limited(key=2, participant=3) as (client, limits):
        answer = client.post("/v1/things", json=GOOD, headers=bearer())
        assert answer.headers["ratelimit-policy"] == '"key";q=2;w=3600, "participant";q=3;w=3600'
        assert answer.headers["ratelimit"] == '"key";r=1;t=1800, "participant";r=2;t=1200'
        assert client.post("/v1/things", json=GOOD, headers=bearer()).status_code == 201
        refused = client.post("/v1/things", json=GOOD, headers=bearer())
        body = problem(refused, 429, "rate_limited")
        assert (body["outcome"], body["retryable"]) == ("not_applied", True)
        assert 1790 <= int(refused.headers["retry-after"]) <= 1800
        assert refused.headers["ratelimit"].startswith('"key";r=0;t=')
        assert len(refused.headers.get_list("ratelimit")) == 1
        # Another key of the same participant has a budget of its own, up to the participant's.
        other = bearer(Scope.LIST_CAPACITY)
        assert client.post("/v1/things", json=GOOD, headers=other).status_code == 201
        told = problem(client.post("/v1/things", json=GOOD, headers=other), 429, "rate_limited")
        assert "participant" in told["detail"]
        assert limits.refused == {"key": 1, "participant": 1}


def test_a_flood_of_orders_stops_no_cancel() -> None:
    with limited(key=1, participant=1, cancels=2) as (client, _):
        for _number in range(20):
            client.post("/v1/things", json=GOOD, headers=bearer())
        problem(client.post("/v1/things", json=GOOD, headers=bearer()), 429, "rate_limited")
        answer = client.delete("/v1/things/a", headers=bearer())
        assert answer.status_code == 200
        assert answer.headers["ratelimit"].startswith('"key-cancels";r=1;')
        assert client.delete("/v1/things/a", headers=bearer()).status_code == 200
        problem(client.delete("/v1/things/a", headers=bearer()), 429, "rate_limited")


def test_a_batch_counts_what_it_holds_and_one_too_large_can_never_come() -> None:
    with limited(key=6) as (client, _):
        assert client.post("/v1/things/many", json={**GOOD, "count": 4}, headers=bearer()).status_code == 201
        refused = client.post("/v1/things/many", json={**GOOD, "count": 3}, headers=bearer())
        assert problem(refused, 429, "rate_limited")["retryable"] is True
        [standing] = refused.headers.get_list("ratelimit")
        assert standing.startswith('"key";r=1;')
        assert len(refused.headers.get_list("ratelimit-policy")) == 1
        # Five are used, the refused request's own among them; a new try needs three: two must be regained.
        assert 1_190 <= int(refused.headers["retry-after"]) <= 1_200
    with limited(key=6) as (client, _):
        never = client.post("/v1/things/many", json={**GOOD, "count": 8}, headers=bearer())
        assert problem(never, 429, "rate_limited")["retryable"] is False
        assert "retry-after" not in never.headers
        assert client.post("/v1/things/many", json={**GOOD, "count": 4}, headers=bearer()).status_code == 201


def test_a_batch_of_the_whole_quota_passes_and_says_what_is_left_and_one_more_never_does() -> None:
    with limited(key=6) as (client, _):
        whole = client.post("/v1/things/many", json={**GOOD, "count": 6}, headers=bearer())
        assert whole.status_code == 201
        assert whole.headers["ratelimit"].startswith('"key";r=0;')
    with limited(key=6) as (client, _):
        never = client.post("/v1/things/many", json={**GOOD, "count": 7}, headers=bearer())
        assert problem(never, 429, "rate_limited")["retryable"] is False


def test_who_has_no_key_is_counted_by_address() -> None:
    with limited(address=3) as (client, _):
        assert client.get("/open").headers["ratelimit"].startswith('"address";r=2;')
        problem(client.get("/v1/things"), 401, "unauthenticated")
        assert client.get("/nowhere").status_code == 404
        problem(client.get("/open"), 429, "rate_limited")
        problem(client.get("/v1/things"), 429, "rate_limited")
        assert client.get("/nowhere").headers["connection"] == "close"
        assert client.get("/v1/things", headers=bearer(Scope.READ)).status_code == 200
        for path in ("/healthz", "/readyz"):
            assert client.get(path).status_code == 200


def test_who_guesses_keys_is_cut_off_and_traders_at_the_same_address_are_not() -> None:
    with limited(failures=3) as (client, limits):
        assert client.get("/v1/things", headers=bearer(Scope.READ)).status_code == 200
        for number in range(3):
            wrong = {"Authorization": f"{bearer()['Authorization']}{number}"}
            problem(client.get("/v1/things", headers=wrong), 401, "unauthenticated")
        cut = client.get("/v1/things", headers={"Authorization": "Bearer cx_x_y"})
        problem(cut, 429, "rate_limited")
        assert cut.headers["connection"] == "close"
        assert client.get("/v1/things", headers=bearer(Scope.READ)).status_code == 200
        # A key that never opened anything here has to wait, good or not: nobody can tell yet.
        problem(client.post("/v1/things", json=GOOD, headers=bearer(Scope.TRADE)), 429, "rate_limited")
        with (
            pytest.raises(WebSocketDisconnect) as caught,
            client.websocket_connect("/v1/socket", headers=bearer(Scope.AUDIT)),
        ):
            pass
        assert caught.value.code == 4429
        assert limits.refused["failures"] == 3


def test_compressed_bodies_are_refused_before_they_are_read() -> None:
    with limited() as (client, _):
        for path in ("/v1/things", "/v1/things/import", "/v1/things/once"):
            headers = {**bearer(), "Idempotency-Key": "a", "Content-Encoding": "gzip"}
            answer = client.post(path, content=b"\x1f\x8b", headers=headers)
            problem(answer, 415, "unsupported_media_type")
            assert answer.headers["accept-encoding"] == "identity"
        plain = {**bearer(), "Content-Encoding": "identity"}
        assert client.post("/v1/things", json=GOOD, headers=plain).status_code == 201


def test_a_body_of_very_many_values_is_refused_before_it_is_read() -> None:
    with limited() as (client, _):
        for body in (b'{"a":[' + b"{}," * 50_000 + b"{}]}", b"[" + b"[]," * 30_000 + b"[]]"):
            problem(client.post("/v1/things", content=body, headers=bearer()), 400, "too_many_values")
        problem(client.post("/v1/things", content=b"[" * 900_000, headers=bearer()), 400, "too_deep")


@pytest.mark.parametrize(
    "address,caller",
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not:an:address", "not:an:address"),
        ("", ""),
    ],
)
def test_an_ipv6_host_cannot_choose_another_address_to_be_counted_as(address: str, caller: str) -> None:
    assert caller_of(address) == caller


def test_no_refusal_repeats_a_key() -> None:
    with limited(failures=1) as (client, _):
        for _number in range(3):
            answer = client.get("/v1/things", headers={"Authorization": f"Bearer {KEYS[Scope.READ].text}x"})
            assert not re.search(KEYS[Scope.READ].text[:30], answer.text + str(answer.headers))
