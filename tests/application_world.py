"""A world in which companies apply: every method is one transaction of its own, as one request is."""

from typing import Any, Final

import msgspec

from exchange.applications import allocation
from exchange.applications import service as applications
from exchange.applications.models import Allocation, Application, ApplicationStatus, WantedStep
from exchange.kit.auth import Principal
from exchange.kit.clock import format_rfc3339
from exchange.kit.ids import new_id
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import ApplicationWindow, Programme, ProviderRule
from tests.voucher_world import VoucherWorld

HOUR_US: Final = 3_600_000_000
TABLES: Final = (
    "application",
    "application_step",
    "voucher",
    "programme_year_use",
    "ledger_transfer",
    "ledger_account",
    "audit_record",
)


def another_key(principal: Principal) -> Principal:
    """Return the same participant with another key."""
    return msgspec.structs.replace(principal, key_id=new_id())


class ApplicationWorld(VoucherWorld):
    """One issuer and one company, and what they do with applications."""

    issuer: Principal
    buyer: Principal

    async def settle(self) -> None:
        """Bring the world to its beginning."""
        self.issuer = await self.join(ParticipantKind.ISSUER)
        self.buyer = await self.join(ParticipantKind.BUYER)

    def window(self, opens_hours: int, closes_hours: int) -> ApplicationWindow:
        """Return a window by hours from now."""
        return ApplicationWindow(
            opens_at=format_rfc3339(self.now_us + opens_hours * HOUR_US),
            closes_at=format_rfc3339(self.now_us + closes_hours * HOUR_US),
        )

    async def plan(self, **rules: Any) -> Programme:
        """Start a programme of the issuer: budget 1,000 CNY, 500 CNY a year and company."""
        return await self.programme(self.issuer, ProviderRule(), **rules)

    async def apply(
        self, plan: Programme, fen: int, by: Principal | None = None, purpose: str = "training"
    ) -> Application:
        """Apply, as the company unless told otherwise."""
        async with self.database.transaction() as connection:
            return await applications.apply(connection, by or self.buyer, plan.id, fen, purpose, self.now_us)

    async def step(
        self,
        application: Application,
        to: ApplicationStatus,
        by: Principal | None = None,
        *,
        reason: str = "",
        fen: int | None = None,
    ) -> Application:
        """Take a step, as the issuer unless told otherwise."""
        wanted = WantedStep(to_status=to, reason=reason, amount_fen=fen)
        async with self.database.transaction() as connection:
            return await applications.take_step(
                connection, by or self.issuer, application.id, wanted, self.now_us
            )

    async def score(self, application: Application, score: int, by: Principal | None = None) -> Application:
        """Give a score, as the issuer unless told otherwise."""
        async with self.database.transaction() as connection:
            return await applications.score_application(
                connection, by or self.issuer, application.id, score, "read by two", self.now_us
            )

    async def allocate(self, plan: Programme, by: Principal | None = None) -> Allocation:
        """Allocate, as the issuer unless told otherwise."""
        async with self.database.transaction() as connection:
            return await allocation.allocate_by_score(connection, by or self.issuer, plan.id, self.now_us)

    async def read(self, application: Application, by: Principal | None = None) -> Application:
        """Read an application again, as its company unless told otherwise."""
        async with self.database.connection() as connection:
            return await applications.get_application(connection, by or self.buyer, application.id)

    async def told(self, application: Application) -> list[tuple[str, str, str, int | None]]:
        """Return the history that the company reads, as (from, to, by, fen)."""
        async with self.database.connection() as connection:
            steps = await applications.list_steps(connection, self.buyer, application.id, limit=100)
        assert [step.number for step in steps] == list(range(1, len(steps) + 1))
        return [
            (step.from_status.value, step.to_status.value, step.actor_role.value, step.amount_fen)
            for step in steps
        ]

    async def rows(self) -> dict[str, int]:
        """Count what is stored."""
        async with self.database.connection() as connection:
            return {
                table: await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - names of ours
                for table in TABLES
            }
