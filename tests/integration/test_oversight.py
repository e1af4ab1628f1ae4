"""Goal: a regulator, and only a regulator, reads every trade, whole and in order, and leaves a trace.

Method: a market put into the real tables, read through the application. That filters and pages are right is
the property test's; here are the doors, the record of questions, the files, and the plans.
"""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Scope
from exchange.kit.clock import ManualClock, format_rfc3339
from exchange.kit.csv_file import safe_cell
from exchange.kit.database import Database
from exchange.kit.errors import Unavailable
from exchange.kit.ids import ID_MAX, encode_id, new_id
from exchange.oversight.export import FileForm
from exchange.oversight.listing import TRADES as LISTING
from exchange.oversight.models import ExportFormat, RowOrder, TradeFilter, TradeRow
from exchange.oversight.service import CHUNK_ROWS, EXPORTS_AT_ONCE, Export, OversightService
from tests.market_rows import Market, TradeFacts, fill_market, insert_trade
from tests.oversight_client import OversightApp

STARTS_AT_US = 1_790_000_000_000_000
REGULATOR_ID = 1
NASTY = ('=HYPERLINK("http://x","y")', "+1", '上海, "算力"\r\nLtd', "@buyer")
TRADES = "/v1/oversight/trades"
WHY = {"reason": "case 7"}


@pytest.fixture
async def market(database: Database) -> Market:
    async with database.transaction() as connection:
        return await fill_market(connection, trades=30, seed=3, starts_at_us=STARTS_AT_US, names=NASTY)


@pytest.fixture
def app(database: Database) -> OversightApp:
    return OversightApp(database, ManualClock(STARTS_AT_US))


@pytest.fixture
async def regulator(app: OversightApp) -> AsyncIterator[httpx.AsyncClient]:
    async with app.client(app.issue(REGULATOR_ID, Scope.AUDIT)) as client:
        yield client


def later(market: Market, by_us: int) -> TradeFacts:
    """Return one more trade, of the same orders as the last one."""
    last = market.trades[-1]
    return msgspec.structs.replace(
        last, id=new_id(), sequence=last.sequence + 1, traded_at_us=last.traded_at_us + by_us
    )


async def test_a_row_says_everything_about_a_trade(
    database: Database, market: Market, regulator: httpx.AsyncClient
) -> None:
    trade = next(each for each in market.trades if each.voucher_fen and market.groups[each.buyer_id])
    answer = await regulator.get(TRADES, params={"traded_from": format_rfc3339(trade.traded_at_us)})
    row = next(each for each in answer.json()["data"] if each["id"] == encode_id("trd", trade.id))
    group_id = market.groups[trade.buyer_id] or 0
    provider_group_id = market.groups[trade.provider_id]
    async with database.connection() as connection:
        product = await connection.fetchrow(
            "SELECT * FROM product JOIN cluster ON cluster.code = cluster_code"
            " JOIN accelerator ON accelerator.id = accelerator_id WHERE product.id = $1",
            trade.product_id,
        )
        parties = await connection.fetch(
            "SELECT id, name FROM participant UNION ALL SELECT id, name FROM trade_group"
        )
    names = {party["id"]: party["name"] for party in parties}
    assert product is not None
    hours = trade.ends_hour - trade.starts_hour
    assert row == {
        "id": encode_id("trd", trade.id),
        "venue": "compute-exchange",
        "partition": 1,
        "sequence": trade.sequence,
        "traded_at": format_rfc3339(trade.traded_at_us),
        "product": trade.product_id,
        "accelerator": product["accelerator_id"],
        "origin": product["origin"],
        "hub": product["hub_code"],
        "cluster": product["cluster_code"],
        "interconnect": product["interconnect_code"],
        "starts_at": format_rfc3339(trade.starts_hour * 3_600_000_000),
        "ends_at": format_rfc3339(trade.ends_hour * 3_600_000_000),
        "hours": hours,
        "quantity_gpus": trade.quantity_gpus,
        "gpu_hours": trade.quantity_gpus * hours,
        "price_cny_per_gpu_hour": f"{trade.price_ticks / 100:.2f}",
        "notional_cny": f"{trade.notional_fen / 100:.2f}",
        "voucher_cny": f"{trade.voucher_fen / 100:.2f}",
        "reimbursable_cny": "0.00",
        "programme_ids": [encode_id("prg", trade.programme_id or 0)],
        "programmes": [f"programme-{market.programmes.index(trade.programme_id or 0)}"],
        "fee_bps": 50,
        "aggressor": trade.aggressor,
        "bid_order_id": encode_id("ord", trade.bid_order_id),
        "bid_client_order_id": encode_id("ord", trade.bid_order_id),
        "ask_order_id": encode_id("ord", trade.ask_order_id),
        "ask_client_order_id": encode_id("ord", trade.ask_order_id),
        "buyer_id": encode_id("par", trade.buyer_id),
        "buyer_name": names[trade.buyer_id],
        "buyer_size_class": "small",
        "buyer_region": market.regions[trade.buyer_id],
        "buyer_trade_group_id": encode_id("grp", group_id),
        "buyer_trade_group_name": names[group_id],
        "provider_id": encode_id("par", trade.provider_id),
        "provider_name": names[trade.provider_id],
        "provider_ownership": "state",
        "provider_region": market.regions[trade.provider_id],
        "provider_trade_group_id": provider_group_id and encode_id("grp", provider_group_id),
        "provider_trade_group_name": provider_group_id and names[provider_group_id],
    }


