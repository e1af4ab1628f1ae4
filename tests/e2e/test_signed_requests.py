"""Goal: a key that signs opens nothing by its secret, nothing that was changed on the way, and nothing twice.

Method: over a real socket, requests signed by our client and then changed: each part alone, the body, the
time, sent again, sent to another process. What is refused leaves no row.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
import websockets
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.client import ExchangeClient, SignedBy
from exchange.client import signing as client_signing
from exchange.feed.hub import Closing
from exchange.kit.clock import wall_now_us
from exchange.kit.http_app import BODY_BYTES_MAX
from exchange.kit.signing_keys import public_text
from tests.e2e.served import DEADLINE_S, Caller, Served, problem, refused_handshake, served
from tests.signers import PRIVATE, PUBLIC

BUYER = {"region": "hangzhou", "size_class": "micro", "founded_on": "2024-02-28"}
DEPOSIT = "/v1/deposits"


class Signer(msgspec.Struct, frozen=True):
    """An operator whose key signs."""

    caller: Caller
    auth: SignedBy
    key_id: str

    def request(self, method: str, path: str, **more: object) -> httpx.Request:
        """Return a request as the client would send it, signed."""
        request = self.caller.http.build_request(method, path, **more)  # type: ignore[arg-type]
        return next(self.auth.auth_flow(request))

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send a request as it is, once more if need be."""
        return await self.caller.http.send(request)


