"""Goal: what is looked up among orders has its own index, however small the table was when it was planned.

Method: plans for any parameters, made while the table is nearly empty, as a new exchange's are.
"""

import re

import pytest

from exchange.feed.store import QUERIES as FEED
from exchange.kit.database import Database
from exchange.orders.store import QUERIES as ORDERS
from exchange.products.service import seed_catalogue
from exchange.settlement.store import QUERIES as SETTLEMENT
from tests.market_rows import insert_order, insert_participant

PRODUCT = "nvidia-h100-sxm.guian.ib-ndr400"


@pytest.mark.parametrize(
    "query, rows, index",
    [
        (ORDERS.known_outcomes, 10, "orders_participant_id_client_order_id_amendment_key"),
        (ORDERS.known_outcomes, 300, "orders_participant_id_client_order_id_amendment_key"),
        (ORDERS.live_orders, 300, "orders_live"),
        (ORDERS.live_among, 10, "orders_live"),
        (ORDERS.live_among, 300, "orders_live"),
        (FEED.live_orders_of_participant, 300, "orders_live"),
        (SETTLEMENT.own_asks, 300, "orders_asks"),
        (SETTLEMENT.sold_spans, 300, "orders_asks"),
        (SETTLEMENT.failed_hours, 300, "orders_asks"),
    ],
)
async def test_each_question_about_orders_has_its_index(
    database: Database, query: str, rows: int, index: str
) -> None:
    async with database.transaction() as connection:
        await seed_catalogue(connection)
        buyer = await insert_participant(connection, "buyer", "buyer")
        for _ in range(rows):
            await insert_order(connection, buyer, side="buy", product_id=PRODUCT, starts_hour=1, ends_hour=2)
        # A table of one page is read whole; it is the choice among the indexes that outlives it.
        await connection.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan"
        )
        await connection.execute(f"PREPARE asked AS {query}")
        parameters = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", query))))
        lines = await connection.fetch(f"EXPLAIN EXECUTE asked ({parameters})")
        await connection.execute("DEALLOCATE asked")
    used = re.findall(r"(?:using|Bitmap Index Scan on) (orders\w*)", "\n".join(line[0] for line in lines))
    assert used == [index]
    if query == ORDERS.known_outcomes:
        # Each pair by both its parts: a join would read all orders for every batch, and pass the test above.
        conditions = [line[0] for line in lines if "Index Cond" in line[0]]
        assert ["client_order_id = asked.client_order_id" in each for each in conditions] == [True]
