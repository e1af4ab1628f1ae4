"""Goal: whatever is done where several programmes pay, every voucher and every fen is where it must be.

Method: a Hypothesis state machine on the running exchange and the real PostgreSQL, beside a plain model
(`tests.plain_exchange`). It issues vouchers of three programmes (one that pays at once and stacks, one that
reimburses and stacks, one drawn: alone, the higher of both, or stacking, with a yearly cap that counts what
is used), changes their rules, lets asks and bids of any kind trade, one by one and several in one batch,
cancels, lets hours and days pass, fails hours, suspends and revokes, claims and takes every step of a claim.
After every step the exchange's vouchers, holds, fills, hours, captures, caps and cash are the model's; after
every run, and every few steps, its books agree with themselves.
"""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from exchange.claims.models import ClaimStatus
from exchange.kit.auth import Principal
from exchange.kit.errors import Refusal
from exchange.vouchers.models import Voucher, VoucherStatus
from tests.hypothesis_profiles import examples, is_long
from tests.market_world import MarketWorld, open_market
from tests.plain_claim import WAYS
from tests.plain_vouchers import OVER, PARTS
from tests.voucher_machine import Price, VoucherMachine, asks, bids, either, picks, prices
from tests.voucher_market import BUYERS, Cash

STEPS_BETWEEN_CHECKS = 12
ROUNDS = 30 if is_long() else 6
RUNS_A_ROUND = 4
"""Many rounds of few runs: those of a round begin alike, and Hypothesis makes them like each other."""

claim_steps = st.lists(st.sampled_from([0, 1, 1, 2, 3]), max_size=6)
voucher_steps = st.sampled_from([VoucherStatus.SUSPENDED, VoucherStatus.ACTIVE, VoucherStatus.REVOKED])


