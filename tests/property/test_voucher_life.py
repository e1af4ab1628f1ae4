"""Vouchers and claims on the real PostgreSQL beside a plain model of them.

Hypothesis takes any steps in any order: issuing, holding, releasing, committing, delivering, refunding,
expiring, suspending, revoking, claiming and every step of a claim by anybody, raising and lowering the budget
and closing the programme, also those that are refused.
Hours are held under rules that pay the provider, or under later ones that reimburse the buyer. After every
step each voucher's parts are the model's and sum to its face, issuance is within the budget and the caps, and
a buyer's cash is what its own claims were paid less what it paid back, never more than was captured for it:
by no other way does a voucher become money in its buyer's hands. After every run the books balance.
"""

import asyncio
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from exchange.claims import service as claims
from exchange.claims.models import Claim, ClaimStatus, WantedStep
from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_DAY
from exchange.kit.database import Connection, Database
from exchange.kit.errors import Conflict, NotEnoughMoney, NotFound, Refusal
from exchange.ledger import service as ledger
from exchange.participants.models import ParticipantKind
from exchange.vouchers import life, service
from exchange.vouchers.models import Balances, Capture, Voucher, VoucherStatus
from tests.hypothesis_profiles import examples
from tests.plain_claim import WAYS, PlainClaim, line_order
from tests.programme_machine import ProgrammeMachine

T = TypeVar("T")
PARTS = Balances.__struct_fields__
BUDGET_FEN, CAP_FEN = 3_500, 2_000
AUDITED_BPS = 4_000
small_fen = st.one_of(st.integers(1, 60), st.integers(1, 300))
either = st.integers(0, 1)
one_of_four = st.integers(0, 3)
INSTANT, REIMBURSE = 1, 2
versions = st.sampled_from([INSTANT, REIMBURSE])


