"""Goal: a provider's list price is one history whoever asks, and the order path knows it at once.

Method: over HTTP on the real PostgreSQL, with orders and a restart; what the database itself refuses by SQL.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.kit.clock import format_rfc3339
from exchange.kit.database import CheckViolation, RefusedChange, constraint_name, from_us
from exchange.kit.fields import format_hour
from exchange.kit.ids import decode_id
from exchange.products.list_price_models import ListPrice
from exchange.products.list_prices import ListPrices
from exchange.products.rules import PRICE_TICKS_MAX
from tests.e2e.served import NOW_US, Caller, Served, pointers, problem, served
from tests.e2e.stage import PRODUCT, programme
from tests.market_world import sequencers

OTHER_PRODUCT = "nvidia-h100-sxm.guian.ib-ndr400"
PATH = f"/v1/products/{PRODUCT}/list-price"
MINUTE_US = 60_000_000


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database_url, tmp_path) as ready:
        yield ready


async def join_provider(house: Served) -> Caller:
    return await house.join("provider", ["read", "list_capacity"], region="hebei", ownership="state")


async def join_buyer(house: Served) -> Caller:
    facts = {"region": "beijing", "size_class": "micro", "founded_on": "2024-05-01"}
    return await house.join("buyer", ["read", "trade"], **facts)


async def put(caller: Caller, price: str, path: str = PATH) -> dict[str, Any]:
    answer = await caller.send("PUT", path, json={"price_cny_per_gpu_hour": price})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def known(house: Served, caller: Caller, product: str = PRODUCT) -> int | None:
    return house.exchange.list_prices.of(decode_id("par", caller.id) or 0, product)


def order(house: Served, side: str, client_order_id: str, **fields: object) -> dict[str, object]:
    first = house.clock.hour() + 1
    return {
        "client_order_id": client_order_id,
        "product": PRODUCT,
        "side": side,
        "quantity_gpus": 1,
        "starts_at": format_hour(first),
        "ends_at": format_hour(first + 2),
        "price_cny_per_gpu_hour": "4.00",
        **fields,
    }


async def test_a_provider_publishes_and_everyone_with_a_key_reads(house: Served) -> None:
    first, second = [await join_provider(house) for _ in range(2)]
    buyer, issuer = await join_buyer(house), await house.join("issuer", ["issue"])
    assert known(house, first) is None
    listed = await put(first, "5.00")
    assert listed == {
        "product": PRODUCT,
        "provider_id": first.id,
        "number": 1,
        "price_cny_per_gpu_hour": "5.00",
        "listed_at": format_rfc3339(NOW_US),
    }
    assert known(house, first) == 500
    house.clock.advance_to_us(NOW_US + MINUTE_US)
    assert await put(first, "5.0") == listed  # the same price again adds nothing
    assert (await put(first, "6"))["number"] == 2
    house.clock.advance_to_us(NOW_US + 2 * MINUTE_US)
    back = await put(first, "5.00")
    assert (back["number"], back["listed_at"]) == (3, format_rfc3339(NOW_US + 2 * MINUTE_US))
    theirs = await put(second, "4.50")
    await put(first, "30", f"/v1/products/{OTHER_PRODUCT}/list-price")
    assert (known(house, first), known(house, second)) == (500, 450)
    assert known(house, first, OTHER_PRODUCT) == 3_000
    for reader in (buyer, issuer, house.operator, second):
        assert (await reader.get(f"{PATH}s"))["data"] == [back, theirs]
    history = (await buyer.get(f"{PATH}s/history", provider_id=first.id))["data"]
    assert [(each["number"], each["price_cny_per_gpu_hour"]) for each in history] == [
        (3, "5.00"),
        (2, "6.00"),
        (1, "5.00"),
    ]
    assert (await buyer.get(f"{PATH}s/history", provider_id=buyer.id))["data"] == []


async def test_every_change_is_on_the_record(house: Served) -> None:
    provider = await join_provider(house)
    for price in ("5.00", "5.00", "6.00"):
        await put(provider, price)
    async with house.exchange.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT participant_id, product_id, key_id, detail::text FROM audit_record"
            " WHERE code = 'LPRC' ORDER BY id"
        )
    assert [msgspec.json.decode(row["detail"]) for row in rows] == [
        {"number": 1, "price_ticks": 500},
        {"number": 2, "price_ticks": 600},
    ]
    assert {row["participant_id"] for row in rows} == {decode_id("par", provider.id)}
    assert {row["product_id"] for row in rows} == {PRODUCT}
    assert all(row["key_id"] for row in rows)


async def test_pages_walk_both_lists_to_their_ends(house: Served) -> None:
    providers = [await join_provider(house) for _ in range(3)]
    for price in ("1.00", "2.00"):  # all at one venue time: what orders them is who and which number
        for provider in providers:
            await put(provider, price)

    async def walk(path: str) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await house.operator.get(path, limit=1, **cursor)
            found += [(each["provider_id"], each["number"]) for each in page["data"]]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    ids = sorted(each.id for each in providers)
    assert await walk(f"{PATH}s") == [(each, 2) for each in ids]
    assert await walk(f"{PATH}s/history") == [(each, number) for each in reversed(ids) for number in (2, 1)]


async def test_who_may_not_and_what_cannot_be_is_refused_and_nothing_stored(house: Served) -> None:
    provider, buyer = await join_provider(house), await join_buyer(house)
    body = {"price_cny_per_gpu_hour": "5.00"}
    before = await house.rows()
    problem(await house.operator.send("PUT", PATH, json=body), 403, "wrong_role")
    problem(await buyer.send("PUT", PATH, json=body), 403, "forbidden")
    for product in ("no-such.product.here", "x"):
        nowhere = f"/v1/products/{product}/list-price"
        problem(await provider.send("PUT", nowhere, json=body), 404, "not_found")
        for path in (f"{nowhere}s", f"{nowhere}s/history"):
            problem(await provider.send("GET", path), 404, "not_found")
    for text in ("0", "0.00", "-1", "1.234", "10000000.01"):
        wrong = await provider.send("PUT", PATH, json={"price_cny_per_gpu_hour": text, "extra": 1})
        assert pointers(problem(wrong, 422)) == {"/price_cny_per_gpu_hour", "/extra"}, text
    assert await house.rows() == before
    assert (await put(provider, "10000000.00"))["price_cny_per_gpu_hour"] == "10000000.00"
    assert known(house, provider) == PRICE_TICKS_MAX


async def test_prices_sent_at_once_get_numbers_without_a_gap(house: Served) -> None:
    provider = await join_provider(house)
    prices = [f"{fen}.00" for fen in range(1, 21)]
    answers = await asyncio.gather(*(put(provider, price) for price in (*prices, *prices)))
    history = (await provider.get(f"{PATH}s/history", provider_id=provider.id, limit=1000))["data"]
    assert [each["number"] for each in history] == list(range(len(history), 0, -1))
    assert 20 <= len(history) <= 40
    stored = {each["number"]: each for each in history}
    assert all(stored[answer["number"]] == answer for answer in answers)
    newest = history[0]["price_cny_per_gpu_hour"]
    assert known(house, provider) == int(newest.replace(".", ""))


async def test_the_same_price_sent_at_once_is_published_once(house: Served) -> None:
    provider = await join_provider(house)
    answers = await asyncio.gather(*(put(provider, "7.00") for _ in range(20)))
    assert {answer["number"] for answer in answers} == {1}
    assert len((await provider.get(f"{PATH}s/history"))["data"]) == 1


async def test_the_database_keeps_the_history_whole(house: Served) -> None:
    provider, buyer = await join_provider(house), await join_buyer(house)
    await put(provider, "5.00")
    ours, theirs = decode_id("par", provider.id), decode_id("par", buyer.id)
    insert = "INSERT INTO list_price VALUES ($1, $2, $3, $4, $5)"
    for owner, number, ticks, at_us in (
        (ours, 3, 600, NOW_US),  # a gap
        (ours, 1, 600, NOW_US),  # a number that is taken
        (ours, 2, 500, NOW_US),  # the price that stands already
        (ours, 2, 600, NOW_US - 1),  # before the one before it
        (theirs, 1, 600, NOW_US),  # no provider
    ):
        with pytest.raises(CheckViolation) as caught:
            async with house.exchange.database.transaction() as connection:
                await connection.execute(insert, owner, PRODUCT, number, ticks, from_us(at_us))
        assert constraint_name(caught.value) == "list_price_follows"
    for ticks in (0, PRICE_TICKS_MAX + 1):
        with pytest.raises(CheckViolation) as caught:
            async with house.exchange.database.transaction() as connection:
                await connection.execute(insert, ours, PRODUCT, 2, ticks, from_us(NOW_US))
        assert constraint_name(caught.value) == "list_price_price_ticks_check"
    for statement in (
        "UPDATE list_price SET price_ticks = 1",
        "DELETE FROM list_price",
        "TRUNCATE list_price",
    ):
        with pytest.raises(RefusedChange):
            async with house.exchange.database.transaction() as connection:
                await connection.execute(statement)
    async with house.exchange.database.transaction() as connection:
        await connection.execute(insert, ours, PRODUCT, 2, 600, from_us(NOW_US))


def price_of(number: int, price_ticks: int) -> ListPrice:
    return ListPrice(
        provider_id=1, product_id=PRODUCT, number=number, price_ticks=price_ticks, listed_at_us=0
    )


def test_an_older_price_told_late_changes_nothing() -> None:
    prices = ListPrices()
    prices.learn([price_of(2, 600), price_of(1, 500)])
    assert prices.of(1, PRODUCT) == 600
    prices.learn([price_of(1, 500)])
    assert (prices.of(1, PRODUCT), prices.of(1, OTHER_PRODUCT), prices.of(2, PRODUCT)) == (600, None, None)
    prices.learn([price_of(3, 400)])
    assert prices.of(1, PRODUCT) == 400


async def test_an_ask_keeps_the_list_price_it_was_placed_with_also_after_a_restart(
    database_url: str, tmp_path: Path
) -> None:
    async with served(database_url, tmp_path) as house:
        provider = await join_provider(house)
        unlisted = await provider.post("/v1/orders", order(house, "sell", "before"))
        assert "list_price_cny_per_gpu_hour" not in unlisted
        await put(provider, "5.00")
        sent = order(house, "sell", "with")
        ask = await provider.post("/v1/orders", sent)
        assert ask["list_price_cny_per_gpu_hour"] == "5.00"
        await put(provider, "6.00")
        again = await provider.send("POST", "/v1/orders", json=sent)
        assert again.headers["idempotent-replayed"] == "true"  # another list price makes it no other order
        assert again.json() == ask
        now_us = house.clock.now_us()
    async with served(database_url, tmp_path, now_us) as house:
        provider = msgspec.structs.replace(provider, http=house.http)
        assert await provider.get(f"/v1/orders/{ask['id']}") == ask
        live = {
            each.client_order_id: each
            for sequencer in sequencers(house.exchange).values()
            for each in sequencer._led().live.values()
        }
        assert (live["with"].terms.list_price_ticks, live["before"].terms.list_price_ticks) == (500, None)
        assert known(house, provider) == 600
        latest = await provider.post("/v1/orders", order(house, "sell", "after"))
        assert latest["list_price_cny_per_gpu_hour"] == "6.00"
        cancelled = await provider.send("DELETE", f"/v1/orders/{ask['id']}")
        assert cancelled.json()["list_price_cny_per_gpu_hour"] == "5.00"


async def test_a_programme_capped_by_list_price_pays_only_who_has_published_one(house: Served) -> None:
    provider, buyer = await join_provider(house), await join_buyer(house)
    issuer = await house.join("issuer", ["read", "issue"])
    await house.operator.post("/v1/deposits", {"participant_id": buyer.id, "amount_cny": "1000.00"})
    posted = programme("listed", provider.id)
    posted["rules"] |= {"price_cap": "list", "price_cap_above_bps": 500}
    made = await issuer.post("/v1/programmes", posted)
    assert (made["rules"]["price_cap"], made["rules"]["price_cap_above_bps"]) == ("list", 500)
    voucher = {"programme_id": made["id"], "buyer_id": buyer.id, "amount_cny": "500.00"}
    await issuer.post("/v1/vouchers", voucher)

    async def paid(name: str) -> str:
        """Trade two hours at 4.00 with the asks that rest, and return what vouchers paid of them."""
        bid = await buyer.post(
            "/v1/orders", order(house, "buy", name, vouchers="auto", voucher_policy="prefer")
        )
        assert bid["status"] == "filled"
        shares: str = bid["fills"][0]["voucher_cny"]
        return shares

    await provider.post("/v1/orders", order(house, "sell", "unlisted"))
    assert await paid("of-unlisted") == "0.00"
    await put(provider, "5.00")
    await provider.post("/v1/orders", order(house, "sell", "listed"))
    assert await paid("of-listed") == "4.00"  # half of 8.00: the list price is above the trade's
