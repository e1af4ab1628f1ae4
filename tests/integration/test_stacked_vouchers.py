"""Several programmes on one order, from its hold to the delivered hour, on the running exchange.

The figures are worked out by hand; when the world closes, its books must agree with each other.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exchange.kit.auth import Principal
from exchange.kit.errors import Conflict
from exchange.kit.ids import decode_id, encode_id
from exchange.ledger.models import CNY, Purpose
from exchange.orders.models import OrderStatus, OrderView
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import Programme, RateTier
from exchange.programmes.rules import asset_of
from exchange.settlement.leases import page_of_leases, report_outage
from exchange.settlement.models import NewOutage
from exchange.vouchers.models import Voucher
from tests.market_world import MarketWorld, open_market


class Stacked:
    """A buyer with a voucher of a city, 30 %, and one of the nation, 15 %; both admit `provider` only."""

    def __init__(self, world: MarketWorld) -> None:
        self.world = world
        self.product = world.product()

    async def settle(self, *, national_mode: str = "instant") -> None:
        """Bring the world to its beginning."""
        world = self.world
        self.city_issuer, self.nation = [await world.join(ParticipantKind.ISSUER) for _ in range(2)]
        self.provider, self.buyer = await world.traders(10_000_000)
        self.other = await world.join(ParticipantKind.PROVIDER)
        self.city = await self.programme(self.city_issuer, 3_000, "instant")
        self.national = await self.programme(self.nation, 1_500, national_mode)
        self.city_voucher = await world.issue(self.city_issuer, self.city, self.buyer, 50_000)
        self.national_voucher = await world.issue(self.nation, self.national, self.buyer, 50_000)

    async def programme(self, issuer: Principal, rate_bps: int, mode: str) -> Programme:
        """Start a programme that stacks up to half of an order."""
        return await self.world.programme(
            issuer,
            self.provider,
            rate_tiers=(RateTier(bps=rate_bps),),
            stacking="ceiling",
            stacking_ceiling_bps=5_000,
            cap_per_year_fen=None,
            mode=mode,
        )

    async def parts(self, voucher: Voucher) -> dict[str, int]:
        """Return where the face of a voucher is, without what is empty."""
        balances = (await self.world.voucher(voucher, self.buyer)).balances
        found = {name[:-4]: getattr(balances, name) for name in balances.__struct_fields__}
        return {name: fen for name, fen in found.items() if fen}

    async def cash(self, purpose: Purpose = Purpose.CASH) -> int:
        """Return the buyer's free or escrowed money."""
        return await self.world.free_fen(self.buyer, CNY, purpose)

    async def fail(self, bid: OrderView, hours: int) -> None:
        """Report the first hours of the bid's only lease as failed."""
        (fill,) = bid.fills
        async with self.world.database.transaction() as connection:
            (lease, *_) = await page_of_leases(
                connection, self.provider, before_id=2**62, limit=1, now_us=self.world.now_us
            )
            assert lease.trade_id == fill.trade_id
            number = decode_id("lse", lease.id)
            assert number is not None
            world = self.world
            starts = [
                f"{lease.starts_at[:11]}{int(lease.starts_at[11:13]) + n:02}:00:00Z" for n in range(hours)
            ]
            outage = NewOutage(hours=starts, reason="fire")
            await report_outage(connection, self.provider, number, outage, world.now_us)


@pytest.fixture
async def stacked(database_url: str, tmp_path: Path) -> AsyncIterator[Stacked]:
    async with open_market(database_url, tmp_path) as world:
        yield Stacked(world)


async def test_two_programmes_pay_their_shares_of_one_order_to_the_fen(stacked: Stacked) -> None:
    await stacked.settle()
    world = stacked.world
    await world.ask(stacked.provider, stacked.product, price=999)
    bid = await world.bid(
        stacked.buyer, stacked.product, price=1_001, vouchers="auto", voucher_policy="only_eligible"
    )
    assert bid.status is OrderStatus.FILLED
    assert [(each.programme_id, each.rate_bps, each.mode) for each in bid.shares or ()] == [
        (encode_id("prg", stacked.city.id), 3_000, "instant"),
        (encode_id("prg", stacked.national.id), 1_500, "instant"),
    ]
    # 4 hours at 9.99 are 39.96: 11.988 and 5.994 rounded down, the buyer takes the rest.
    assert (bid.fills[0].voucher_cny, bid.fills[0].reimbursable_cny) == ("17.97", "0.00")
    assert await stacked.parts(stacked.city_voucher) == {"available": 50_000 - 1_198, "committed": 1_198}
    assert await stacked.parts(stacked.national_voucher) == {"available": 50_000 - 599, "committed": 599}
    assert await stacked.cash(Purpose.ESCROW) == 3_996 - 1_797
    assert await stacked.cash() == 10_000_000 - (3_996 - 1_797)
    await world.pass_hours(8)
    assert await stacked.parts(stacked.city_voucher) == {"available": 50_000 - 1_198, "captured": 1_198}
    assert await stacked.parts(stacked.national_voucher) == {"available": 50_000 - 599, "captured": 599}
    for programme, fen in ((stacked.city, 1_198), (stacked.national, 599)):
        asset = asset_of(programme.id)
        assert await world.free_fen(stacked.provider, asset, Purpose.RECEIVABLE) == fen


