"""Goal: each report says what its definition says of a market that is known to the fen, and its doors hold.

Method: a small market on the whole exchange: vouchers that pay, stack, are refused, revoked and claimed, a
domestic and a foreign product, an outage, an idle ask. Every report is read over the service and compared
with figures worked out by hand; then sums are falsified, found, and put right again.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exchange.kit.auth import Principal
from exchange.kit.clock import datetime_of
from exchange.kit.errors import Faults, InvalidInput, Refusal
from exchange.kit.ids import decode_id, encode_id
from exchange.oversight.report_definitions import KINDS
from exchange.oversight.report_models import Period, ReportName, ReportQuery, Span
from exchange.oversight.reports import Reports, as_csv
from exchange.oversight.summaries import recompute
from exchange.participants.models import ParticipantKind, SizeClass
from exchange.settlement.leases import page_of_leases, report_outage
from exchange.settlement.models import NewOutage
from exchange.vouchers.life import step_voucher
from exchange.vouchers.models import VoucherStatus
from matching.order import Side
from tests.market_world import MarketWorld, open_market
from tests.property.test_summaries import check, follow


@pytest.fixture(scope="module")
async def world(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[MarketWorld]:
    async with open_market(module_database_url, Path(tmp_path_factory.mktemp("market"))) as opened:
        yield opened


class Known(dict[str, Any]):
    """The market's own words: ids and names."""


@pytest.fixture(scope="module")
async def known(world: MarketWorld) -> Known:
    """Trade, deliver, fail, refuse and revoke."""
    provider = await world.join(ParticipantKind.PROVIDER, region="guizhou")
    issuer = await world.join(ParticipantKind.ISSUER)
    micro = await world.join(ParticipantKind.BUYER, region="ningxia", size_class=SizeClass.MICRO)
    large = await world.join(ParticipantKind.BUYER, region="atlantis", size_class=SizeClass.LARGE)
    for buyer in (micro, large):
        await world.deposit(buyer, 10**8)
    programme = await world.programme(issuer, provider)
    voucher = await world.issue(issuer, programme, micro, 10_000)
    revoked = await world.issue(issuer, programme, large, 700)
    foreign, domestic = world.product(), world.product(domestic=True, lot_gpus=8)
    price, dear = (world.exchange.products[each].reference_price_ticks for each in (foreign, domestic))
    # 4 GPUs x 4 hours of the foreign one: 2 are sold with the voucher, 1 for cash, 1 stays idle.
    await world.ask(provider, foreign, quantity_gpus=4, price=price)
    aided = await world.bid(micro, foreign, quantity_gpus=2, price=price, vouchers="auto")
    await world.bid(large, foreign, quantity_gpus=1, price=price)
    # 8 GPUs x 4 hours of the domestic one, bought for cash; a bid that finds nothing.
    await world.ask(provider, domestic, price=dear)
    await world.bid(large, domestic, price=dear)
    await world.bid(large, domestic, price=dear, time_in_force="ioc")
    return Known(
        provider=provider, issuer=issuer, micro=micro, large=large, programme=programme, voucher=voucher,
        revoked=revoked, foreign=foreign, domestic=domestic, price=price, dear=dear, aided=aided,
    )  # fmt: skip


async def rows_of(world: MarketWorld, name: ReportName, by: Period = Period.ALL) -> list[dict[str, Any]]:
    """Return a report of all days, summed up until now."""
    await follow(world.database)
    reports = Reports(reads=world.database, clock=world.clock)
    today = datetime_of(world.clock.now_us()).date()
    span = Span(today - timedelta(days=3), today + timedelta(days=3), by)
    report = await reports.report(name, span)
    columns = [column.name for column in report.columns]
    assert all(list(row) == columns for row in report.rows)
    header, *lines = as_csv(report).decode().splitlines()
    assert header == ",".join(columns)
    assert len(lines) == len(report.rows)
    return [dict(row) for row in report.rows]


