"""Goal: who never got the answer to a request about vouchers sends it again, and it is done once.

Method: the real HTTP server, whose way to the database is cut after it has carried out the COMMIT. The caller
is told that the outcome is unknown; the same request under the same Idempotency-Key then gets the answer that
was lost, and adds nothing.
"""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from exchange.kit.database import Database
from exchange.kit.ids import decode_id
from tests.e2e.served import Caller, Served, served
from tests.e2e.stage import Cast, join_all, programme
from tests.faults import Wire, faulty_wire, quiet
from tests.stored_state import assert_sound, fingerprint


class House:
    """A served exchange behind a wire, its cast, and what there is to ask for."""

    def __init__(self, served: Served, wire: Wire, cast: Cast, database: Database) -> None:
        self.served, self.wire, self.cast, self.database = served, wire, cast, database

    async def settle(self, **rules: object) -> str:
        """Start a programme and return its id."""
        body = programme("first", self.cast.provider.id, **rules)
        made = await self.cast.issuer.post("/v1/programmes", body)
        return str(made["id"])

    async def send_twice(self, caller: Caller, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Lose the answer of a request, send it again, and return what came of it."""
        headers = {"Idempotency-Key": "the-same-one"}
        self.wire.arm("answer")
        lost = await caller.send("POST", path, json=body, headers=headers)
        assert self.wire.was_cut.is_set()
        assert (lost.status_code, lost.json()["outcome"]) == (503, "unknown"), lost.text
        done = await fingerprint(self.database)
        again = await caller.send("POST", path, json=body, headers=headers)
        assert again.headers["idempotent-replayed"] == "true", again.text
        assert await fingerprint(self.database) == done
        await assert_sound(self.database, with_orders=True)
        answer: dict[str, Any] = again.json()
        return answer


@pytest.fixture
async def house(database_url: str, database: Database, tmp_path: Path) -> AsyncIterator[House]:
    async with faulty_wire(database_url) as wire, served(wire.url, tmp_path) as exchange:
        await quiet(exchange.exchange)
        yield House(exchange, wire, await join_all(exchange), database)


async def test_a_programme_is_made_once_and_asks_know_of_it(house: House) -> None:
    body = programme("lost", house.cast.provider.id)
    made = await house.send_twice(house.cast.issuer, "/v1/programmes", body)
    assert decode_id("prg", made["id"]) in house.served.exchange.programmes.programmes


async def test_a_version_with_another_budget_is_added_once(house: House) -> None:
    number = await house.settle()
    rules = {**programme("first", house.cast.provider.id)["rules"], "budget_fen": 20_000_000}
    path = f"/v1/programmes/{number}/versions"
    made = await house.send_twice(house.cast.issuer, path, {"rules": rules})
    assert made["version"] == 2
    known = house.served.exchange.programmes.programmes[decode_id("prg", number) or 0]
    assert [version.number for version in known.versions] == [1, 2]


async def test_a_voucher_is_issued_once(house: House) -> None:
    body = {"programme_id": await house.settle(), "buyer_id": house.cast.buyer.id, "amount_cny": "10.00"}
    made = await house.send_twice(house.cast.issuer, "/v1/vouchers", body)
    listed = await house.cast.buyer.get("/v1/vouchers")
    assert [each["id"] for each in listed["data"]] == [made["id"]]


async def test_an_application_is_made_and_granted_once(house: House) -> None:
    number = await house.settle(review={"auto_below_fen": 2_000})
    body = {"programme_id": number, "amount_cny": "10.00", "purpose": "训练"}
    made = await house.send_twice(house.cast.buyer, "/v1/applications", body)
    assert made["status"] == "approved"
    assert len((await house.cast.buyer.get("/v1/vouchers"))["data"]) == 1
