"""A small world to try claims in: a voucher, two providers who delivered for parts of it, and its claims."""

from typing import Any

from exchange.claims import service
from exchange.claims.evidence import attach
from exchange.claims.models import Claim, ClaimStatus, Evidence, WantedStep
from exchange.kit.auth import Principal
from exchange.ledger import service as ledger
from exchange.ledger.models import Purpose
from exchange.ledger.rules import available_fen
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import Programme
from exchange.vouchers.models import Balances, Voucher
from tests.voucher_world import VoucherWorld


class ClaimWorld(VoucherWorld):
    """A voucher of 100.00 CNY of which 60.00 was captured over three hours, 40.00 of it at `provider`.

    Where the rules say reimburse, all of it is the buyer's to claim; otherwise each provider's own.
    """

    issuer: Principal
    buyer: Principal
    provider: Principal
    other_provider: Principal
    plan: Programme
    issued: Voucher

    async def settle(self, **rules: Any) -> None:
        """Bring the world to its beginning."""
        self.issuer, self.buyer = [
            await self.join(kind) for kind in (ParticipantKind.ISSUER, ParticipantKind.BUYER)
        ]
        self.provider, self.other_provider = [await self.join(ParticipantKind.PROVIDER) for _ in range(2)]
        self.plan = await self.programme(self.issuer, self.provider, **rules)
        self.issued = await self.issue(self.issuer, self.plan, self.buyer, 10_000)
        claimant = self.buyer if self.plan.rules.mode == "reimburse" else None
        await self.captured(self.issued, self.provider, 1_000, hour=1, claimant=claimant)
        await self.captured(self.issued, self.provider, 3_000, hour=2, claimant=claimant)
        await self.captured(self.issued, self.other_provider, 2_000, hour=3, claimant=claimant)

    async def submit(self, claimant: Principal | None = None) -> Claim:
        """Claim everything of a claimant, `provider` unless told otherwise."""
        async with self.database.transaction() as connection:
            return await service.submit_claim(
                connection, claimant or self.provider, self.plan.id, self.now_us
            )

    async def open(self, claimant: Principal | None = None) -> Claim:
        """Claim everything of a claimant, `provider` unless told otherwise, but do not submit it yet."""
        async with self.database.transaction() as connection:
            return await service.open_claim(connection, claimant or self.provider, self.plan.id, self.now_us)

    async def step(
        self,
        claim: Claim,
        to: ClaimStatus,
        by: Principal | None = None,
        *,
        reason: str = "",
        fen: int | None = None,
    ) -> Claim:
        """Take a step of a claim, as the issuer unless told otherwise."""
        return await self.step_id(claim.id, to, by, reason=reason, fen=fen)

    async def step_id(
        self,
        claim_id: int,
        to: ClaimStatus,
        by: Principal | None = None,
        *,
        reason: str = "",
        fen: int | None = None,
    ) -> Claim:
        """Take a step of the claim of an id."""
        wanted = WantedStep(to_status=to, reason=reason, amount_fen=fen)
        async with self.database.transaction() as connection:
            return await service.take_step(
                connection, by or self.issuer, claim_id, wanted, self.now_us, self.accounts
            )

    async def attach(self, claim: Claim, name: str, by: Principal | None = None) -> Evidence:
        """Attach a small file to a claim, as `provider` unless told otherwise."""
        async with self.database.transaction() as connection:
            return await attach(
                connection,
                by or self.provider,
                claim.id,
                name=name,
                content_type="text/plain",
                content=name.encode(),
                now_us=self.now_us,
            )

    async def approve(self, claim: Claim, by: Principal | None = None) -> Claim:
        """Approve a claim."""
        return await self.step(claim, ClaimStatus.APPROVED, by)

    async def reject(self, claim: Claim, by: Principal | None = None) -> Claim:
        """Reject a claim."""
        return await self.step(claim, ClaimStatus.REJECTED, by, reason="no invoice")

    async def pay(self, claim: Claim, by: Principal | None = None) -> Claim:
        """Pay a claim."""
        return await self.step(claim, ClaimStatus.PAID, by)

    async def read(self, claim: Claim, seen_by: Principal) -> Claim:
        """Read a claim again."""
        async with self.database.connection() as connection:
            return await service.get_claim(connection, seen_by, claim.id)

    async def has_fen(self, owner: Principal, asset: str, purpose: Purpose) -> int:
        """Return what a participant has in its account of a purpose; 0 where none is open."""
        async with self.database.connection() as connection:
            found = await ledger.balances(connection, owner.participant_id, limit=1000)
        return sum(available_fen(each) for each in found if (each.asset, each.purpose) == (asset, purpose))

    async def parts(self) -> tuple[int, int, int]:
        """Return what of the voucher is captured, claimed and paid."""
        balances: Balances = (await self.voucher(self.issued, self.buyer)).balances
        return balances.captured_fen, balances.claimed_fen, balances.paid_fen
