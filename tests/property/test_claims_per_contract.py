"""Goal: no contract is ever in more claims than the rules allow, and no line waits that need not.

Method: Hypothesis begins leases of two providers, settles their hours with and without captures, opens and
rejects claims and changes how many a contract may have, in any order, on the real PostgreSQL. A model as
plain as can be keeps for each lease its hours and the claim of each line, and says before every claim what
is in it: of each lease all that is free, where the rules it began under leave room after it for a last
claim, or the lease has ended.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from exchange.claims.models import ClaimStatus
from exchange.kit.auth import Principal
from exchange.kit.database import Database
from exchange.kit.errors import Conflict
from exchange.ledger import service as ledger
from tests.claim_world import ClaimWorld
from tests.lease_rows import insert_lease, settle_hour

T = TypeVar("T")
FACE_FEN = 10_000
claims_max = st.none() | st.integers(1, 4)
either = st.integers(0, 1)


class PlainLease:
    """A lease in the model: how many of its hours are left, and the claim of each line, 0: none."""

    def __init__(self, provider: Principal, hours: int, held_under: int, claims_max: int | None) -> None:
        """Begin with nothing settled, under a version of the rules and the limit that it has."""
        self.provider = provider
        self.held_under = held_under
        self.claims_max = claims_max
        self.hours_left = hours
        self.lines: list[tuple[int, int]] = []
        """(fen, claim)."""

    @property
    def claims(self) -> set[int]:
        """The claims that it is in."""
        return {claim for _, claim in self.lines if claim}

    @property
    def free_fen(self) -> list[int]:
        """What of it is not claimed."""
        return [fen for fen, claim in self.lines if not claim]

    @property
    def gives(self) -> bool:
        """Whether a claim opened now takes its free lines."""
        still_to_come = 1 if self.hours_left else 0
        return self.claims_max is None or len(self.claims) + 1 + still_to_come <= self.claims_max


class ContractClaims(RuleBasedStateMachine):
    """One programme, two providers, any number of leases."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        """Begin with an empty model."""
        super().__init__()
        self.runner = runner
        self.world = ClaimWorld(database)
        self.leases: dict[int, PlainLease] = {}
        self.open: list[int] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do some work to its end."""
        return self.runner.run(work)

    @initialize(claims_max=claims_max)
    def begin(self, claims_max: int | None) -> None:
        """Let a voucher be traded whole, claim what the world began with, and begin a lease of each provider.

        A run need not have every rule, so nothing that others need is left to one.
        """
        self.run(self.world.settle())
        self.providers = [self.world.provider, self.world.other_provider]
        for provider in self.providers:
            self.run(self.world.submit(provider))
        self.voucher = self.run(
            self.world.issue(self.world.issuer, self.world.plan, self.world.buyer, FACE_FEN)
        )
        self.run(self.world.hold(self.voucher, FACE_FEN))
        self.run(self.world.commit(self.voucher, FACE_FEN))
        self.change(claims_max)
        for number in (0, 1):
            self.lease(number, 12)

    @rule(claims_max=claims_max)
    def change(self, claims_max: int | None) -> None:
        """Change how many claims a contract may be in that begins from now on."""
        self.claims_max = claims_max
        world = self.world
        self.version = self.run(
            world.change_rules(world.issuer, world.plan, max_claims_per_contract=claims_max)
        )

    @rule(number=either, hours=st.integers(1, 8))
    def lease(self, number: int, hours: int) -> None:
        """Begin a lease."""
        provider, buyer_id = self.providers[number], self.world.buyer.participant_id

        async def begin() -> int:
            async with self.world.database.transaction() as connection:
                return await insert_lease(connection, provider.participant_id, buyer_id, hours)

        self.leases[self.run(begin())] = PlainLease(provider, hours, self.version, self.claims_max)

    @rule(pick=st.integers(0, 100), amounts_fen=st.lists(st.integers(0, 30), min_size=1, max_size=4))
    def settle(self, pick: int, amounts_fen: list[int]) -> None:
        """Settle some hours of a lease that has not ended; of one with 0, vouchers pay nothing."""
        running = [each for each, lease in self.leases.items() if lease.hours_left]
        for fen in amounts_fen if running else ():
            lease_id = running[pick % len(running)]
            lease = self.leases[lease_id]
            if lease.hours_left:
                self.run(self._settle_hour(lease_id, lease, fen))
                lease.hours_left -= 1
                lease.lines += [(fen, 0)] if fen else []

    async def _settle_hour(self, lease_id: int, lease: PlainLease, fen: int) -> None:
        async with self.world.database.transaction() as connection:
            hour = await settle_hour(connection, lease_id)
        if fen:
            await self.world.deliver(
                self.voucher, lease.provider, fen, hour, held_under=lease.held_under, lease_id=lease_id
            )

    @rule(number=either)
    def claim(self, number: int) -> None:
        """Claim what there is, or be told that there is nothing, or that it waits."""
        provider = self.providers[number]
        own = [each for each in self.leases.values() if each.provider is provider and each.free_fen]
        giving = [each for each in own if each.gives]
        if not giving:
            with pytest.raises(Conflict) as caught:
                self.run(self.world.submit(provider))
            assert caught.value.code == "nothing_to_claim"
            assert ("wholly delivered and settled" in caught.value.detail) == bool(own)
            event("all of it waits" if own else "nothing is there")
            return
        made = self.run(self.world.submit(provider))
        amounts_fen = [fen for lease in giving for fen in lease.free_fen]
        assert (made.amount_fen, made.line_count) == (sum(amounts_fen), len(amounts_fen))
        for lease in giving:
            lease.lines = [(fen, claim or made.id) for fen, claim in lease.lines]
            assert lease.claims_max is None or len(lease.claims) <= lease.claims_max
        self.open.append(made.id)
        event("some of it waits" if len(giving) < len(own) else "nothing waits")

    @rule(pick=st.integers(0, 100), hours=st.integers(1, 4))
    def settle_and_claim(self, pick: int, hours: int) -> None:
        """Settle hours of a lease and claim after each: so a lease comes to be in many claims."""
        for _ in range(hours):
            self.settle(pick, [7])
            for number in (0, 1):
                self.claim(number)

    @rule(pick=st.integers(0, 100))
    def reject(self, pick: int) -> None:
        """Reject a claim: its lines are free again."""
        if self.open:
            claim_id = self.open.pop(pick % len(self.open))
            self.run(self.world.step_id(claim_id, ClaimStatus.REJECTED, reason="no invoice"))
            for lease in self.leases.values():
                lease.lines = [(fen, 0 if claim == claim_id else claim) for fen, claim in lease.lines]

    @invariant()
    def every_line_is_in_the_claim_that_the_model_has_it_in(self) -> None:
        """Compare what of each lease is in which claim."""
        if not self.leases:
            return

        async def stored() -> dict[int, list[tuple[int, int]]]:
            found: dict[int, list[tuple[int, int]]] = {each: [] for each in self.leases}
            async with self.world.database.connection() as connection:
                for row in await connection.fetch(
                    "SELECT lease_id, amount_fen, coalesce(claim_id, 0) AS claim_id FROM voucher_capture"
                    " WHERE lease_id = ANY ($1::bigint[]) ORDER BY lease_id, delivery_hour",
                    list(found),
                ):
                    found[row["lease_id"]].append((row["amount_fen"], row["claim_id"]))
            return found

        assert self.run(stored()) == {each: lease.lines for each, lease in self.leases.items()}

    def teardown(self) -> None:
        """Check the books."""

        async def check() -> None:
            async with self.world.database.connection() as connection:
                assert await ledger.check_balances(connection) == []
                assert await ledger.check_programmes(connection) == []

        self.run(check())


def test_a_contract_is_in_as_many_claims_as_its_rules_allow_and_what_waits_is_claimed_in_the_end(
    database_url: str,
) -> None:
    with asyncio.Runner() as runner:
        database = runner.run(Database.connect(database_url, connections_min=1))

        class Machine(ContractClaims):
            def __init__(self) -> None:
                super().__init__(runner, database)

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=25,
                stateful_step_count=50,
                deadline=None,
                # Shrinking would begin the world anew hundreds of times; a failure names all its steps.
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
            ),
        )
        runner.run(database.close())
