"""Goal: no buyer turns a voucher into cash, whatever it does and whatever happens to it.

Method: a search. Hypothesis draws lists of what a buyer can do (place, replace and cancel bids, claim what it
is reimbursed, pay back) and of what can happen to it (fills, failed hours, expiry, revocation, new rules,
also such that reimburse from now on or no longer), on the whole exchange with the real PostgreSQL. It is told
to maximise the buyer's gain, which is the cash it has and has in escrow, less what was paid in and what its
company's claims were paid; and the cash that failed hours and claims gave it. After every command the gain is
what delivered hours cost it, with a minus: never above nothing. Of each delivered hour no more is reimbursed
than the buyer paid for it in cash, nor more than the programme's rate of its price but for rounding.
"""

import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings, target
from hypothesis import strategies as st

from exchange.claims.models import Claim, ClaimStatus
from exchange.kit.auth import Principal
from exchange.kit.errors import Refusal
from exchange.kit.ids import encode_id
from exchange.orders.models import OrderView
from exchange.vouchers.models import Voucher, VoucherStatus
from tests.hypothesis_profiles import examples
from tests.market_world import MarketWorld, open_market
from tests.plain_claim import WAYS
from tests.plain_market import CASH, SeenLease
from tests.plain_vouchers import BPS, PlainRules
from tests.voucher_machine import Price, asks, bids, picks, prices
from tests.voucher_market import VoucherMarket, number_of

CASH_FEN = 30_000
FACE_FEN = 3_001
HOURS_TO_THE_END = 12

whiches = st.integers(0, 2)
COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), asks, bids, prices, st.none(), st.just(10)),
        st.tuples(st.just("trade"), asks, bids, prices, picks, st.just(10)),
        st.tuples(st.just("trade"), asks, bids, prices, picks, st.just(0)),
        st.tuples(st.just("bid"), bids, prices),
        st.tuples(st.just("replace"), picks, bids, prices),
        st.tuples(st.just("cancel"), picks),
        st.tuples(st.just("fail"), picks, picks),
        st.tuples(st.just("wait"), st.sampled_from([1, 2, 5, 10, 24])),
        st.tuples(st.just("step"), picks, st.sampled_from(["suspended", "active", "revoked"])),
        st.tuples(st.just("change"), whiches, st.booleans(), st.sampled_from([1_500, 3_333, 6_667, BPS])),
        st.tuples(st.just("issue"), whiches),
        st.tuples(st.just("claim"), whiches, st.lists(st.integers(0, 3), max_size=6)),
        st.tuples(st.just("pay_back"), picks),
    ),
    min_size=4,
    max_size=24,
)


