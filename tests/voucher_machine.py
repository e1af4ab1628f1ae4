"""The buyers, providers and issuer of a machine over vouchers: what each of them may do, beside the model.

The rules that take these steps, and what is compared after each, are `tests.property.test_voucher_market`.
"""

import asyncio
import random
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_DAY
from exchange.kit.errors import Refusal
from exchange.kit.ids import encode_id
from exchange.orders.models import OrderView
from exchange.vouchers.models import Voucher, VoucherStatus
from exchange.vouchers.rules import calendar_year
from tests.market_world import MarketWorld, with_means
from tests.plain_exchange import PlainExchange, WantedBid
from tests.plain_market import PlainAsk
from tests.plain_vouchers import BPS, OVER, PlainProgramme, PlainRules, PlainVoucher
from tests.voucher_market import BUYERS, ISSUER_CASH_FEN, PROVIDERS, VoucherMarket, number_of

CASH_FEN = 30_000
BUDGET_FEN = 20_000
ISSUED_CAP_FEN = 9_000
USED_CAP_FEN = 2_500

RATES = (1_500, 3_333, 4_999, 6_667, BPS)
CEILINGS = (4_000, 5_000, 8_000, BPS)
CHANGING = ("rate_bps", "admitted", "reimburses", "price_cap", "validity_days")
"""Fields of rules that a change may leave as they are."""
STACKINGS = ("none", "higher_of", "ceiling")

picks = st.integers(0, 1_000)
either = st.booleans()
wishes = st.tuples(st.integers(0, 9), st.lists(picks, min_size=1, max_size=2)).map(
    lambda drawn: "none" if drawn[0] == 9 else drawn[1] if drawn[0] > 6 else "auto"
)
asks = st.fixed_dictionaries(
    {
        "who": st.integers(0, PROVIDERS - 1),
        "quantity_gpus": st.integers(1, 4),
        "window": st.tuples(st.integers(0, 1), st.integers(4, 8)),
        "min_hours": st.integers(1, 2),
    }
)
bids = st.fixed_dictionaries(
    {
        "who": st.integers(0, BUYERS - 1),
        "quantity_gpus": st.integers(1, 5),
        "window": st.tuples(st.integers(0, 2), st.integers(6, 7)),
        "hours": st.integers(1, 4),
        "fill": st.sampled_from(["partial", "partial", "all_or_none"]),
        "time_in_force": st.sampled_from(["gtc", "gtc", "gtc", "ioc"]),
        "vouchers": wishes,
        "voucher_policy": st.sampled_from(["prefer", "only_eligible"]),
    }
).map(with_means)
claim_steps = st.lists(st.sampled_from([0, 1, 1, 2, 3]), max_size=6)
prices = st.tuples(st.sampled_from([0, 0, 0, 1]), st.integers(0, 60), st.integers(1, 8))
"""(product, percent beyond the lowest price of the first, price in fen of the second)."""

Price = tuple[int, int, int]


