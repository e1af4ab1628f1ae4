"""Goal: a filter lets through exactly the trades it names, and paging visits each of them once.

Method: one random market in the real tables; Hypothesis draws query strings, page sizes and orders. What the
HTTP answer and the export give is compared with a plain Python filter over the same rows.
"""

from collections.abc import AsyncIterator, Callable
from decimal import Decimal

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.kit.auth import Scope
from exchange.kit.clock import ManualClock, format_rfc3339, parse_rfc3339
from exchange.kit.database import Database
from exchange.kit.fields import format_cny
from exchange.kit.ids import encode_id
from exchange.oversight.models import TradeRow
from exchange.products.models import ProductSpec
from exchange.products.service import load_products
from tests.market_rows import Market, TradeFacts, fill_market
from tests.oversight_client import OversightApp

STARTS_AT_US = 1_790_000_000_000_000
TRADES = 120
PAGES_MAX = 12
Test = Callable[[TradeFacts], bool]


class World:
    """The market, and a client with a regulator's key."""

    def __init__(self, market: Market, products: dict[str, ProductSpec], client: httpx.AsyncClient) -> None:
        self.market = market
        self.products = products
        self.client = client

    async def get(self, path: str, query: dict[str, str]) -> httpx.Response:
        """Ask, and expect an answer."""
        answer = await self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer


@pytest.fixture(scope="module")
async def world(module_database: Database) -> AsyncIterator[World]:
    async with module_database.transaction() as connection:
        market = await fill_market(connection, trades=TRADES, seed=7, starts_at_us=STARTS_AT_US)
        products = {each.id: each for each in await load_products(connection)}
    app = OversightApp(module_database, ManualClock(STARTS_AT_US))
    async with app.client(app.issue(1, Scope.AUDIT)) as client:
        yield World(market, products, client)


NAMES = (
    "traded_from",
    "traded_until",
    "product",
    "accelerator",
    "origin",
    "hub",
    "participant",
    "buyer",
    "provider",
    "trade_group",
    "region",
    "side",
    "price_min_cny_per_gpu_hour",
    "price_max_cny_per_gpu_hour",
    "programme",
    "voucher_funded",
)


def condition(world: World, name: str, example: TradeFacts) -> tuple[str, Test]:
    """Return a parameter's text, taken from an example trade, and what it means in plain Python."""
    market, products = world.market, world.products
    spec = products[example.product_id]
    group = market.groups[example.buyer_id] or market.trade_groups[0]
    programme = example.programme_id or market.programmes[0]
    at_us, ticks = example.traded_at_us, example.price_ticks
    conditions: dict[str, tuple[str, Test]] = {
        "traded_from": (format_rfc3339(at_us), lambda t: t.traded_at_us >= at_us),
        "traded_until": (format_rfc3339(at_us), lambda t: t.traded_at_us < at_us),
        "product": (spec.id, lambda t: t.product_id == spec.id),
        "accelerator": (
            spec.accelerator_id,
            lambda t: products[t.product_id].accelerator_id == spec.accelerator_id,
        ),
        "origin": (spec.origin, lambda t: products[t.product_id].origin == spec.origin),
        "hub": (spec.hub_code, lambda t: products[t.product_id].hub_code == spec.hub_code),
        "participant": (
            encode_id("par", example.provider_id),
            lambda t: example.provider_id in {t.buyer_id, t.provider_id},
        ),
        "buyer": (encode_id("par", example.buyer_id), lambda t: t.buyer_id == example.buyer_id),
        "provider": (encode_id("par", example.provider_id), lambda t: t.provider_id == example.provider_id),
        "trade_group": (
            encode_id("grp", group),
            lambda t: group in {market.groups[t.buyer_id], market.groups[t.provider_id]},
        ),
        "region": (
            market.regions[example.buyer_id],
            lambda t: (
                market.regions[example.buyer_id]
                in {market.regions[t.buyer_id], market.regions[t.provider_id]}
            ),
        ),
        "side": (example.aggressor, lambda t: t.aggressor == example.aggressor),
        "price_min_cny_per_gpu_hour": (format_cny(ticks), lambda t: t.price_ticks >= ticks),
        "price_max_cny_per_gpu_hour": (format_cny(ticks), lambda t: t.price_ticks <= ticks),
        "programme": (encode_id("prg", programme), lambda t: t.programme_id == programme),
        "voucher_funded": (
            "true" if example.voucher_fen else "false",
            lambda t: bool(t.voucher_fen) == bool(example.voucher_fen),
        ),
    }
    return conditions[name]


@settings(max_examples=60)
@given(data=st.data())
async def test_filters_and_pages_are_a_plain_filter_over_the_rows(world: World, data: st.DataObject) -> None:
    trades = world.market.trades
    names = data.draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    examples = data.draw(
        st.lists(st.sampled_from(trades), min_size=len(names), max_size=len(names)), label="examples"
    )
    order = data.draw(st.sampled_from(["newest_first", "oldest_first"]))
    conditions = {name: condition(world, name, each) for name, each in zip(names, examples, strict=True)}
    if contradicts(conditions):
        return
    query = {name: text for name, (text, _) in conditions.items()} | {"order": order, "reason": "a test"}
    wanted = [
        encode_id("trd", each.id)
        for each in sorted(
            (each for each in trades if all(test(each) for _, test in conditions.values())),
            key=lambda each: (each.traded_at_us, each.id),
            reverse=order == "newest_first",
        )
    ]
    # From one trade a page on, where that is no hundred requests.
    limit = data.draw(st.integers(1 + len(wanted) // PAGES_MAX, 60))
    exported = await world.get("/v1/oversight/trades/export", query | {"format": "ndjson"})
    lines = [msgspec.json.decode(line, type=TradeRow) for line in exported.content.splitlines()]
    assert [each.id for each in lines] == wanted
    paged: list[TradeRow] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await world.get("/v1/oversight/trades", query | {"limit": str(limit)} | cursor)
        page = answer.json()
        paged += msgspec.convert(page["data"], list[TradeRow])
        if page["next_cursor"] is None:
            break
        assert len(page["data"]) == limit
        cursor = {"cursor": page["next_cursor"]}
    assert paged == lines


def contradicts(conditions: dict[str, tuple[str, Test]]) -> bool:
    """Whether a range is empty, which the exchange refuses to answer."""
    texts = {name: text for name, (text, _) in conditions.items()}
    times = [parse_rfc3339(texts[name]) or 0 for name in ("traded_from", "traded_until") if name in texts]
    prices = [Decimal(texts[name]) for name in NAMES if name.startswith("price_") and name in texts]
    return (len(times) > 1 and times[0] >= times[1]) or (len(prices) > 1 and prices[0] > prices[1])