def part(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


async def test_what_was_traded_is_told_by_share_place_and_price(world: MarketWorld, known: Known) -> None:
    price, dear = known["price"], known["dear"]
    [row] = await rows_of(world, ReportName.DOMESTIC_SHARE)
    money = dear * 32, price * 12
    assert part(row, "domestic_gpu_hours", "foreign_gpu_hours") == (32, 12)
    assert row["domestic_share_hours_bps"] == 7273  # 32 of 44
    assert row["domestic_share_money_bps"] == round(10_000 * money[0] / sum(money))
    flows = await rows_of(world, ReportName.HUB_FLOW)
    assert {part(row, "from_region", "from_hub", "gpu_hours") for row in flows} == {
        ("ningxia", "ningxia", 8),
        ("atlantis", None, 4),
        ("atlantis", None, 32),
    }
    concentration = await rows_of(world, ReportName.CONCENTRATION)
    product = world.exchange.products[known["foreign"]]
    here = [row for row in concentration if row["accelerator"] == product.accelerator_id]
    sellers = [part(row, "party", "share_bps", "hhi") for row in here if row["side"] == "provider"]
    assert sellers == [(encode_id("par", known["provider"].participant_id), 10_000, 10_000)]
    buyers = [
        part(row, "party", "gpu_hours", "share_bps", "parties", "hhi")
        for row in here
        if row["side"] == "buyer"
    ]
    assert buyers == [
        (encode_id("par", known["micro"].participant_id), 8, 6667, 2, 5556),
        (encode_id("par", known["large"].participant_id), 4, 3333, 2, 5556),
    ]
    prices = await rows_of(world, ReportName.VOUCHER_PRICE)
    [row] = [row for row in prices if row["accelerator"] == product.accelerator_id]
    assert part(row, "voucher_gpu_hours", "cash_gpu_hours", "premium_bps") == (8, 4, 0)
    stacked = await rows_of(world, ReportName.STACKING)
    assert [part(row, "programmes", "trades", "gpu_hours") for row in stacked] == [(0, 2, 36), (1, 1, 8)]
    assert stacked[1]["aided_bps"] == round(10_000 * (8 * price * 3 // 10) / (8 * price))


async def test_bids_are_told_by_what_they_got(world: MarketWorld, known: Known) -> None:
    assert known
    rows = {row["size_class"]: row for row in await rows_of(world, ReportName.FILL_RATE)}
    names = ("bids", "filled", "wanted_gpu_hours", "filled_gpu_hours", "fill_rate_bps", "average_wait_s")
    assert part(rows["micro"], *names) == (1, 1, 8, 8, 10_000, 0)
    assert part(rows["large"], *names) == (3, 2, 68, 36, 5294, 0)


async def test_vouchers_and_capacity_are_told_as_hours_pass(world: MarketWorld, known: Known) -> None:
    voucher_fen = 8 * known["price"] * 3 // 10
    [burn] = await rows_of(world, ReportName.BUDGET_BURN)
    assert part(burn, "issued_cny", "revoked_cny", "outstanding_cny") == ("107.00", "0.00", "107.00")
    assert burn["committed_cny"] == f"{voucher_fen / 100:.2f}"
    async with world.database.transaction() as connection:
        await step_voucher(
            connection, known["issuer"], known["revoked"].id, VoucherStatus.REVOKED, "moved", world.now_us
        )
    async with world.database.connection() as connection:
        leases = await page_of_leases(
            connection, known["provider"], before_id=2**62, limit=50, now_us=world.now_us
        )
    lease = next(each for each in leases if each.product == known["domestic"])
    lease_id = decode_id("lse", lease.id)
    assert lease_id is not None
    async with world.database.transaction() as connection:
        outage = NewOutage(hours=[lease.starts_at], reason="fire")
        await report_outage(connection, known["provider"], lease_id, outage, world.now_us)
    await world.pass_hours(8)
    [burn] = await rows_of(world, ReportName.BUDGET_BURN)
    assert part(burn, "revoked_cny", "outstanding_cny") == ("7.00", "100.00")
    assert burn["captured_cny"] == burn["committed_cny"]
    use = {row["size_class"]: row for row in await rows_of(world, ReportName.VOUCHER_USE)}
    assert part(use["micro"], "age_class", "region", "buyers", "issued_cny") == (
        "1 to 2",
        "ningxia",
        1,
        "100.00",
    )
    rows = {row["accelerator"]: row for row in await rows_of(world, ReportName.CAPACITY)}
    names = ("held_gpu_hours", "delivered_gpu_hours", "failed_gpu_hours", "open_gpu_hours", "idle_gpu_hours")
    products = world.exchange.products
    assert part(rows[products[known["foreign"]].accelerator_id], *names) == (12, 12, 0, 0, 4)
    assert part(rows[products[known["domestic"]].accelerator_id], *names) == (32, 24, 8, 0, 0)
    await check(world.database)


async def test_a_refused_voucher_is_told_with_its_reason(world: MarketWorld, known: Known) -> None:
    stranger: Principal = known["large"]
    name = encode_id("vch", known["revoked"].id)
    order = world.order(
        Side.BUY,
        known["foreign"],
        vouchers=[name],
        voucher_policy="only_eligible",
    )
    await world.exchange.orders.place_all(stranger, [(order, Faults())])
    rows = await rows_of(world, ReportName.VOUCHER_REFUSALS)
    assert [part(row, "programme", "size_class", "refusals") for row in rows] == [
        (known["programme"].code, "large", 1)
    ]


async def test_a_refused_amendment_ends_nothing_and_a_replaced_bid_ends(
    world: MarketWorld, known: Known
) -> None:
    before = await rows_of(world, ReportName.FILL_RATE)
    low = known["price"] * 3 // 4
    resting = await world.bid(known["large"], known["foreign"], price=low)
    assert resting.status == "resting"
    with pytest.raises(Refusal) as refused:
        await world.amend(known["large"], resting, quantity_gpus=900_000)
    assert refused.value.code == "insufficient_funds"
    assert await rows_of(world, ReportName.FILL_RATE) == before
    replacement = await world.amend(known["large"], resting, price=low + 1)
    number = decode_id("ord", replacement.id)
    assert number is not None
    await world.exchange.orders.cancel(known["large"], number)
    after = await rows_of(world, ReportName.FILL_RATE)
    assert sum(row["bids"] for row in after) == sum(row["bids"] for row in before) + 2
    await check(world.database)


async def test_periods_put_days_together(world: MarketWorld, known: Known) -> None:
    assert known
    for name in KINDS:
        by_day = await rows_of(world, name, Period.DAY)
        by_month = await rows_of(world, name, Period.MONTH)
        assert len({row["period"] for row in by_month}) <= len({row["period"] for row in by_day})
        assert all(row["period"].endswith("-01") for row in by_month)


async def test_false_sums_are_found_and_put_right(world: MarketWorld, known: Known) -> None:
    assert known
    await follow(world.database)
    async with world.database.transaction() as connection:
        await connection.execute("UPDATE report_trade SET gpu_hours = gpu_hours + 1 WHERE programmes = 1")
        await connection.execute("UPDATE report_bid SET bids = 0, filled = 0 WHERE status = 'filled'")
    async with world.database.transaction() as connection:
        told = await recompute(connection)
        found = await recompute(connection, is_kept=True)
    assert found == told
    assert {(each.summary, each.column) for each in found} == {
        ("trades", "gpu_hours"),
        ("bids", "bids"),
        ("bids", "filled"),
    }
    assert {each.stored - each.recomputed for each in found if each.summary == "trades"} == {1}
    async with world.database.transaction() as connection:
        assert await recompute(connection) == []
    await check(world.database)


@pytest.mark.parametrize(
    "query,pointer",
    [
        ({"from_": "2026-02-30"}, "?from"),
        ({"until": "0000-01-01"}, "?until"),
        ({"from_": "2026-03-02", "until": "2026-03-01"}, "?until"),
        ({"from_": "2035-01-01"}, "?from"),
    ],
)
async def test_days_that_are_none_are_named(world: MarketWorld, query: dict[str, str], pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Reports(reads=world.database, clock=world.clock).span_of(
            msgspec.structs.replace(ReportQuery(), **query), Faults("invalid_query")
        )
    assert [fault.pointer for fault in refused.value.errors] == [pointer]
