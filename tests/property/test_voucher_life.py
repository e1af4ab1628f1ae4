"""Vouchers and claims on the real PostgreSQL beside a plain model of them.

Hypothesis takes any steps in any order: issuing, holding, releasing, committing, delivering, refunding,
claiming, deciding, paying, expiring, also those that must be refused. After every step each voucher's parts
are the model's and sum to its face, issuance is within the budget and the caps, and no buyer has any cash:
whatever happens to a voucher, it never becomes money in its buyer's hands. After every run the books balance.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from exchange.kit.auth import Principal
from exchange.kit.database import Connection, Database
from exchange.kit.errors import Conflict, NotEnoughMoney
from exchange.ledger import service as ledger
from exchange.participants.models import ParticipantKind
from exchange.vouchers import claims, service
from exchange.vouchers.models import Balances, Capture, Claim, ClaimStatus, Voucher
from exchange.vouchers.programme_models import Programme
from exchange.vouchers.rules import DAY_US
from tests.voucher_world import VoucherWorld

T = TypeVar("T")
PARTS = Balances.__struct_fields__
BUDGET_FEN, CAP_FEN = 3_500, 2_000
small_fen = st.one_of(st.integers(1, 60), st.integers(1, 300))
either = st.integers(0, 1)


class VoucherLife(RuleBasedStateMachine):
    """One programme of 35.00 CNY, at most 20.00 a buyer and year; two buyers, two providers."""

    vouchers: Bundle[Voucher] = Bundle("vouchers")
    claims: Bundle[int] = Bundle("claims")

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        """Begin with an empty model."""
        super().__init__()
        self.runner = runner
        self.world = VoucherWorld(database)
        self.issued: list[Voucher] = []
        self.parts: dict[int, dict[str, int]] = {}
        self.unclaimed: list[Capture] = []
        self.lines: dict[int, list[Capture]] = {}
        self.status: dict[int, ClaimStatus] = {}
        self.hour = 0

    @initialize(target=vouchers)
    def begin(self) -> Any:
        """Register everybody, start the programme, and issue a voucher to each buyer."""
        kinds = ParticipantKind.ISSUER, *[ParticipantKind.BUYER] * 2, *[ParticipantKind.PROVIDER] * 2
        self.issuer, *others = [self.runner.run(self.world.join(kind)) for kind in kinds]
        self.buyers, self.providers = others[:2], others[2:]
        self.programme: Programme = self.runner.run(
            self.world.programme(
                self.issuer,
                self.providers[0],
                budget_fen=BUDGET_FEN,
                cap_per_year_fen=CAP_FEN,
                validity_days=10,
            )
        )
        self.cash_fen = {each.participant_id: 0 for each in (self.issuer, *self.buyers, *self.providers)}
        return multiple(*[self.issue_within_limits(buyer, 1_000) for buyer in self.buyers])

    def within(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """Do some work in a transaction."""

        async def transact() -> T:
            async with self.world.database.transaction() as connection:
                return await work(connection)

        return self.runner.run(transact())

    def move(self, voucher_id: int, source: str, target: str, fen: int) -> None:
        """Move a part of a voucher in the model."""
        self.parts[voucher_id][f"{source}_fen"] -= fen
        self.parts[voucher_id][f"{target}_fen"] += fen

    @rule(target=vouchers, number=either, fen=small_fen)
    def issue(self, number: int, fen: int) -> Any:
        """Issue, or be refused by the cap or else by the budget."""
        buyer = self.buyers[number]
        used_fen = sum(each.face_fen for each in self.issued if each.buyer_id == buyer.participant_id)
        total_fen = sum(each.face_fen for each in self.issued)
        code = ""
        if used_fen + fen > CAP_FEN:
            code = "yearly_cap_exceeded"
        elif total_fen + fen > BUDGET_FEN:
            code = "budget_exhausted"
        if code:
            with pytest.raises(Conflict) as caught:
                self.issue_within_limits(buyer, fen)
            assert caught.value.code == code
            return multiple()
        return self.issue_within_limits(buyer, fen)

    def issue_within_limits(self, buyer: Principal, fen: int) -> Voucher:
        """Issue what may be issued."""
        voucher = self.runner.run(self.world.issue(self.issuer, self.programme, buyer, fen))
        self.issued.append(voucher)
        self.parts[voucher.id] = dict.fromkeys(PARTS, 0) | {"available_fen": fen}
        return voucher

    @rule(voucher=vouchers, fen=small_fen)
    def hold(self, voucher: Voucher, fen: int) -> None:
        """Hold, or be refused where not so much is free."""
        step = self.world.hold(voucher, fen)
        if fen > self.parts[voucher.id]["available_fen"]:
            with pytest.raises(NotEnoughMoney):
                self.runner.run(step)
            return
        self.runner.run(step)
        self.move(voucher.id, "available", "held", fen)

    @rule(voucher=vouchers, fen=small_fen)
    def release(self, voucher: Voucher, fen: int) -> None:
        """Release some of what is held."""
        fen = min(fen, self.parts[voucher.id]["held_fen"])
        if fen:
            self.runner.run(self.world.release(voucher, fen))
            self.move(voucher.id, "held", "available", fen)

    @rule(voucher=vouchers, fen=small_fen)
    def commit(self, voucher: Voucher, fen: int) -> None:
        """Trade some of what is held."""
        fen = min(fen, self.parts[voucher.id]["held_fen"])
        if fen:
            self.runner.run(self.world.commit(voucher, fen))
            self.move(voucher.id, "held", "committed", fen)

    @rule(voucher=vouchers, fen=small_fen)
    def refund(self, voucher: Voucher, fen: int) -> None:
        """Fail to deliver some of what was traded, or be refused where not so much was."""
        step = self.world.refund(voucher, fen)
        if fen > self.parts[voucher.id]["committed_fen"]:
            with pytest.raises(NotEnoughMoney):
                self.runner.run(step)
            return
        self.runner.run(step)
        self.move(voucher.id, "committed", "available", fen)

    @rule(voucher=vouchers, fen=small_fen, number=either)
    def capture(self, voucher: Voucher, fen: int, number: int) -> None:
        """Go the whole way from what is free to a delivered hour."""
        fen = min(fen, self.parts[voucher.id]["available_fen"])
        if fen:
            self.hold(voucher, fen)
            self.commit(voucher, self.parts[voucher.id]["held_fen"])
            self.deliver(voucher, self.parts[voucher.id]["committed_fen"], number)

    @rule(voucher=vouchers, fen=small_fen, number=either)
    def deliver(self, voucher: Voucher, fen: int, number: int) -> None:
        """Deliver some of what was traded, whoever the provider."""
        fen = min(fen, self.parts[voucher.id]["committed_fen"])
        if fen:
            self.hour += 1
            self.unclaimed.append(
                self.runner.run(self.world.deliver(voucher, self.providers[number], fen, self.hour))
            )
            self.move(voucher.id, "committed", "captured", fen)

    @rule(days=st.integers(0, 4))
    def expire(self, days: int) -> None:
        """Let time go by and sweep."""
        self.world.now_us += days * DAY_US
        now_us = self.world.now_us
        expected = {}
        for voucher in self.issued:
            free_fen = self.parts[voucher.id]["available_fen"]
            if voucher.expires_at_us <= now_us and free_fen:
                expected[voucher.id] = free_fen
                self.move(voucher.id, "available", "expired", free_fen)
        swept = self.within(lambda connection: service.expire_due(connection, now_us))
        # The sweep also meets the vouchers of earlier runs, which share the database.
        own = [each for each in swept if each.programme_id == self.programme.id]
        returned = {each.voucher_id: each.returned_fen for each in own if each.returned_fen}
        assert returned == expected

    @rule(target=claims, number=either)
    def submit(self, number: int) -> Any:
        """Claim everything a provider captured, or be told that there is nothing."""
        provider = self.providers[number]
        lines = [each for each in self.unclaimed if each.provider_id == provider.participant_id]
        now_us, programme_id = self.world.now_us, self.programme.id
        if not lines:
            with pytest.raises(Conflict) as caught:
                self.within(lambda at: claims.submit_claim(at, provider, programme_id, now_us))
            assert caught.value.code == "nothing_to_claim"
            return multiple()
        claim = self.within(lambda at: claims.submit_claim(at, provider, programme_id, now_us))
        assert (claim.amount_fen, claim.line_count) == (sum(line.amount_fen for line in lines), len(lines))
        self.unclaimed = [each for each in self.unclaimed if each not in lines]
        self.lines[claim.id], self.status[claim.id] = lines, claim.status
        for line in lines:
            self.move(line.voucher_id, "captured", "claimed", line.amount_fen)
        return claim.id

    @rule(claim_id=claims, approves=st.booleans())
    def decide(self, claim_id: int, approves: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
        """Approve or reject, or be refused where that was done before."""
        issuer, now_us = self.issuer, self.world.now_us

        async def step(connection: Connection) -> Claim:
            if approves:
                return await claims.approve_claim(connection, issuer, claim_id, now_us)
            return await claims.reject_claim(connection, issuer, claim_id, "no", now_us)

        if self.status[claim_id] is not ClaimStatus.SUBMITTED:
            with pytest.raises(Conflict):
                self.within(step)
            return
        self.status[claim_id] = self.within(step).status
        if not approves:
            for line in self.lines[claim_id]:
                self.move(line.voucher_id, "claimed", "captured", line.amount_fen)
            self.unclaimed += self.lines.pop(claim_id)

    @rule(fen=st.integers(1, 600))
    def deposit(self, fen: int) -> None:
        """Give the issuer cash."""
        self.runner.run(self.world.deposit(self.issuer, fen))
        self.cash_fen[self.issuer.participant_id] += fen

    @rule(claim_id=claims)
    def pay(self, claim_id: int) -> None:
        """Pay, or be refused by the claim's state or by the issuer's cash."""
        issuer, now_us, accounts = self.issuer, self.world.now_us, self.world.accounts

        async def step(connection: Connection) -> Claim:
            return await claims.pay_claim(connection, issuer, claim_id, now_us, accounts)

        if self.status[claim_id] is not ClaimStatus.APPROVED:
            with pytest.raises(Conflict):
                self.within(step)
            return
        amount_fen = sum(line.amount_fen for line in self.lines[claim_id])
        if amount_fen > self.cash_fen[issuer.participant_id]:
            with pytest.raises(NotEnoughMoney):
                self.within(step)
            return
        claim = self.within(step)
        self.status[claim_id] = claim.status
        self.cash_fen[issuer.participant_id] -= amount_fen
        self.cash_fen[claim.provider_id] += amount_fen
        for line in self.lines[claim_id]:
            self.move(line.voucher_id, "claimed", "paid", line.amount_fen)

    @invariant()
    def vouchers_are_as_the_model_has_them(self) -> None:
        """Compare every voucher's parts, and their sum with its face."""
        if not self.issued:
            return
        seen = self.within(lambda connection: service.list_vouchers(connection, self.issuer, limit=100))
        assert {each.id: msgspec.structs.asdict(each.balances) for each in seen} == self.parts
        for voucher in seen:
            assert sum(msgspec.structs.asdict(voucher.balances).values()) == voucher.face_fen

    @invariant()
    def what_is_paid_is_redeemed(self) -> None:
        """Compare the issuer's redeemed account with what the model has paid."""
        if not self.issued:
            return
        redeemed_fen = self.within(
            lambda connection: connection.fetchval(
                "SELECT credits_posted_fen FROM ledger_account WHERE asset = $1 AND purpose = 'redeemed'",
                self.programme.asset,
            )
        )
        assert redeemed_fen == sum(parts["paid_fen"] for parts in self.parts.values())

    @invariant()
    def cash_is_where_the_model_has_it(self) -> None:
        """Compare everybody's cash; a buyer never has any."""
        if not hasattr(self, "cash_fen"):
            return

        async def cash_of(connection: Connection) -> dict[int, int]:
            rows = await connection.fetch(
                "SELECT participant_id, credits_posted_fen - debits_posted_fen AS fen FROM ledger_account"
                " WHERE asset = 'CNY' AND participant_id = ANY ($1::bigint[])",
                list(self.cash_fen),
            )
            found = dict.fromkeys(self.cash_fen, 0)
            for row in rows:
                found[row["participant_id"]] += row["fen"]
            return found

        assert self.within(cash_of) == self.cash_fen
        assert all(self.cash_fen[buyer.participant_id] == 0 for buyer in self.buyers)

    def teardown(self) -> None:
        """Check the books; no order or lease stands behind the money of this test: those are not compared."""
        assert self.within(ledger.check_balances) == []
        assert self.within(ledger.check_programmes) == []


def test_vouchers_live_as_their_plain_model(database_url: str) -> None:
    with asyncio.Runner() as runner:
        database = runner.run(Database.connect(database_url, connections_min=1))

        class Machine(VoucherLife):
            def __init__(self) -> None:
                super().__init__(runner, database)

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=25,
                stateful_step_count=60,
                deadline=None,
                # Shrinking would begin the world anew hundreds of times; a failure names all its steps.
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
            ),
        )
        runner.run(database.close())