class Search:
    """One list's own market. `buyer` is who tries; the other buyers compete with it, and are let alone."""

    def __init__(self, world: MarketWorld, seed: int) -> None:
        """Begin before anybody has joined."""
        self.market = VoucherMarket(world)
        self.seed = seed
        self.bids: list[tuple[Principal, int]] = []
        self.rates: dict[tuple[int, int], int] = {}
        """(bid, programme) -> basis points, as its buyer was told."""
        self.vouchers: list[Voucher] = []
        self.leases: dict[int, SeenLease] = {}
        self.rules: list[PlainRules] = []
        self.claims: list[int] = []
        self.states: dict[int, str] = {}
        self.failing: set[tuple[int, int]] = set()
        """(lease, hour) that its provider said it does not deliver."""
        self.claimed_fen: Counter[str] = Counter()
        """What its claims were paid, and what it paid back."""

    async def begin(self) -> None:
        """Start the programmes, and issue vouchers to everybody."""
        draw = random.Random(self.seed)
        market = self.market
        await market.open(CASH_FEN, (market.reference(market.products[0]), None))
        self.buyer = market.buyers[0]
        for number in range(3):
            rules = PlainRules(
                rate_bps=draw.randint(1_000, BPS),
                admitted=market.admitted(draw.random() < 0.7),
                stacking=draw.choice(["ceiling", "ceiling", "higher_of", "none"]),
                reimburses=draw.random() < 0.5,
                cap_fen=4_000 if number == 2 else None,
                caps_use=number == 2,
                validity_days=draw.choice([1, 2]),
            )
            await market.start_programme(rules, 100_000)
            self.rules.append(rules)
            for buyer in market.buyers:
                await self._issue(number, buyer)

    async def _issue(self, number: int, buyer: Principal) -> None:
        issued = await self.market.issue(number, buyer, FACE_FEN)
        if isinstance(issued, Voucher) and buyer is self.buyer:
            self.vouchers.append(issued)

    async def run(self, kind: str, *arguments: Any) -> None:
        """Carry out a command: the method of its name."""
        await getattr(self, kind)(*arguments)

    async def trade(
        self, offered: dict[str, Any], needed: dict[str, Any], price: Price, failing: int | None, hours: int
    ) -> None:
        """Let a provider offer and a buyer bid the same price; an hour may fail, all may be delivered."""
        await self._offer(offered, price)
        await self.bid(needed, price)
        if failing is not None:
            await self.fail(0, failing)
        if hours:
            await self.wait(hours)

    async def replace(self, pick: int, needed: dict[str, Any], price: Price) -> None:
        """Withdraw a bid and place another."""
        await self.cancel(pick)
        await self.bid(needed, price)

    async def wait(self, hours: int) -> None:
        """Let hours pass."""
        await self.market.world.pass_hours(hours, at_once=True)

    async def step(self, pick: int, status: str) -> None:
        """Suspend, resume or revoke one of the buyer's vouchers."""
        await self.market.step_voucher(self.vouchers[pick % len(self.vouchers)].id, VoucherStatus(status))

    async def issue(self, number: int) -> None:
        """Issue another voucher to the buyer."""
        await self._issue(number, self.buyer)

    async def pay_back(self, pick: int) -> None:
        """Take the second step of those that a claim can take: of a paid one, to demand some of it back."""
        if self.claims:
            await self._step_claim(self.claims[pick % len(self.claims)], 1)

    def _priced(self, price: Price) -> tuple[str, int]:
        number, percent, fen = price
        product = self.market.products[number]
        return product, fen if number else self.market.reference(product) * (70 + percent) // 100

    async def _offer(self, fields: dict[str, Any], price: Price) -> None:
        product, ticks = self._priced(price)
        fields = dict(fields)
        provider = self.market.providers[fields.pop("who")]
        await self.market.ask(provider, product, price=ticks, **fields)

    async def bid(self, fields: dict[str, Any], price: Price) -> None:
        """Let a buyer bid."""
        product, ticks = self._priced(price)
        fields = dict(fields)
        # Two of three bids are those of the buyer who tries.
        buyer = self.market.buyers[max(fields.pop("who") - 1, 0)]
        if isinstance(fields["vouchers"], list):
            named = {self.vouchers[pick % len(self.vouchers)].id for pick in fields["vouchers"]}
            fields["vouchers"] = [encode_id("vch", each) for each in sorted(named)]
        answer = await self.market.bid(buyer, product, price=ticks, **fields)
        if isinstance(answer, OrderView):
            bid_id = number_of("ord", answer.id)
            self.bids.append((buyer, bid_id))
            for share in answer.shares or ():
                self.rates[bid_id, number_of("prg", share.programme_id)] = share.rate_bps

    async def cancel(self, pick: int) -> None:
        """Withdraw a bid."""
        if self.bids:
            await self.market.cancel(*self.bids[pick % len(self.bids)])

    async def fail(self, pick: int, hour: int) -> None:
        """Let an hour of a lease fail, as its provider says."""
        await self._see_leases()
        if self.leases:
            lease = list(self.leases.values())[-1 - pick % len(self.leases)]
            hours = range(lease.starts_hour, lease.ends_hour)
            providers = {each.participant_id: each for each in self.market.providers}
            failing = hours[hour % len(hours)]
            if await self.market.fail(providers[lease.provider_id], lease.id, failing) is None:
                self.failing.add((lease.id, failing))

    async def _see_leases(self) -> None:
        for lease in await self.market.leases(max(self.leases, default=0)):
            self.leases[lease.id] = lease

    async def change(self, number: int, reimburses: bool, rate_bps: int) -> None:  # noqa: FBT001
        """Put other rules of a programme in force."""
        changed = {"reimburses": reimburses, "rate_bps": rate_bps}
        self.rules[number] = rules = PlainRules(
            **{name: getattr(self.rules[number], name) for name in PlainRules.__struct_fields__} | changed
        )
        await self.market.change_rules(number, rules)

    async def claim(self, number: int, choices: list[int]) -> None:
        """Let the buyer claim, and take steps of the claim."""
        claim = await self.market.claim(number, self.buyer, submits=True)
        if isinstance(claim, Claim):
            self.claims.append(claim.id)
            self.states[claim.id] = claim.status.value
            for choice in choices:
                await self._step_claim(claim.id, choice)

    async def _step_claim(self, claim_id: int, choice: int) -> None:
        ways = [(to, by) for state, to, by in WAYS if state == self.states[claim_id]]
        if not ways:
            return
        to, role = ways[choice % len(ways)]
        by = self.buyer if role == "claimant" else self.market.issuer
        fen = 1 if to in {"reduced", "clawback_open"} else None
        claim = await self.market.step_claim(claim_id, ClaimStatus(to), by, fen)
        if isinstance(claim, Refusal):
            return
        self.states[claim_id] = to
        if to == "paid":
            self.claimed_fen["paid"] += claim.approved_fen or 0
        elif to == "recovered":
            self.claimed_fen["paid back"] += claim.clawback_fen or 0

    async def check(self) -> tuple[int, int]:
        """Assert what must hold after every command, and return the gain, and what failed hours gave back."""
        await self._see_leases()
        own = {key: each for key, each in self.leases.items() if each.buyer_id == self.buyer.participant_id}
        moved = await self.market.hours_moved()
        delivered = {key[:2]: parts for key, parts in moved.items() if key[2] and key[0] in own}
        returned = [parts for key, parts in moved.items() if not key[2] and key[0] in own]
        captures = await self.market.captures()
        to_buyer: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)
        for (lease_id, hour, voucher_id), (claimant_id, fen) in captures.items():
            if claimant_id == self.buyer.participant_id:
                to_buyer[lease_id, hour][voucher_id] += fen
        assert not self.failing & {*delivered, *to_buyer}, "an hour that failed costs or pays its buyer"
        cost_fen = 0
        paid_fen: Counter[int] = Counter()
        back_fen: Counter[int] = Counter()
        for (lease_id, hour), parts in sorted(delivered.items()):
            lease = own[lease_id]
            reimbursed = to_buyer[lease_id, hour]
            instant_fen = sum(fen for part, fen in parts.items() if part != CASH and part not in reimbursed)
            assert parts.get(CASH, 0) == lease.hour_price_fen - instant_fen
            paid_fen[lease_id] += parts.get(CASH, 0)
            back_fen[lease_id] += reimbursed.total()
            assert back_fen[lease_id] <= paid_fen[lease_id], "more comes back than was paid so far"
            self._judge_rates(lease, reimbursed)
            cost_fen += parts.get(CASH, 0)
        cash = (await self.market.cash([self.buyer]))[self.buyer.participant_id]
        claimed_fen = self.claimed_fen["paid"] - self.claimed_fen["paid back"]
        gain_fen = cash.own_fen + cash.escrow_fen - CASH_FEN - claimed_fen
        assert gain_fen == -cost_fen
        assert gain_fen <= 0, "a voucher has become cash"
        assert self.claimed_fen["paid"] <= sum(each.total() for each in to_buyer.values())
        return gain_fen, sum(parts.get(CASH, 0) for parts in returned)

    def _judge_rates(self, lease: SeenLease, reimbursed: Counter[int]) -> None:
        """No programme reimburses more of an hour than its rate, but for a fen of rounding a voucher."""
        programme_of = {each.id: each.programme_id for each in self.vouchers}
        by_programme: Counter[int] = Counter()
        for voucher_id, fen in reimbursed.items():
            by_programme[programme_of[voucher_id]] += fen
        for programme_id, fen in by_programme.items():
            most_fen = lease.hour_price_fen * self.rates[lease.bid_id, programme_id] // BPS
            assert fen <= most_fen + 1 + len(reimbursed), "an hour is reimbursed beyond its rate"

    async def end(self) -> tuple[int, int]:
        """Withdraw everything and let it be delivered."""
        for owner, bid_id in self.bids:
            await self.market.cancel(owner, bid_id)
        for hours in (HOURS_TO_THE_END, 1):
            await self.market.world.pass_hours(hours, at_once=True)
        for number in range(3):
            await self.claim(number, [1, 0, 1])
        cash = (await self.market.cash([self.buyer]))[self.buyer.participant_id]
        assert (cash.pending_fen, cash.escrow_fen) == (0, 0)
        return await self.check()


@pytest.fixture(scope="module")
async def world(
    module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[MarketWorld]:
    async with open_market(module_database_url, Path(tmp_path_factory.mktemp("market"))) as opened:
        yield opened


# Shrinking would begin the world anew hundreds of times; a failure names all its commands.
@settings(
    examples(80),
    phases=(Phase.generate, Phase.target),
    suppress_health_check=list(HealthCheck),
    deadline=None,
)
@given(seed=st.integers(0, 2**32 - 1), commands=COMMANDS)
async def test_vouchers_never_turn_into_cash_for_their_buyer(
    world: MarketWorld, seed: int, commands: list[tuple[Any, ...]]
) -> None:
    search = Search(world, seed)
    await search.begin()
    for command in commands:
        await search.run(*command)
        await search.check()
    gain_fen, back_fen = await search.end()
    assert await world.differences() == []
    target(gain_fen, label="gain of the buyer, fen")
    target(back_fen, label="cash that failed hours gave back, fen")
    target(search.claimed_fen["paid"], label="cash that claims gave, fen")
