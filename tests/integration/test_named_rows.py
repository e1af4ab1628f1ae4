"""Goal: no row on an order's way names another that is not there, or is not what it should be.

No foreign key says so, but a trigger once a statement: each rule is broken past the service, as the tables'
owner, by one row among good ones. What is named can neither go nor change its id.
"""

from pathlib import Path

import pytest

from exchange.kit.database import Database, ForeignKeyViolation, RefusedChange, constraint_name
from tests.market_world import open_market

COPIES = {
    "orders": (
        "id, partition_id, participant_id, key_id, client_order_id, fingerprint, product_id, side,"
        " quantity_gpus, starts_hour, ends_hour, hours, price_ticks, terms, status, created_at, updated_at"
    ),
    "order_hold": "order_id, voucher_id, position, source_account_id, escrow_account_id, placed_fen",
    "trade": (
        "id, partition_id, sequence, product_id, bid_order_id, ask_order_id, buyer_id, provider_id,"
        " aggressor, quantity_gpus, starts_hour, ends_hour, price_ticks, notional_fen, voucher_fen,"
        " reimbursable_fen, programme_ids, fee_bps, traded_at"
    ),
    "lease": (
        "id, partition_id, product_id, ask_order_id, buyer_id, provider_id, quantity_gpus, starts_hour,"
        " ends_hour, price_ticks, fee_bps, next_settlement_hour, created_at"
    ),
    "lease_funding": "lease_id, voucher_id, source_account_id, escrow_account_id, committed_fen",
}
BID = "(SELECT min(id) FROM orders WHERE side = 'buy')"
ASK = "(SELECT min(id) FROM orders WHERE side = 'sell')"


@pytest.fixture(scope="module")
async def traded(
    module_database_url: str, module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> Database:
    """Give a market with two asks of two products, and a bid that bought of one."""
    async with open_market(module_database_url, Path(tmp_path_factory.mktemp("named"))) as world:
        provider, buyer = await world.traders(1_000_000)
        product = world.product()
        await world.ask(provider, product, price=1_000, quantity_gpus=8)
        await world.bid(buyer, product, price=1_000)
        other = next(each for each in sorted(world.exchange.products) if each != product)
        await world.ask(provider, other, window=(0, 4))
    return module_database


def copied(table: str, *changes: dict[str, str]) -> str:
    """Return what copies the table's first row once for each of some changes, in one statement."""
    columns = COPIES[table].split(", ")
    rows = [
        f"SELECT {', '.join(change.get(name, name) for name in columns)} FROM (SELECT * FROM {table} LIMIT 1)"  # noqa: S608 - our own
        for change in changes
    ]
    return f"INSERT INTO {table} ({COPIES[table]}) {' UNION ALL '.join(rows)}"


def fresh(number: int) -> dict[str, str]:
    """Return what makes a copy another row: other ids, which none of the rows has."""
    return {"id": str(number), "voucher_id": str(number), "client_order_id": f"'copy-{number}'"}


@pytest.mark.parametrize(
    "table, change, rule",
    [
        ("orders", {"participant_id": "99"}, "orders_of_known"),
        ("orders", {"product_id": "'no-such.product.here'"}, "orders_of_known"),
        ("order_hold", {"order_id": "99"}, "order_hold_of_bid"),
        ("order_hold", {"order_id": ASK}, "order_hold_of_bid"),
        ("trade", {"bid_order_id": "99"}, "trade_of_its_orders"),
        ("trade", {"ask_order_id": "99"}, "trade_of_its_orders"),
        ("trade", {"bid_order_id": ASK}, "trade_of_its_orders"),
        ("trade", {"ask_order_id": BID}, "trade_of_its_orders"),
        ("trade", {"buyer_id": "provider_id"}, "trade_of_its_orders"),
        ("trade", {"provider_id": "buyer_id"}, "trade_of_its_orders"),
        (
            "trade",
            {"ask_order_id": "(SELECT max(id) FROM orders WHERE side = 'sell')"},
            "trade_of_its_orders",
        ),
        ("lease", {}, "lease_of_its_trade"),
        ("lease_funding", {"lease_id": "99"}, "lease_funding_of_lease"),
    ],
)
async def test_a_row_that_names_what_is_not_there_is_refused_with_its_statement(
    traded: Database, table: str, change: dict[str, str], rule: str
) -> None:
    last = "ends_hour - 1"
    good = {"starts_hour": last, "next_settlement_hour": last} if table == "lease" else {}
    with pytest.raises(ForeignKeyViolation) as caught:
        async with traded.transaction() as connection:
            if table == "lease":
                await connection.execute(copied("trade", fresh(7)))
            await connection.execute(copied(table, fresh(7) | good, fresh(8) | good | change))
    assert constraint_name(caught.value) == rule
    async with traded.transaction() as connection:
        for each in ("trade", table) if table == "lease" else (table,):
            await connection.execute(copied(each, fresh(7)))
        await connection.execute("ROLLBACK AND CHAIN")


@pytest.mark.parametrize("table", ["participant", "product", "orders", "trade", "lease"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {} CASCADE", "UPDATE {} SET id = id"])
async def test_what_is_named_neither_goes_nor_changes_its_id(
    traded: Database, table: str, statement: str
) -> None:
    with pytest.raises(RefusedChange, match=r"keeps its id|insert-only"):
        async with traded.transaction() as connection:
            await connection.execute(statement.format(table))


@pytest.mark.parametrize("column", ["participant_id", "product_id", "side"])
async def test_an_order_stays_its_owners_and_on_its_side(traded: Database, column: str) -> None:
    with pytest.raises(RefusedChange, match="keeps its id"):
        async with traded.transaction() as connection:
            await connection.execute(f"UPDATE orders SET {column} = {column}")  # noqa: S608 - our own