@pytest.mark.parametrize(
    "path",
    [
        *(TRADES, f"{TRADES}/export", "/v1/oversight/events", "/v1/oversight/events/export"),
        *("/v1/oversight/orders/ord_0000000000001", "/v1/oversight/vouchers/vch_0000000000001"),
    ],
)
async def test_only_a_key_with_the_scope_audit_opens(
    database: Database, app: OversightApp, path: str
) -> None:
    async with app.client(None) as nobody:
        assert (await nobody.get(path)).status_code == 401
    every_other = [scope for scope in Scope if scope is not Scope.AUDIT]
    async with app.client(app.issue(REGULATOR_ID, *every_other)) as trader:
        answer = await trader.get(path)
    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM audit_record") == 0


@pytest.mark.parametrize("path", [TRADES, f"{TRADES}/export"])
async def test_everything_wrong_with_a_query_is_said_at_once(
    market: Market, regulator: httpx.AsyncClient, path: str
) -> None:
    assert market.trades
    answer = await regulator.get(
        path,
        params={
            "traded_from": "2026-02-30T00:00:00Z",
            "traded_until": "yesterday",
            "product": "no.such.product",
            "origin": "martian",
            "hub": "atlantis",
            "participant": encode_id("par", 5),
            "trade_group": "grp_1",
            "side": "both",
            "price_min_cny_per_gpu_hour": "0",
            "price_max_cny_per_gpu_hour": "1.234",
            "voucher_funded": "maybe",
            "colour": "red",
            **WHY,
        },
    )
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_query"
    assert {fault["pointer"]: fault["code"] for fault in answer.json()["errors"]} == {
        "?traded_from": "bad_time",
        "?traded_until": "pattern",
        "?product": "unknown_reference",
        "?origin": "not_one_of",
        "?hub": "unknown_reference",
        "?participant": "unknown_reference",
        "?trade_group": "bad_id",
        "?side": "not_one_of",
        "?price_min_cny_per_gpu_hour": "not_positive",
        "?price_max_cny_per_gpu_hour": "pattern",
        "?voucher_funded": "wrong_type",
        "?colour": "unknown_field",
    }


@pytest.mark.parametrize(
    "low,high,values",
    [
        ("traded_from", "traded_until", ("2026-03-01T00:00:00Z", "2026-03-01T00:00:00Z")),
        ("price_min_cny_per_gpu_hour", "price_max_cny_per_gpu_hour", ("2", "1.99")),
    ],
)
async def test_an_empty_range_is_a_fault(
    regulator: httpx.AsyncClient, low: str, high: str, values: tuple[str, str]
) -> None:
    answer = await regulator.get(TRADES, params=dict(zip((low, high), values, strict=True)))
    assert [fault["pointer"] for fault in answer.json()["errors"]] == [f"?{high}"]