class VoucherMarketMachine(VoucherMachine):
    """What is done, and what must hold after it. Few rules of several kinds, so that no run lacks any."""

    def __init__(self, runner: asyncio.Runner, world: MarketWorld) -> None:
        """Begin before anybody has joined."""
        super().__init__(runner, world)
        self.steps = 0

    @rule(
        offered=asks,
        needed=st.lists(bids, min_size=1, max_size=3),
        price=prices,
        failing=st.none() | picks,
        hours=st.sampled_from([0, 0, 10]),
    )
    def trade(
        self,
        offered: dict[str, Any],
        needed: list[dict[str, Any]],
        price: Price,
        failing: int | None,
        hours: int,
    ) -> None:
        """Offer capacity, ask for some at the same price; an hour may fail, all of it may be delivered."""
        self.ask(offered, price)
        self.place([self.wanted_bid(each, price) for each in needed])
        if failing is not None and self.model.leases:
            self.fail(0, failing)
        if hours:
            self.pass_hours(hours, at_once=True)

    @rule(
        wanted=st.one_of(
            st.tuples(asks, prices),
            st.lists(st.tuples(bids, prices), min_size=1, max_size=2),
            st.lists(st.tuples(bids, prices), min_size=2, max_size=4),
            picks,
        )
    )
    def order(self, wanted: Any) -> None:
        """Place an ask, or bids in one batch of the exchange; or withdraw an order."""
        if isinstance(wanted, tuple):
            self.ask(*wanted)
        elif isinstance(wanted, list):
            self.place([self.wanted_bid(*each) for each in wanted])
        else:
            self.cancel(wanted)

    @precondition(lambda self: self.model.leases)
    @rule(pick=picks, hour=picks)
    def report(self, pick: int, hour: int) -> None:
        """Report that an hour of a lease fails."""
        self.fail(pick, hour)

    @rule(hours=st.sampled_from([1, 1, 1, 2, 2, 5, 24]), at_once=either)
    def wait(self, hours: int, at_once: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        """Let hours pass, one by one or in a leap; a day only in a leap."""
        self.pass_hours(hours, at_once=at_once or hours > 5)

    @rule(
        what=st.one_of(
            st.tuples(st.just("issue"), st.integers(0, 2), st.integers(0, BUYERS - 1), st.integers(1, 3_000)),
            st.tuples(st.just("rules"), st.integers(0, 2), st.integers(0, 2**32 - 1)),
            st.tuples(st.just("step"), picks, voucher_steps),
        )
    )
    def govern(self, what: tuple[Any, ...]) -> None:
        """Issue a voucher, change rules, or suspend, resume or revoke."""
        kind, *arguments = what
        if kind == "issue":
            self.issue(*arguments)
        elif kind == "rules":
            self.change_rules(*arguments)
        else:
            self.step_voucher(*arguments)

    @rule(pick=picks, submits=either, choices=claim_steps, fen=st.integers(1, 2_000))
    def claim(self, pick: int, choices: list[int], fen: int, submits: bool) -> None:  # noqa: FBT001
        """Claim everything of a programme that is somebody's, or be told that there is nothing."""
        claimants = [*self.market.buyers, *self.market.providers]
        pairs = [(who, number) for who in claimants for number in range(3)]
        programmes = self.market.programmes
        ready = [each for each in pairs if self.model.claimable(each[0], programmes[each[1]].id)]
        chosen = ready if ready and pick % 10 else pairs
        claimant, number = chosen[pick % len(chosen)]
        claim_id = self.claim_of(claimant, number, submits=submits)
        if claim_id is not None:
            self.step_on(claim_id, choices, fen)

    def claim_of(self, claimant: Principal, number: int, *, submits: bool) -> int | None:
        """Claim everything of a programme that is a claimant's."""
        programme_id = self.market.programmes[number].id
        lines = self.model.claimable(claimant, programme_id)
        answer = self.runner.run(self.market.claim(number, claimant, submits=submits))
        if isinstance(answer, Refusal):
            assert answer.code == "nothing_to_claim"
            assert not lines
            return None
        assert (answer.amount_fen, answer.line_count) == (sum(line.amount_fen for line in lines), len(lines))
        claim = self.model.take_claim(answer.id, claimant, programme_id)
        if submits:
            self.model.follow_claim(claim, "submitted", None, self.market.issuer.participant_id)
        return answer.id

    @precondition(lambda self: self.model.claims)
    @rule(pick=picks, choices=claim_steps, fen=st.integers(1, 2_000))
    def step_claims(self, pick: int, choices: list[int], fen: int) -> None:
        """Take some of the steps that a claim can take."""
        claim_ids = list(self.model.claims)
        self.step_on(claim_ids[-1 - pick % len(claim_ids)], choices, fen)

    def claim_everything(self) -> None:
        """Let everybody claim what there is, and take each of these claims another way."""
        for number in range(len(self.market.programmes)):
            for who, claimant in enumerate((*self.market.buyers, *self.market.providers)):
                if self.model.claimable(claimant, self.market.programmes[number].id):
                    claim_id = self.claim_of(claimant, number, submits=True)
                    assert claim_id is not None
                    self.step_on(claim_id, [(who + number + step) % 4 for step in range(6)], 100 + who)
        self.everything_is_as_the_model_has_it()

    def step_on(self, claim_id: int, choices: list[int], fen: int) -> None:
        """Take steps of a claim, each by whom it is for."""
        claim = self.model.claims[claim_id]
        for choice in choices:
            ways = [(to, by) for state, to, by in WAYS if state == claim.status]
            if not ways:
                return
            to, role = ways[choice % len(ways)]
            whole_fen = sum(claim.left_fen) - (to == "reduced")
            amount_fen = min(fen, whole_fen) if to in {"reduced", "clawback_open"} else None
            by = claim.claimant if role == "claimant" else self.market.issuer
            cash_fen = self.runner.run(self.market.cash([by]))[by.participant_id].free_fen
            payment = {"paid": sum(claim.left_fen), "recovered": claim.clawback_fen}.get(to, 0)
            is_refused = payment > cash_fen or amount_fen == 0
            answer = self.runner.run(self.market.step_claim(claim_id, ClaimStatus(to), by, amount_fen))
            assert isinstance(answer, Refusal) == is_refused
            if not is_refused:
                self.model.follow_claim(claim, to, amount_fen, self.market.issuer.participant_id)

    @invariant()
    def everything_is_as_the_model_has_it(self) -> None:
        """Compare all there is."""
        if not self.market.programmes:
            return
        self.steps += 1
        self.runner.run(self.compare(with_books=self.steps % STEPS_BETWEEN_CHECKS == 0))

    async def compare(self, *, with_books: bool) -> None:
        """Compare what the exchange has stored with the model."""
        market, model = self.market, self.model
        assert await market.leases(max(model.leases, default=0)) == []
        orders = {
            key: told for buyer in market.buyers for key, told in (await market.orders_of(buyer)).items()
        }
        model.take_orders({bid: orders[bid] for bid in model.bids})
        self.judge_vouchers(await market.vouchers())
        assert await market.captures() == model.captures
        assert await market.uses() == model.uses
        self.judge_cash(await market.cash([*market.buyers, *market.providers, market.issuer]))
        self.judge_limits()
        if with_books:
            assert await market.world.differences() == []

    def judge_vouchers(self, told: dict[int, Voucher]) -> None:
        """Compare each voucher's parts and state; of one that is over, all that is free goes."""
        assert set(told) == set(self.model.vouchers)
        for voucher_id, voucher in self.model.vouchers.items():
            balances = told[voucher_id].balances
            parts = {part: getattr(balances, f"{part}_fen") for part in PARTS}
            assert told[voucher_id].status.value == voucher.state
            assert sum(parts.values()) == voucher.face_fen
            assert min(parts.values()) >= 0
            expected = {part: voucher.parts[part] for part in PARTS}
            if voucher.state in OVER:
                for each in (parts, expected):
                    each[voucher.state] += each.pop("available")
            assert parts == expected

    def judge_cash(self, cash: dict[int, Cash]) -> None:
        """Everybody's cash is what came in less what went out; a buyer's in escrow is that of its leases."""
        model = self.model
        for owner_id, held in cash.items():
            assert held.own_fen + held.escrow_fen == model.cash_fen[owner_id]
        for buyer in self.market.buyers:
            own = [each for each in model.leases.values() if each.seen.buyer_id == buyer.participant_id]
            assert cash[buyer.participant_id].escrow_fen == sum(each.open_fen.get(0, 0) for each in own)

    def judge_limits(self) -> None:
        """No programme issues beyond its budget or caps, nor do orders use more than a cap."""
        for programme in self.model.programmes.values():
            assert programme.issued_fen.total() <= programme.budget_fen
            rules = programme.rules
            if rules.cap_fen is None:
                continue
            group = [each.participant_id for each in self.market.buyers[:2]]
            capped = [sum(programme.issued_fen[each] for each in group)] if rules.caps_group else []
            if not rules.caps_use:
                assert max([*programme.issued_fen.values(), *capped], default=0) <= rules.cap_fen
                continue
            for (_, subject_id), fen in programme.used_fen.items():
                is_capped = (subject_id not in self.model.groups) or not (
                    rules.caps_group and self.model.groups[subject_id]
                )
                if is_capped and (rules.caps_group or subject_id in self.model.groups):
                    assert fen <= rules.cap_fen

    def teardown(self) -> None:
        """Withdraw everything, let everything be delivered, and find nothing left hanging."""
        if not self.market.programmes:
            return
        for owner, order_id in self.orders:
            self.runner.run(self.market.cancel(owner, order_id))
        if sys.exc_info()[0] is not None:
            return  # a step has failed, and is to be told
        self.everything_is_as_the_model_has_it()
        for hours in (12, 1):
            self.pass_hours(hours, at_once=True)
            self.everything_is_as_the_model_has_it()
        self.claim_everything()
        for voucher in self.model.vouchers.values():
            assert (voucher.parts["held"], voucher.parts["committed"]) == (0, 0)
        told = self.runner.run(self.market.vouchers())
        assert all(each.balances.available_fen == 0 for each in told.values() if each.status.value in OVER)
        assert self.runner.run(self.market.world.differences()) == []


def test_a_market_of_several_programmes_is_as_its_plain_model(database_url: str, tmp_path: Path) -> None:
    with asyncio.Runner() as runner, contextlib.ExitStack() as closing:
        opened = open_market(database_url, tmp_path)
        world = runner.run(opened.__aenter__())
        closing.callback(lambda: runner.run(opened.__aexit__(None, None, None)))

        class Machine(VoucherMarketMachine):
            def __init__(self) -> None:
                super().__init__(runner, world)

        # Shrinking would begin the world anew hundreds of times; a failure names all its steps.
        chosen = settings(
            examples(RUNS_A_ROUND, steps=40),
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        for number in range(ROUNDS):
            Machine.number = number
            if not is_long():
                seed(number)(Machine)
            run_state_machine_as_test(Machine, settings=chosen)