class VoucherMachine(RuleBasedStateMachine):
    """The market, and the model of it. Of another `number` it begins with other programmes."""

    number = 0

    def __init__(self, runner: asyncio.Runner, world: MarketWorld) -> None:
        """Begin before anybody has joined."""
        super().__init__()
        self.runner = runner
        self.market = VoucherMarket(world)
        self.orders: list[tuple[Principal, int]] = []

    @initialize(seed=st.runner().map(lambda machine: machine.number))
    def begin(self, seed: int) -> None:
        """Register everybody, start three programmes drawn by a seed, and issue vouchers of each to all."""
        draw = random.Random(seed)
        market = self.market
        listed = market.reference(market.products[0])
        self.runner.run(market.open(CASH_FEN, (listed, None)))
        self.model = PlainExchange(
            groups={each.participant_id: each.trade_group_id for each in market.buyers},
            cash_fen=CASH_FEN,
            fee_bps=market.world.exchange.settings.fee_bps,
        )
        self.model.cash_fen[market.issuer.participant_id] = ISSUER_CASH_FEN
        for number in range(3):
            rules = self.draw_rules(draw, number)
            programme = self.runner.run(market.start_programme(rules, BUDGET_FEN))
            self.model.programmes[programme.id] = PlainProgramme(programme.id, rules, BUDGET_FEN)
        for buyer in range(BUYERS):
            # Also makes every buyer known, so that bids placed at once keep their order.
            self.place(
                [self.wanted_bid({"who": buyer, "vouchers": "none", "time_in_force": "ioc"}, (0, 0, 1))]
            )
            for number in range(3):
                for fen in (200, 1_300) if buyer == 0 else (1_300,):
                    self.issue(number, buyer, fen)

    @property
    def year(self) -> int:
        """The year that yearly caps count in."""
        return calendar_year(self.market.world.now_us)

    def issue(self, number: int, who: int, fen: int) -> None:
        """Issue a voucher, or be refused by the cap of the year or else by the budget."""
        buyer = self.market.buyers[who]
        programme = list(self.model.programmes.values())[number]
        rules, issued = programme.rules, programme.issued_fen
        group = [each.participant_id for each in self.market.buyers[:2]]
        of_group = rules.caps_group and buyer.participant_id in group
        counted_fen = sum(issued[each] for each in (group if of_group else [buyer.participant_id]))
        code = ""
        if rules.cap_fen is not None and not rules.caps_use and counted_fen + fen > rules.cap_fen:
            code = "yearly_cap_exceeded"
        elif issued.total() + fen > programme.budget_fen:
            code = "budget_exhausted"
        answer = self.runner.run(self.market.issue(number, buyer, fen))
        assert (answer.code if isinstance(answer, Refusal) else "") == code
        if isinstance(answer, Voucher):
            until_us = self.market.world.now_us + rules.validity_days * US_PER_DAY
            voucher = PlainVoucher(answer.id, programme.id, buyer.participant_id, fen, until_us)
            self.model.vouchers[answer.id] = voucher
            issued[buyer.participant_id] += fen

    def change_rules(self, number: int, seed: int) -> None:
        """Put other rules of a programme in force: what is held stays held under those before."""
        programme = list(self.model.programmes.values())[number]
        rules = self.draw_rules(random.Random(seed), number, programme.rules)
        self.runner.run(self.market.change_rules(number, rules))
        programme.change(rules)

    def draw_rules(self, draw: random.Random, number: int, before: PlainRules | None = None) -> PlainRules:
        """Draw rules of one of the three programmes; each field is now and then as it was before.

        The first pays at once and stacks, the second reimburses and stacks, unless rules are changed.
        """
        stacking = draw.choice(STACKINGS) if number == 2 else "ceiling"
        rules = PlainRules(
            rate_bps=draw.choice([*RATES, draw.randint(1, BPS)]),
            admitted=self.market.admitted(draw.random() < 0.7),
            stacking=stacking,
            ceiling_bps=draw.choice(CEILINGS) if stacking == "ceiling" else BPS,
            reimburses=draw.random() < 0.4 if before or number == 2 else number == 1,
            price_cap=draw.choice(["none", "none", "reference", "list"]),
            cap_fen=USED_CAP_FEN if number == 2 else ISSUED_CAP_FEN,
            caps_group=before.caps_group if before else draw.random() < 0.5,
            caps_use=number == 2,
            validity_days=draw.choice([1, 3, 4]),
        )
        kept = [] if before is None else [name for name in CHANGING if draw.random() < 0.6]
        return msgspec.structs.replace(rules, **{name: getattr(before, name) for name in kept})

    def price(self, drawn: tuple[int, int, int]) -> tuple[str, int]:
        """Return a product and a price in fen."""
        number, percent, fen = drawn
        product = self.market.products[number]
        return product, fen if number else self.market.reference(product) * (70 + percent) // 100

    def ask(self, fields: dict[str, Any], price: tuple[int, int, int]) -> None:
        """Offer capacity."""
        fields = dict(fields)
        provider = self.market.providers[fields.pop("who")]
        product, ticks = self.price(price)
        answer = self.runner.run(self.market.ask(provider, product, price=ticks, **fields))
        if isinstance(answer, Refusal):
            assert answer.code == "order_rejected"
            return
        admitted_by = [each.admitting(provider.participant_id) for each in self.model.programmes.values()]
        has_list = provider is self.market.providers[0] and product == self.market.products[0]
        self.model.asks[number_of("ord", answer.id)] = PlainAsk(
            provider_id=provider.participant_id,
            admitted_by=frozenset().union(*admitted_by),
            list_price=self.market.reference(product) if has_list else None,
        )
        self.orders.append((provider, number_of("ord", answer.id)))
        self.take_leases()

    def wanted_bid(
        self, fields: dict[str, Any], price: tuple[int, int, int]
    ) -> tuple[Principal, str, dict[str, Any], WantedBid]:
        """Return a bid as it is sent, and as the model takes it."""
        fields = dict(fields)
        buyer = self.market.buyers[fields.pop("who")]
        product, ticks = self.price(price)
        chosen = fields["vouchers"]
        if isinstance(chosen, list):
            known = sorted(self.model.vouchers)
            own = [each for each in known if self.model.vouchers[each].buyer_id == buyer.participant_id]
            # Now and then one of another buyer's.
            chosen = tuple(sorted({(known if pick % 10 == 0 else own)[pick % len(own)] for pick in chosen}))
            fields["vouchers"] = [encode_id("vch", each) for each in chosen]
        wanted = WantedBid(
            buyer_id=buyer.participant_id,
            limit=ticks,
            hours=fields.setdefault("hours", 1),
            gpus=fields.setdefault("quantity_gpus", 1),
            reference=self.market.reference(product),
            vouchers=chosen,
            policy=fields.setdefault("voucher_policy", "prefer"),
        )
        return buyer, product, {**fields, "price": ticks}, wanted

    def place(self, wanted: list[tuple[Principal, str, dict[str, Any], WantedBid]]) -> None:
        """Place bids in one batch, and follow them one by one."""
        market = self.market
        free = {
            owner: (cash.free_fen, cash.free_fen)
            for owner, cash in self.runner.run(market.cash(market.buyers)).items()
        }
        answers = self.runner.run(
            market.bids([(buyer, product, fields) for buyer, product, fields, _ in wanted])
        )
        leases = self.runner.run(market.leases(max(self.model.leases, default=0)))
        for (buyer, _, _, plain), answer in zip(wanted, answers, strict=True):
            least_fen, most_fen = free[buyer.participant_id]
            needed_fen = self.model.take_bid(
                plain, answer, free_fen=(least_fen, most_fen), now_us=market.world.now_us, year=self.year
            )
            free[buyer.participant_id] = least_fen - needed_fen, most_fen
            if isinstance(answer, OrderView):
                bid_id = number_of("ord", answer.id)
                self.orders.append((buyer, bid_id))
                self.model.take_leases([each for each in leases if each.bid_id == bid_id])
                self.model.take_orders({bid_id: answer})

    def cancel(self, pick: int) -> None:
        """Withdraw an order."""
        answer = self.runner.run(self.market.cancel(*self.orders[pick % len(self.orders)]))
        assert not isinstance(answer, Refusal) or answer.code == "order_not_live"

    def fail(self, pick: int, hour: int) -> None:
        """Report that an hour of a lease fails, or be refused once it is settled."""
        lease = list(self.model.leases.values())[-1 - pick % len(self.model.leases)]
        provider = next(
            each for each in self.market.providers if each.participant_id == lease.seen.provider_id
        )
        hour = lease.seen.starts_hour + hour % (lease.seen.ends_hour - lease.seen.starts_hour)
        refusal = self.runner.run(self.market.fail(provider, lease.seen.id, hour))
        assert (refusal is not None) == (hour < lease.next_hour)
        if refusal is None:
            lease.failing.add(hour)

    def pass_hours(self, hours: int, at_once: bool) -> None:  # noqa: FBT001
        """Let hours pass, one by one or in a leap."""
        for step in [hours] if at_once else [1] * hours:
            world = self.market.world
            self.runner.run(world.pass_hours(step, at_once=True))
            moved = self.runner.run(self.market.hours_moved())
            self.model.take_hours(moved, world.clock.hour() - world.exchange.settings.settlement_delay_hours)
            self.model.sweep(world.now_us)

    def step_voucher(self, pick: int, to: VoucherStatus) -> None:
        """Suspend, resume or revoke, or be refused."""
        voucher = list(self.model.vouchers.values())[pick % len(self.model.vouchers)]
        is_refused = (
            voucher.state in OVER or voucher.state == to or voucher.expires_at_us <= self.market.world.now_us
        )
        answer = self.runner.run(self.market.step_voucher(voucher.id, to))
        assert isinstance(answer, Refusal) == is_refused
        if not is_refused:
            voucher.state = to.value
            if to is VoucherStatus.REVOKED:
                voucher.move("available", "revoked", voucher.parts["available"])

    def take_leases(self) -> None:
        """Follow what traded since the last step."""
        self.model.take_leases(self.runner.run(self.market.leases(max(self.model.leases, default=0))))
