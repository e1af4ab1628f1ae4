"""Goal: a failed authentication costs who fails more than us, stops nobody else, and is recorded.

Method: guesses over real sockets against an exchange with a small budget of failures; what it reads of its
database is noted, and what stands in the audit trail is counted.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from exchange.kit.auth import Principal, StoredKey, new_key
from exchange.kit.auth_guard import ADDRESSES_MAX, KEYS_MAX, FailureRecord
from exchange.kit.database import Database
from exchange.kit.errors import RateLimited, Unauthenticated
from exchange.kit.ids import encode_id
from tests.e2e.served import Served, problem, served
from tests.faults import quiet

BUDGET = 10
LARGE = 10**9


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database_url, tmp_path, rate_failures=(BUDGET, 3600)) as ready:
        yield ready


async def guess(house: Served, key: str) -> httpx.Response:
    return await house.http.get("/v1/orders", headers={"Authorization": f"Bearer {key}"})


def refuse(_: object) -> None:
    """Stand where nothing may be done: whatever comes here is answered with 500."""
    raise LookupError("this must not be asked")


async def recorded(database: Database) -> list[dict[str, object]]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT detail FROM audit_record WHERE code = 'AUTF' ORDER BY id")
    return [json.loads(row["detail"]) for row in rows]


@pytest.mark.parametrize("key", ["rubbish", new_key().text, "cx_0000000000001_"])
async def test_a_guess_is_refused_before_its_body_and_loses_its_connection(house: Served, key: str) -> None:
    url = house.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {LARGE}\r\n"
        "Content-Type: application/json\r\n\r\n"
    )
    writer.write(head.encode())
    async with asyncio.timeout(60):
        answer = await reader.read()  # to the end: the server closes, though most of the request is to come
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer.lower()


async def test_guesses_beyond_the_budget_read_nothing_and_traders_go_on(
    house: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = house.exchange.keys.authenticator
    load, reads = authenticator._load, 0

    async def counted(key_id: int) -> object:
        nonlocal reads
        reads += 1
        return await load(key_id)

    monkeypatch.setattr(authenticator, "_load", counted)
    me = "/v1/participants/me"
    assert await house.operator.get(me)
    reads = 0
    for _ in range(BUDGET):
        problem(await guess(house, new_key().text), 401, "unauthenticated")
    assert reads == BUDGET  # one row each, by its key
    guesses = [new_key().text for _ in range(3 * BUDGET)]
    monkeypatch.setattr("exchange.kit.auth.hash_secret", refuse)
    for text in guesses:
        cut = await guess(house, text)
        assert problem(cut, 429, "rate_limited")
        assert cut.headers["connection"] == "close"
    assert reads == BUDGET
    assert await house.operator.get(me)  # at the same address, by a key that has opened the exchange before


class Gate:
    """Holds up every reading of a key until `opened`; `reads` have come to it."""

    def __init__(self, house: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        self.opened = asyncio.Event()
        self._load = house.exchange.keys.authenticator._load
        monkeypatch.setattr(house.exchange.keys.authenticator, "_load", self._held)

    async def _held(self, key_id: int) -> StoredKey | None:
        self.reads += 1
        await self.opened.wait()
        return await self._load(key_id)


async def try_at_once(house: Served, gate: Gate, keys: list[str]) -> list[object]:
    """Try keys from one address all at once, open the gate when none moves, return what became of each."""
    authenticator = house.exchange.keys.authenticator
    tries = [asyncio.create_task(authenticator.authenticate(f"Bearer {key}", "192.0.2.1")) for key in keys]
    for _ in range(20):
        await asyncio.sleep(0)
    assert gate.reads == BUDGET
    gate.opened.set()
    async with asyncio.timeout(60):
        return list(await asyncio.gather(*tries, return_exceptions=True))


async def test_guesses_that_come_at_once_read_no_more_than_may_fail(
    house: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(house, monkeypatch)
    became = await try_at_once(house, gate, [new_key().text for _ in range(5 * BUDGET)])
    assert gate.reads == BUDGET
    assert [type(each) for each in became].count(Unauthenticated) == BUDGET
    assert [type(each) for each in became].count(RateLimited) == 4 * BUDGET


async def test_good_keys_that_come_at_once_are_all_let_in_and_cost_the_address_nothing(
    house: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = house.exchange.keys.authenticator
    key = house.operator.key
    gate = Gate(house, monkeypatch)
    authenticator._verified.clear()
    became = await try_at_once(house, gate, [key] * (5 * BUDGET))
    assert all(isinstance(each, Principal) for each in became)
    for _ in range(BUDGET):
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate(f"Bearer {new_key().text}", "192.0.2.1")
    with pytest.raises(RateLimited):
        await authenticator.authenticate(f"Bearer {new_key().text}", "192.0.2.1")


async def test_a_try_that_is_given_up_or_meets_a_fault_is_no_failure_and_holds_up_nobody(
    house: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator = house.exchange.keys.authenticator
    gate = Gate(house, monkeypatch)
    tries = [
        asyncio.create_task(authenticator.authenticate(f"Bearer {new_key().text}", "192.0.2.1"))
        for _ in range(3 * BUDGET)
    ]
    for _ in range(20):
        await asyncio.sleep(0)
    for each in tries[:-1]:
        each.cancel()
    gate.opened.set()
    async with asyncio.timeout(60):
        *_, last = await asyncio.gather(*tries, return_exceptions=True)
    assert isinstance(last, Unauthenticated)
    monkeypatch.setattr(authenticator, "_load", refuse)
    for _ in range(2 * BUDGET):
        with pytest.raises(LookupError):
            await authenticator.authenticate(f"Bearer {new_key().text}", "192.0.2.1")


async def test_a_text_that_is_no_keys_reads_nothing(house: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.exchange.keys.authenticator, "_load", refuse)
    for text in ("rubbish", "cx_", "cx_0_0", f"cx_{'0' * 13}_secret", "x" * 5_000, "cx_0000000000001_"):
        problem(await guess(house, text), 401, "unauthenticated")


async def test_a_flood_is_one_row_of_the_record(house: Served) -> None:
    await quiet(house.exchange)  # a period of its own may end among ours
    keys = [new_key() for _ in range(KEYS_MAX + 3)]
    for key in keys:
        await guess(house, key.text)
    await house.exchange.watched.failures.write()
    [row] = await recorded(house.exchange.database)
    named = row.pop("keys")
    assert row == {"address": "127.0.0.1", "failures": len(keys)}
    assert isinstance(named, list)
    assert len(named) == KEYS_MAX
    assert all(key.text.split("_", 2)[2] not in str(named) for key in keys)
    await house.exchange.watched.failures.write()
    assert len(await recorded(house.exchange.database)) == 1  # nothing new, nothing written


async def test_many_addresses_are_few_rows_and_nothing_is_forgotten_or_told_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record = FailureRecord(database, lambda: 0)
    total = 5 * ADDRESSES_MAX
    for number in range(total):
        record.add(f"10.0.{number // 250}.{number % 250}", number + 1)

    async def fail(*_: object) -> None:
        raise LookupError("a fault on the way")

    with monkeypatch.context() as broken:
        broken.setattr("exchange.kit.auth_guard.insert_audit_records", fail)
        for _ in range(2):
            record.add("10.0.0.1", total + 1)
            with pytest.raises(LookupError):
                await record.write()
            record.add("10.0.0.0", 1)
    assert not caplog.records
    await record.write()
    assert len(caplog.records) == ADDRESSES_MAX + 1
    rows = await recorded(database)
    assert len(rows) == ADDRESSES_MAX + 1
    assert sum(int(str(row["failures"])) for row in rows) == total + 4
    assert [encode_id("key", 2), encode_id("key", total + 1)] in [row["keys"] for row in rows]