class VoucherLife(ProgrammeMachine):
    """One programme of 35.00 CNY, at most 20.00 a buyer and year; two buyers, two providers.

    Its rules paid at once at first, and reimburse now; orders are held under both.
    """

    vouchers: Bundle[Voucher] = Bundle("vouchers")
    claims: Bundle[int] = Bundle("claims")

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        """Begin with an empty model."""
        super().__init__(runner, database, BUDGET_FEN)
        self.states: dict[int, str] = {}
        self.parts: dict[int, dict[str, int]] = {}
        self.unclaimed: list[Capture] = []
        self.claimed: dict[int, PlainClaim] = {}
        self.hour = 0
        self.draws = 0

    @initialize(target=vouchers)
    def begin(self) -> Any:
        """Register everybody, start the programme, and issue a voucher to each buyer."""
        kinds = ParticipantKind.ISSUER, *[ParticipantKind.BUYER] * 2, *[ParticipantKind.PROVIDER] * 2
        self.issuer, *others = [self.runner.run(self.world.join(kind)) for kind in kinds]
        self.buyers, self.providers = others[:2], others[2:]
        self.programme = self.runner.run(
            self.world.programme(
                self.issuer,
                self.providers[0],
                budget_fen=BUDGET_FEN,
                cap_per_year_fen=CAP_FEN,
                validity_days=20,
                audit_sample_bps=AUDITED_BPS,
            )
        )
        changed = self.runner.run(self.world.change_rules(self.issuer, self.programme, mode="reimburse"))
        assert changed == REIMBURSE
        self.claimants = [*self.providers, *self.buyers]
        self.reimbursable_fen = {each.participant_id: 0 for each in self.buyers}
        self.cash_fen = {each.participant_id: 0 for each in (self.issuer, *self.buyers, *self.providers)}
        return multiple(*[self.issue_within_limits(buyer, 1_000) for buyer in self.buyers])

    def draw(self, _seed: bytes, _claim_id: int) -> int:
        """Draw for audit what the same steps draw again: Hypothesis takes them more than once."""
        self.draws += 1
        return self.draws * 3_571 % 10_000

    def move(self, voucher_id: int, source: str, target: str, fen: int) -> None:
        """Move a part of a voucher in the model."""
        self.parts[voucher_id][f"{source}_fen"] -= fen
        self.parts[voucher_id][f"{target}_fen"] += fen

    @rule(target=vouchers, number=either, fen=small_fen)
    def issue(self, number: int, fen: int) -> Any:
        """Issue, or be refused because all is over, by the cap or else by the budget."""
        buyer = self.buyers[number]
        used_fen = sum(each.face_fen for each in self.issued if each.buyer_id == buyer.participant_id)
        total_fen = sum(each.face_fen for each in self.issued)
        code = ""
        if self.closed:
            code = "programme_not_open"
        elif used_fen + fen > CAP_FEN:
            code = "yearly_cap_exceeded"
        elif total_fen + fen > self.budget_fen:
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
        self.states[voucher.id] = "active"
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

    @rule(voucher=vouchers, fen=small_fen, number=either, version=versions)
    def capture(self, voucher: Voucher, fen: int, number: int, version: int) -> None:
        """Go the whole way from what is free to a delivered hour."""
        fen = min(fen, self.parts[voucher.id]["available_fen"])
        if fen:
            self.hold(voucher, fen)
            self.commit(voucher, self.parts[voucher.id]["held_fen"])
            self.deliver(voucher, self.parts[voucher.id]["committed_fen"], number, version)

    @rule(voucher=vouchers, fen=small_fen, number=either, version=versions)
    def deliver(self, voucher: Voucher, fen: int, number: int, version: int) -> None:
        """Deliver some of what was traded, whoever the provider, and whoever is to claim it."""
        fen = min(fen, self.parts[voucher.id]["committed_fen"])
        if not fen:
            return
        self.hour += 1
        provider = claimant = self.providers[number]
        if version == REIMBURSE:
            claimant = next(each for each in self.buyers if each.participant_id == voucher.buyer_id)
            self.reimbursable_fen[voucher.buyer_id] += fen
        delivered = self.world.deliver(
            voucher, provider, fen, self.hour, claimant=claimant, held_under=version
        )
        self.unclaimed.append(self.runner.run(delivered))
        self.move(voucher.id, "committed", "captured", fen)

    @rule(days=st.integers(0, 4))
    def expire(self, days: int) -> None:
        """Let time go by and sweep."""
        self.world.now_us += days * US_PER_DAY
        now_us = self.world.now_us
        expected = {}
        for voucher in self.issued:
            free_fen = self.parts[voucher.id]["available_fen"]
            is_revoked = self.states[voucher.id] == "revoked"
            if voucher.expires_at_us <= now_us and not is_revoked:
                self.states[voucher.id] = "expired"
            if free_fen and self.states[voucher.id] in {"expired", "revoked"}:
                expected[voucher.id] = free_fen
                self.move(voucher.id, "available", self.states[voucher.id], free_fen)
        swept = self.within(lambda connection: service.expire_due(connection, now_us))
        # The sweep also meets the vouchers of earlier runs, which share the database.
        own = [each for each in swept if each.programme_id == self.programme.id]
        returned = {each.voucher_id: each.returned_fen for each in own if each.returned_fen}
        assert returned == expected

    @rule(
        voucher=vouchers,
        to=st.sampled_from([*[VoucherStatus.SUSPENDED, VoucherStatus.ACTIVE] * 3, VoucherStatus.REVOKED]),
        by=st.sampled_from(["issuer", "issuer", "issuer", "buyer"]),
    )
    def step_voucher(self, voucher: Voucher, to: VoucherStatus, by: str) -> None:
        """Suspend, resume or revoke, or be refused: nothing is done to one that is over, nor by its buyer."""
        caller = self.issuer if by == "issuer" else self.buyers[0]
        now_us = self.world.now_us
        state = self.states[voucher.id]
        refusal: type[Refusal] | None = None
        if by == "buyer":
            refusal = NotFound
        elif state not in {"active", "suspended"} or state == to or voucher.expires_at_us <= now_us:
            refusal = Conflict

        def take() -> Voucher:
            return self.within(lambda at: life.step_voucher(at, caller, voucher.id, to, "because", now_us))

        if refusal is not None:
            with pytest.raises(refusal):
                take()
            return
        assert take().status is to
        self.states[voucher.id] = to.value
        if to is VoucherStatus.REVOKED:
            self.move(voucher.id, "available", "revoked", self.parts[voucher.id]["available_fen"])

    @rule(target=claims, number=one_of_four, submits=st.booleans())
    def claim(self, number: int, submits: bool) -> Any:  # noqa: FBT001 - drawn by Hypothesis
        """Claim everything that was captured for a claimant, or be told that there is nothing."""
        claimant = self.claimants[number]
        lines = [each for each in self.unclaimed if each.claimant_id == claimant.participant_id]
        now_us, programme_id = self.world.now_us, self.programme.id
        make = claims.submit_claim if submits else claims.open_claim
        if not lines:
            with pytest.raises(Conflict) as caught:
                self.within(lambda at: make(at, claimant, programme_id, now_us))
            assert caught.value.code == "nothing_to_claim"
            return multiple()
        claim = self.within(lambda at: make(at, claimant, programme_id, now_us))
        assert (claim.amount_fen, claim.line_count) == (sum(line.amount_fen for line in lines), len(lines))
        self.unclaimed = [each for each in self.unclaimed if each not in lines]
        self.claimed[claim.id] = PlainClaim(claimant, sorted(lines, key=line_order))
        if submits:
            self.follow(self.claimed[claim.id], claim)
        return claim.id

    @rule(target=claims, voucher=vouchers, fen=small_fen, number=either, version=versions)
    def deliver_and_claim(self, voucher: Voucher, fen: int, number: int, version: int) -> Any:
        """Go the whole way from what is free to an open claim."""
        self.capture(voucher, fen, number, version)
        ids = [each.participant_id for each in self.claimants]
        return self.claim(ids.index(voucher.buyer_id) if version == REIMBURSE else number, submits=False)

    def follow(self, model: PlainClaim, claim: Claim) -> None:
        """Bring a claim of the model to submitted, and on to audit where the draw said so."""
        model.status = "submitted"
        self.shift(model, "captured", "claimed")
        assert claim.draw is not None
        if claim.draw.number < AUDITED_BPS:
            model.status = "in_audit"
        assert claim.status.value == model.status

    def shift(self, model: PlainClaim, source: str, target: str, parts: list[int] | None = None) -> None:
        """Move some of each line of a claim, all that is left of it unless told otherwise."""
        for line, fen in zip(model.lines, parts or model.left_fen, strict=True):
            self.move(line.voucher_id, source, target, fen)

    @rule(
        claim_id=claims,
        to=st.sampled_from(ClaimStatus),
        by=st.sampled_from(["issuer", "claimant", "buyer", "provider"]),
        fen=st.none() | small_fen,
    )
    def step_at_random(self, claim_id: int, to: ClaimStatus, by: str, fen: int | None) -> None:
        """Try any step as anybody."""
        self.step(claim_id, to, by, fen)

    @rule(claim_id=claims, choices=st.lists(st.integers(0, 5), min_size=1, max_size=8), fen=small_fen)
    def live_on(self, claim_id: int, choices: list[int], fen: int) -> None:
        """Give the issuer some cash and take a few of the steps that there are, each as its own party."""
        self.deposit(fen)
        for choice in choices:
            self.step_on(claim_id, choice, fen)

    def step_on(self, claim_id: int, choice: int, fen: int) -> None:
        """Take one of the steps that there are."""
        model = self.claimed[claim_id]
        ways = [way for way in WAYS if way[0] == model.status]
        if ways:
            _, to, by = ways[choice % len(ways)]
            whole_fen = sum(model.left_fen) - (to == "reduced")
            amount_fen = min(fen, whole_fen) if to in {"reduced", "clawback_open"} else None
            self.step(claim_id, ClaimStatus(to), by, amount_fen)

    def step(self, claim_id: int, to: ClaimStatus, by: str, fen: int | None) -> None:
        """Take a step, or be refused with what the model says."""
        model = self.claimed[claim_id]
        callers = {"issuer": self.issuer, "claimant": model.claimant}
        for kind, some in (("buyer", self.buyers), ("provider", self.providers)):
            callers[kind] = next(each for each in some if each is not model.claimant)
        now_us, accounts = self.world.now_us, self.world.accounts
        wanted = WantedStep(to_status=to, reason="because", amount_fen=fen)

        def take() -> Claim:
            return self.within(
                lambda at: claims.take_step(at, callers[by], claim_id, wanted, now_us, accounts)
            )

        payer = {ClaimStatus.PAID: self.issuer, ClaimStatus.RECOVERED: model.claimant}.get(to)
        cash_fen = None if payer is None else self.cash_fen[payer.participant_id]
        refusal = model.refusal_of(to.value, by, fen, cash_fen)
        if refusal is not None:
            with pytest.raises(refusal):
                take()
            return
        claim = take()
        if to is ClaimStatus.SUBMITTED:
            self.follow(model, claim)
            return
        model.status = to.value
        assert claim.status is to
        if to is ClaimStatus.REJECTED:
            self.shift(model, "claimed", "captured")
            self.unclaimed += model.lines
            model.lines, model.left_fen = [], []
        elif fen is not None and to is ClaimStatus.REDUCED:
            self.shift(model, "claimed", "reduced", model.take_off(sum(model.left_fen) - fen))
        elif to is ClaimStatus.PAID:
            self.shift(model, "claimed", "paid")
            self.pay(self.issuer, model.claimant, sum(model.left_fen))
        elif fen is not None and to is ClaimStatus.CLAWBACK_OPEN:
            model.clawback_fen = fen
        elif to is ClaimStatus.RECOVERED:
            self.shift(model, "paid", "recovered", model.take_off(model.clawback_fen))
            self.pay(model.claimant, self.issuer, model.clawback_fen)

    def pay(self, payer: Principal, payee: Principal, fen: int) -> None:
        """Move cash in the model."""
        self.cash_fen[payer.participant_id] -= fen
        self.cash_fen[payee.participant_id] += fen

    @rule(fen=st.integers(1, 600))
    def deposit(self, fen: int) -> None:
        """Give the issuer cash."""
        self.runner.run(self.world.deposit(self.issuer, fen))
        self.cash_fen[self.issuer.participant_id] += fen

    @invariant()
    def vouchers_are_as_the_model_has_them(self) -> None:
        """Compare every voucher's parts, and their sum with its face."""
        if not self.issued:
            return
        seen = self.within(lambda connection: service.list_vouchers(connection, self.issuer, limit=100))
        assert {each.id: msgspec.structs.asdict(each.balances) for each in seen} == self.parts
        assert {each.id: each.status.value for each in seen} == self.states
        for voucher in seen:
            assert sum(msgspec.structs.asdict(voucher.balances).values()) == voucher.face_fen

    @invariant()
    def what_is_paid_is_redeemed(self) -> None:
        """Compare the issuer's redeemed account with what the model has paid."""
        if not self.issued:
            return
        redeemed_fen = self.within(
            lambda connection: connection.fetchval(
                "SELECT credits_posted_fen - debits_posted_fen FROM ledger_account"
                " WHERE asset = $1 AND purpose = 'redeemed'",
                self.programme.asset,
            )
        )
        assert redeemed_fen == sum(parts["paid_fen"] for parts in self.parts.values())

    @invariant()
    def cash_is_where_the_model_has_it(self) -> None:
        """Compare everybody's cash; a buyer never has more than was captured for it to be reimbursed."""
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
        assert all(0 <= self.cash_fen[each] <= most_fen for each, most_fen in self.reimbursable_fen.items())

    def teardown(self) -> None:
        """Check the books; no order or lease stands behind the money of this test: those are not compared."""
        assert self.within(ledger.check_balances) == []
        assert self.within(ledger.check_programmes) == []


def test_vouchers_live_as_their_plain_model(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with asyncio.Runner() as runner:
        database = runner.run(Database.connect(database_url, connections_min=1))

        class Machine(VoucherLife):
            def __init__(self) -> None:
                super().__init__(runner, database)
                monkeypatch.setattr(claims, "drawn_number", self.draw)

        run_state_machine_as_test(
            Machine,
            settings=settings(
                examples(25, steps=60),
                deadline=None,
                # Shrinking would begin the world anew hundreds of times; a failure names all its steps.
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
            ),
        )
        runner.run(database.close())