@pytest.fixture(scope="module")
async def house(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(module_database_url, tmp_path_factory.mktemp("signed")) as ready:
        yield ready


@pytest.fixture(scope="module")
async def buyer(house: Served) -> Caller:
    return await house.join("buyer", ["read", "trade"], **BUYER)


@pytest.fixture(scope="module")
async def signer(house: Served) -> Signer:
    me = (await house.operator.get("/v1/participants/me"))["id"]
    issued = await house.operator.key_of(
        me, ["operate", "read"], signing_public_key=public_text(PUBLIC), algorithm="deposits.1"
    )
    assert issued["signing_public_key"] == public_text(PUBLIC)
    assert issued["algorithm"] == "deposits.1"
    return Signer(
        house.operator.with_key(issued["secret"]), SignedBy(issued["secret"], PRIVATE), issued["id"]
    )


def deposit(signer: Signer, buyer: Caller, key: str = "k-1") -> httpx.Request:
    body = {"participant_id": buyer.id, "amount_cny": "10.00"}
    return signer.request("POST", DEPOSIT, json=body, headers={"Idempotency-Key": key})


async def test_a_signed_request_is_answered_like_any_other(signer: Signer, buyer: Caller) -> None:
    answer = await signer.send(deposit(signer, buyer))
    assert answer.status_code == 201, answer.text
    for path in ("/v1/participants/me", f"/v1/accounts?participant_id={buyer.id}&limit=%31"):
        assert (await signer.send(signer.request("GET", path))).status_code == 200
    assert (await signer.send(signer.request("HEAD", "/v1/participants/me"))).status_code == 200


async def test_the_client_signs_what_it_sends(signer: Signer, house: Served, buyer: Caller) -> None:
    url = str(house.http.base_url)
    async with ExchangeClient(url, signer.caller.key, signing_key=PRIVATE) as client:
        found = [each async for each in client.fetch_balance(limit=10, participant_id=buyer.id)]
        assert found
        assert (await client.me()).kind == "operator"


async def test_the_secret_alone_opens_nothing_and_only_who_has_it_is_told_why(signer: Signer) -> None:
    bare = await signer.caller.send("GET", "/v1/participants/me")
    problem(bare, 401, "signature_required")
    assert bare.headers["www-authenticate"] == "Bearer"
    request = signer.request("GET", "/v1/participants/me")
    request.headers["authorization"] += "x"
    problem(await signer.send(request), 401, "unauthenticated")


async def test_what_was_sent_is_taken_once(signer: Signer, buyer: Caller, house: Served) -> None:
    request = deposit(signer, buyer, "k-once")
    assert (await signer.send(request)).status_code == 201
    before = await house.rows()
    problem(await signer.send(request), 401, "signature_replayed")
    # One that was refused for another reason was taken, too.
    forbidden = signer.request("POST", "/v1/orders/cancel-all-after", json={"timeout_s": 0})
    problem(await signer.send(forbidden), 403, "forbidden")
    problem(await signer.send(forbidden), 401, "signature_replayed")
    # One of many that come at once, whatever they are worth each.
    read = signer.request("GET", "/v1/participants/me")
    answers = await asyncio.gather(*(signer.send(read) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 19
    after = await house.rows()
    assert {table for table in after if after[table] != before[table]} <= {"request_nonce"}
    # Signed anew it is a new request: a replay by its Idempotency-Key, as for every key.
    again = await signer.send(deposit(signer, buyer, "k-once"))
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("part", ["method", "path", "query", "body", "key", "type", "digest", "nonce"])
async def test_what_was_changed_on_the_way_is_refused(
    signer: Signer, buyer: Caller, house: Served, part: str
) -> None:
    before = await house.rows()
    request = deposit(signer, buyer, "k-changed")
    if part == "method":
        request = signer.request("GET", f"/v1/keys/{signer.key_id}")
    headers = dict(request.headers)
    method, target, content = request.method, request.url.raw_path.decode(), request.content
    if part == "method":
        method = "DELETE"
    elif part == "path":
        target = "/v1/withdrawals"
    elif part == "query":
        target += "?limit=1"
    elif part == "body":
        content = content.replace(b"10.00", b"99.00")
    elif part == "key":
        headers["idempotency-key"] = "k-other"
    elif part == "type":
        headers["content-type"] = "application/problem+json"
    elif part == "digest":
        del headers["content-digest"]
    else:
        headers["signature-input"] = headers["signature-input"].replace('nonce="', 'nonce="x')
    answer = await house.http.request(method, target, content=content, headers=headers)
    problem(answer, 401, "signature_invalid")
    after = await house.rows()
    assert {table for table in after if after[table] != before[table]} <= {"request_nonce"}


async def test_another_body_is_refused_however_it_comes(signer: Signer, house: Served) -> None:
    before = await house.rows()

    async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    for path in (DEPOSIT, "/v1/keys/key_0000000000001"):  # a route that reads no body at all, too
        method = "POST" if path == DEPOSIT else "DELETE"
        for content in (b"{}", b"", pieces(b"{", b"}")):
            request = signer.request(method, path, content=b"[]", headers={"Idempotency-Key": "k-b"})
            headers = {name: value for name, value in request.headers.items() if name != "content-length"}
            answer = await house.http.request(method, path, content=content, headers=headers)
            problem(answer, 401, "signature_invalid")
    request = signer.request("DELETE", "/v1/keys/key_0000000000001")
    headers = {name: value for name, value in request.headers.items() if name != "content-length"}
    answer = await house.http.request("DELETE", request.url, content=pieces(b"[]"), headers=headers)
    problem(answer, 401, "signature_invalid")  # it was signed without a body
    problem(await signer.send(signer.request("DELETE", "/v1/keys/key_0000000000001")), 404, "not_found")
    signed = signer.request("DELETE", "/v1/keys/key_0000000000001", content=b"[]")
    problem(await signer.send(signed), 422, "unexpected_body")
    large = b" " * (BODY_BYTES_MAX + 1)
    request = signer.request("POST", DEPOSIT, content=large, headers={"Idempotency-Key": "k-l"})
    problem(await signer.send(request), 413, "body_too_large")
    request = signer.request("POST", DEPOSIT, content=large, headers={"Idempotency-Key": "k-l"})
    headers = {name: value for name, value in request.headers.items() if name != "content-length"}
    answer = await house.http.request("POST", DEPOSIT, content=pieces(large[1:], b"  "), headers=headers)
    problem(answer, 413, "body_too_large")
    after = await house.rows()
    assert {table for table in after if after[table] != before[table]} <= {"request_nonce"}


async def test_a_request_of_another_time_is_refused(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds in (-32, 32, -86_400):
        monkeypatch.setattr(
            client_signing, "wall_now_us", lambda seconds=seconds: wall_now_us() + seconds * 1_000_000
        )
        problem(await signer.send(signer.request("GET", "/v1/participants/me")), 401, "signature_expired")
    monkeypatch.setattr(client_signing, "wall_now_us", lambda: wall_now_us() - 20_000_000)
    assert (await signer.send(signer.request("GET", "/v1/participants/me"))).status_code == 200


async def test_another_private_key_and_another_keys_signature_are_refused(
    signer: Signer, house: Served
) -> None:
    stranger = msgspec.structs.replace(signer, auth=SignedBy(signer.caller.key, Ed25519PrivateKey.generate()))
    problem(await signer.send(stranger.request("GET", "/v1/participants/me")), 401, "signature_invalid")
    other = (await house.operator.post("/v1/keys", {"scopes": ["read"]}))["secret"]
    request = msgspec.structs.replace(signer, auth=SignedBy(other, PRIVATE)).request(
        "GET", "/v1/participants/me"
    )
    assert (await signer.send(request)).status_code == 200  # a key that does not sign may sign
    request.headers["authorization"] = f"Bearer {signer.caller.key}"
    problem(await signer.send(request), 401, "signature_invalid")


async def test_the_stream_opens_with_a_signature_once(signer: Signer, house: Served) -> None:
    address = str(house.http.base_url.join("/v1/stream")).replace("http://", "ws://")
    headers = signer.auth.headers("GET", "/v1/stream")
    async with websockets.connect(address, additional_headers=headers) as opened:
        await opened.send(json.dumps({"op": "subscribe", "channels": ["orders"]}))
        assert "key_needed" not in str(await opened.recv())
    bare = {"Authorization": headers["Authorization"]}
    for refused, code in (
        (headers, "signature_replayed"),
        (bare, "signature_required"),
        (signer.auth.headers("GET", "/v1/stream?x=1"), "signature_invalid"),
    ):
        problem(await refused_handshake(address, refused), 401, code)


async def test_the_clients_stream_signs_each_connection(signer: Signer, house: Served) -> None:
    url = str(house.http.base_url)
    async with (
        ExchangeClient(url, signer.caller.key, signing_key=PRIVATE) as client,
        client.stream("orders") as stream,
    ):
        house.exchange.relay.hub.close_all(Closing.MISSED)
        async with asyncio.timeout(DEADLINE_S):
            async for _ in stream.events():
                if stream.connections == 2:
                    break


async def test_failures_are_recorded_with_the_key(signer: Signer, house: Served) -> None:
    problem(await signer.caller.send("GET", "/v1/participants/me"), 401, "signature_required")
    await house.exchange.watched.failures.write()
    async with house.exchange.database.connection() as connection:
        rows = await connection.fetch("SELECT detail FROM audit_record WHERE code = 'AUTF'")
    assert any(signer.key_id in row["detail"] for row in rows)


async def test_what_a_key_that_signs_makes_signs_too(signer: Signer, house: Served) -> None:
    body = {"scopes": ["read"]}
    request = signer.request("POST", "/v1/keys", json=body, headers={"Idempotency-Key": "k-made"})
    refused = problem(await signer.send(request), 422, "invalid_body")
    assert [(each["pointer"], each["code"]) for each in refused["errors"]] == [
        ("/signing_public_key", "required")
    ]
    # Rotated, it signs as before, or with the new key that is given.
    request = signer.request(
        "POST",
        f"/v1/keys/{signer.key_id}/rotate",
        json={"overlap_s": 600},
        headers={"Idempotency-Key": "k-r"},
    )
    rotated = (await signer.send(request)).json()
    assert rotated["signing_public_key"] == public_text(PUBLIC)
    assert rotated["algorithm"] == "deposits.1"
    heir = msgspec.structs.replace(signer, auth=SignedBy(rotated["secret"], PRIVATE))
    assert (await signer.send(heir.request("GET", "/v1/participants/me"))).status_code == 200
    problem(
        await house.operator.with_key(rotated["secret"]).send("GET", "/v1/keys"), 401, "signature_required"
    )


async def test_a_signature_is_taken_once_by_all_processes_together(database_url: str, tmp_path: Path) -> None:
    async with served(database_url, tmp_path) as one, served(database_url, tmp_path) as two:
        me = (await one.operator.get("/v1/participants/me"))["id"]
        issued = await one.operator.key_of(me, ["read"], signing_public_key=public_text(PUBLIC))
        auth = SignedBy(issued["secret"], PRIVATE)
        for first, second in ((one, two), (two, one)):
            headers = auth.headers("GET", "/v1/participants/me")
            assert (await first.http.get("/v1/participants/me", headers=headers)).status_code == 200
            problem(await second.http.get("/v1/participants/me", headers=headers), 401, "signature_replayed")