async def test_every_question_is_recorded_with_who_asked_what_and_why_and_what_was_answered(
    database: Database, market: Market, app: OversightApp
) -> None:
    key = app.issue(REGULATOR_ID, Scope.AUDIT)
    order_id = encode_id("ord", market.trades[0].bid_order_id)
    async with app.client(key) as client:
        await client.get(TRADES, params={"side": "buy", "limit": "5"})
        exported = await client.get(
            f"{TRADES}/export", params={"format": "ndjson", "voucher_funded": "true"} | WHY
        )
        await client.get(f"/v1/oversight/orders/{order_id}", params=WHY)
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT * FROM audit_record ORDER BY id")
    assert {(row["actor_participant_id"], row["key_id"]) for row in rows} == {(REGULATOR_ID, key.key_id)}
    assert [json.loads(row["detail"]) for row in rows if row["code"] == "QURY"] == [
        {"query": "trades", "side": "buy", "limit": 5, "order": "newest_first"},
        {
            "query": "trades/export",
            "format": "ndjson",
            "voucher_funded": True,
            "order": "oldest_first",
            "zip": False,
            **WHY,
        },
        {"query": "orders", "order_id": order_id, **WHY},
    ]
    funded = len(exported.text.splitlines())
    assert [json.loads(row["detail"])["rows"] for row in rows if row["code"] == "QURA"] == [5, funded, 1]
    operator = app.issue(REGULATOR_ID + 1, Scope.OPERATE)
    async with app.client(operator) as client:
        told = (await client.get("/v1/oversight/questions", params={"limit": "2"})).json()
        rest = (await client.get("/v1/oversight/questions", params={"cursor": told["next_cursor"]})).json()
    assert [
        (each["query"], each["reason"], each["rows"], each["is_whole"])
        for each in told["data"] + rest["data"]
    ] == [("orders", "case 7", 1, True), ("trades/export", "case 7", funded, True), ("trades", None, 5, True)]


@pytest.mark.parametrize(
    "path,query",
    [
        (TRADES, {"participant": "par_0000000000001"}),
        (TRADES, {"buyer": "par_0000000000001"}),
        (TRADES, {"trade_group": "grp_0000000000001"}),
        (f"{TRADES}/export", {}),
        ("/v1/oversight/events", {"participant": "par_0000000000001"}),
        ("/v1/oversight/events/export", {}),
        ("/v1/oversight/orders/ord_0000000000001", {}),
        ("/v1/oversight/trades/trd_0000000000001", {}),
        ("/v1/oversight/vouchers/vch_0000000000001", {}),
    ],
)
async def test_who_asks_about_somebody_says_why(
    regulator: httpx.AsyncClient, path: str, query: dict[str, str]
) -> None:
    for reason in ({}, {"reason": " \u200b"}):
        answer = await regulator.get(path, params=query | reason)
        assert answer.status_code == 422
        assert {"?reason": "required"}.items() <= {
            fault["pointer"]: fault["code"] for fault in answer.json()["errors"]
        }.items()


async def test_an_export_knows_how_far_it_was_read(
    database: Database, market: Market, app: OversightApp
) -> None:
    async with database.transaction() as connection:
        for number in range(CHUNK_ROWS):
            await insert_trade(connection, later(market, by_us=number + 1))
    form = FileForm("trades", ExportFormat.NDJSON, is_zipped=False)
    export = await app.service.export(LISTING, TradeFilter(), RowOrder.NEWEST_FIRST, form)
    await anext(export.chunks)
    await export.chunks.aclose()
    assert (export.rows, export.total) == (CHUNK_ROWS, CHUNK_ROWS + len(market.trades))
    assert not export.is_whole