async def test_the_hold_of_a_bid_that_only_admitted_providers_fill_is_the_buyers_own_share(
    stacked: Stacked,
) -> None:
    await stacked.settle()
    world = stacked.world
    bid = await world.bid(
        stacked.buyer, stacked.product, price=1_000, vouchers="auto", voucher_policy="only_eligible"
    )
    assert bid.held is not None
    # 40.00 less 12.00 and 6.00, and a fen for what rounding two shares may cost.
    assert bid.held.cash_cny == "22.01"
    assert [each.held_cny for each in bid.held.vouchers] == ["12.00", "6.00"]
    await world.ask(stacked.other, stacked.product, price=900)
    number = decode_id("ord", bid.id)
    assert number is not None
    still = await world.exchange.orders.get(stacked.buyer, number)
    assert still.status is OrderStatus.RESTING
    cancelled = await world.exchange.orders.cancel(stacked.buyer, number)
    assert cancelled.status is OrderStatus.CANCELLED
    assert await stacked.cash() == 10_000_000
    assert await stacked.parts(stacked.city_voucher) == {"available": 50_000}


async def test_a_nearly_spent_voucher_pays_what_it_covers_of_every_fill(stacked: Stacked) -> None:
    await stacked.settle()
    world = stacked.world
    few = await world.issue(stacked.city_issuer, stacked.city, stacked.buyer, 40)
    names = [encode_id("vch", each.id) for each in (few, stacked.national_voucher)]
    bid = await world.bid(stacked.buyer, stacked.product, price=1_000, vouchers=names)
    assert bid.held is not None
    # Of one expiry the earlier is spent first. 40 of 4,000 fen are 1 %, paid of every fill.
    held = [(each.voucher_id, each.held_cny) for each in bid.held.vouchers]
    assert held == [(names[1], "6.00"), (names[0], "0.40")]
    assert [each.rate_bps for each in bid.shares or ()] == [1_500, 100]


async def test_vouchers_that_do_not_stack_are_refused_one_by_one(stacked: Stacked) -> None:
    await stacked.settle()
    world = stacked.world
    alone = await world.programme(stacked.nation, stacked.provider)
    voucher = await world.issue(stacked.nation, alone, stacked.buyer, 1_000)
    names = [encode_id("vch", each.id) for each in (stacked.city_voucher, voucher)]
    with pytest.raises(Conflict) as caught:
        await world.bid(stacked.buyer, stacked.product, vouchers=names)
    assert caught.value.code == "no_usable_voucher"
    assert [(fault.code, fault.value) for fault in caught.value.errors] == [
        ("voucher_not_stackable", names[1])
    ]
    assert await stacked.cash() == 10_000_000


async def test_a_share_of_less_than_a_fen_pays_for_nothing(stacked: Stacked) -> None:
    world = stacked.world
    issuer = await world.join(ParticipantKind.ISSUER)
    provider, buyer = await world.traders(100_000)
    programme = await world.programme(issuer, provider, rate_tiers=(RateTier(bps=1),))
    voucher = await world.issue(issuer, programme, buyer, 1_000)
    bid = await world.bid(buyer, stacked.product, price=200, vouchers="auto")
    assert bid.shares is None
    with pytest.raises(Conflict) as caught:
        await world.bid(buyer, stacked.product, price=200, vouchers="auto", voucher_policy="only_eligible")
    assert caught.value.code == "no_usable_voucher"
    with pytest.raises(Conflict) as caught:
        await world.bid(buyer, stacked.product, price=200, vouchers=[encode_id("vch", voucher.id)])
    assert [fault.code for fault in caught.value.errors] == ["share_below_one_fen"]


async def test_stacked_holds_survive_a_restart(database_url: str, tmp_path: Path) -> None:
    async with open_market(database_url, tmp_path) as world:
        before = Stacked(world)
        await before.settle()
        bid = await world.bid(before.buyer, before.product, price=1_001, quantity_gpus=3, vouchers="auto")
        await world.ask(before.provider, before.product, price=999)
        now_us = world.clock.now_us()
    async with open_market(database_url, tmp_path, now_us) as world:
        after = Stacked(world)
        after.buyer = before.buyer
        await world.ask(before.provider, before.product, price=1_000, quantity_gpus=2)
        number = decode_id("ord", bid.id)
        assert number is not None
        filled = await world.exchange.orders.get(before.buyer, number)
        assert filled.status is OrderStatus.FILLED
        # The bid rested, so it sets the price: 40.04 and 80.08. 30 % of 40.04 are 12.012, of all 36.036;
        # 15 % are 6.006 and 18.018.
        assert [fill.voucher_cny for fill in filled.fills] == ["18.01", "36.03"]
        assert await after.parts(before.city_voucher) == {"available": 50_000 - 3_603, "committed": 3_603}
        assert await after.parts(before.national_voucher) == {"available": 50_000 - 1_801, "committed": 1_801}


async def test_a_programme_that_reimburses_takes_nothing_off_the_cash(stacked: Stacked) -> None:
    await stacked.settle(national_mode="reimburse")
    world = stacked.world
    await world.ask(stacked.provider, stacked.product, price=1_000)
    bid = await world.bid(
        stacked.buyer, stacked.product, price=1_000, vouchers="auto", voucher_policy="only_eligible"
    )
    assert (bid.fills[0].voucher_cny, bid.fills[0].reimbursable_cny) == ("12.00", "6.00")
    assert await stacked.cash(Purpose.ESCROW) == 4_000 - 1_200
    assert await stacked.parts(stacked.national_voucher) == {"available": 50_000 - 600, "committed": 600}
    await stacked.fail(bid, hours=1)
    await world.pass_hours(8)
    # A quarter failed: cash came back as cash, each voucher's part to the voucher.
    assert await stacked.cash() == 10_000_000 - 3 * 700
    assert await stacked.parts(stacked.national_voucher) == {"available": 50_000 - 450, "captured": 450}
    asset = asset_of(stacked.national.id)
    assert await world.free_fen(stacked.buyer, asset, Purpose.RECEIVABLE) == 450
    assert await world.free_fen(stacked.provider, asset, Purpose.RECEIVABLE) == 0