@pytest.mark.parametrize("order", ["newest_first", "oldest_first"])
async def test_pages_are_stable_while_trades_are_added(
    database: Database, market: Market, regulator: httpx.AsyncClient, order: str
) -> None:
    old = [encode_id("trd", each.id) for each in market.trades]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    added = 0
    while True:
        page = (await regulator.get(TRADES, params={"order": order, "limit": "7"} | cursor)).json()
        seen += [row["id"] for row in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
        if added < 3:
            added += 1
            async with database.transaction() as connection:
                await insert_trade(connection, later(market, by_us=added))
    assert len(seen) == len(set(seen))
    if order == "newest_first":
        assert seen == old[::-1]
    else:
        assert seen[: len(old)] == old
        assert len(seen) == len(old) + added


async def test_a_cursor_of_another_order_is_refused(market: Market, regulator: httpx.AsyncClient) -> None:
    assert market.trades
    page = (await regulator.get(TRADES, params={"limit": "1"})).json()
    query = {"order": "oldest_first", "cursor": page["next_cursor"]}
    answer = await regulator.get(TRADES, params=query)
    assert [fault["pointer"] for fault in answer.json()["errors"]] == ["?cursor"]


async def test_a_csv_export_is_well_formed_and_harmless(market: Market, regulator: httpx.AsyncClient) -> None:
    answer = await regulator.get(f"{TRADES}/export", params=WHY)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["export-rows"] == str(len(market.trades))
    assert answer.headers["content-disposition"] == 'attachment; filename="trades.csv"'
    header, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert tuple(header) == TradeRow.__struct_fields__
    assert [row[0] for row in rows] == [encode_id("trd", each.id) for each in market.trades]
    names = {row[header.index("buyer_name")] for row in rows}
    assert names == {f"'{NASTY[0]}", "'+1", NASTY[2], "'@buyer"}
    listed = (await regulator.get(TRADES, params={"order": "oldest_first"})).json()["data"]
    assert [
        {name: "" if value is None else str(safe_cell(value)) for name, value in each.items()}
        for each in listed
    ] == [dict(zip(header, row, strict=True)) for row in rows]


async def test_an_export_is_of_one_moment_and_comes_in_chunks(
    database: Database, market: Market, app: OversightApp
) -> None:
    async with database.transaction() as connection:
        for number in range(CHUNK_ROWS):
            await insert_trade(connection, later(market, by_us=number + 1))
    form = FileForm("trades", ExportFormat.NDJSON, is_zipped=False)
    export = await app.service.export(LISTING, TradeFilter(), RowOrder.NEWEST_FIRST, form)
    first = await anext(export.chunks)
    async with database.transaction() as connection:
        await insert_trade(connection, later(market, by_us=10**9))
    rest = [chunk async for chunk in export.chunks]
    assert (export.rows, export.is_whole) == (export.total, True)
    assert len(first.splitlines()) == CHUNK_ROWS
    assert sum(len(chunk.splitlines()) for chunk in rest) == len(market.trades)


async def test_exports_have_a_limit_and_one_broken_off_makes_room(database: Database, market: Market) -> None:
    assert market.trades
    service = OversightService(reads=database)

    async def export() -> Export:
        form = FileForm("trades", ExportFormat.CSV, is_zipped=False)
        return await service.export(LISTING, TradeFilter(), RowOrder.NEWEST_FIRST, form)

    asked = await asyncio.gather(*(export() for _ in range(EXPORTS_AT_ONCE + 1)), return_exceptions=True)
    running = [each for each in asked if not isinstance(each, BaseException)]
    refused = [each for each in asked if isinstance(each, Unavailable)]
    assert (len(running), len(refused)) == (EXPORTS_AT_ONCE, 1)
    assert refused[0].retryable
    await running[0].chunks.aclose()
    rest = [chunk async for chunk in (await export()).chunks]
    assert len(rest) == 2
    for each in running[1:]:
        assert [chunk async for chunk in each.chunks]


async def test_the_life_of_an_order_is_told_step_by_step(
    database: Database, market: Market, regulator: httpx.AsyncClient
) -> None:
    trade, beside = market.trades[4], {"replaces_order_id": ID_MAX}
    steps = [
        AuditRecord(
            code=code,
            event_at_us=trade.traded_at_us + index,
            partition_id=1,
            sequence=trade.sequence,
            event_index=index,
            actor_participant_id=trade.buyer_id,
            key_id=9,
            participant_id=trade.buyer_id,
            order_id=trade.bid_order_id,
            trade_id=trade.id if code == "FILL" else None,
            detail={"price_ticks": trade.price_ticks, **({} if code == "FILL" else beside)},
        )
        for index, code in enumerate(["NEWO", "FILL"])
    ]
    async with database.transaction() as connection:
        await insert_audit_records(connection, steps)
    path = f"/v1/oversight/orders/{encode_id('ord', trade.bid_order_id)}"
    life = (await regulator.get(path, params=WHY)).json()
    assert life["order"]["id"] == encode_id("ord", trade.bid_order_id)
    assert life["order"]["participant_id"] == encode_id("par", trade.buyer_id)
    assert [step["code"] for step in life["steps"]] == ["NEWO", "FILL"]
    assert life["steps"][1]["trade_id"] == encode_id("trd", trade.id)
    assert [step["other_order_id"] for step in life["steps"]] == [encode_id("ord", ID_MAX), None]
    assert life["steps"][1]["detail"] == {"price_ticks": trade.price_ticks}
    assert [each["id"] for each in life["trades"]] == [encode_id("trd", trade.id)]


@pytest.mark.parametrize("order_id", ["ord_0000000000001", "ord_1", "trd_0000000000001"])
async def test_an_unknown_order_is_not_found(regulator: httpx.AsyncClient, order_id: str) -> None:
    assert (await regulator.get(f"/v1/oversight/orders/{order_id}", params=WHY)).status_code == 404
