"""A small world to try vouchers in: an issuer, buyers, a provider, and money that moves as orders move it.

`hold`, `release`, `commit`, `deliver` and `refund` post the transfers that orders and settlement post, but
without an order or a lease: a test of vouchers says what happens to a voucher, not why.
"""

import itertools
from typing import Final

import msgspec

from exchange.kit.auth import Principal
from exchange.kit.database import Connection, Database
from exchange.kit.ids import encode_id, new_id
from exchange.ledger import service as ledger
from exchange.ledger.models import Transfer, TransferKind, TransferReason
from exchange.ledger.service import AccountDirectory
from exchange.participants import service as participants
from exchange.participants.models import (
    NewParticipant,
    Ownership,
    Participant,
    ParticipantKind,
    SizeClass,
)
from exchange.participants.rules import KIND_SCOPES
from exchange.programmes import life as programme_life
from exchange.programmes import service as programmes
from exchange.programmes.models import (
    NewProgramme,
    NewVersion,
    Programme,
    ProgrammeRules,
    ProgrammeStatus,
    ProviderRule,
    RateTier,
    RulesVersion,
)
from exchange.programmes.registry import ProgrammeRegistry
from exchange.programmes.rules import asset_of
from exchange.vouchers import service, wallet
from exchange.vouchers.models import Capture, UsableVoucher, Voucher

NOW_US: Final = 1_772_000_000_000_000
"""2026-02-25T06:13:20Z: where the tests' venue time begins."""

_numbers = itertools.count(1)


def principal_of(participant: Participant) -> Principal:
    """Return a caller with a key of everything this participant's kind may do."""
    return Principal(
        key_id=new_id(),
        participant_id=participant.id,
        kind=participant.kind,
        name=participant.name,
        trade_group_id=participant.trade_group_id,
        scopes=KIND_SCOPES[participant.kind],
    )


def transfer_of(
    voucher: Voucher,
    kind: TransferKind,
    reason: TransferReason,
    debit_account_id: int,
    credit_account_id: int,
    fen: int,
) -> Transfer:
    """Return a transfer in the asset of a voucher's programme."""
    return Transfer(
        group_id=voucher.id,
        kind=kind,
        reason=reason,
        asset=asset_of(voucher.programme_id),
        debit_account_id=debit_account_id,
        credit_account_id=credit_account_id,
        amount_fen=fen,
        subject_id=voucher.id,
    )


class VoucherWorld:
    """Participants and programmes in one database; every method is one transaction of its own."""

    def __init__(self, database: Database) -> None:
        """Start with nobody."""
        self.database = database
        self.accounts = AccountDirectory()
        self.registry = ProgrammeRegistry()
        self.now_us = NOW_US

    async def join(
        self,
        kind: ParticipantKind,
        *,
        region: str = "beijing",
        size_class: SizeClass = SizeClass.SMALL,
        trade_group_id: int | None = None,
        ownership: Ownership = Ownership.STATE,
    ) -> Principal:
        """Register a participant of a kind under a fresh name."""
        is_provider, is_buyer = kind is ParticipantKind.PROVIDER, kind is ParticipantKind.BUYER
        new = NewParticipant(
            kind=kind,
            name=f"{kind.value} {next(_numbers)}",
            region=region if is_provider or is_buyer else None,
            trade_group_id=None if trade_group_id is None else encode_id("grp", trade_group_id),
            ownership=ownership if is_provider else None,
            size_class=size_class if is_buyer else None,
            founded_on="2024-05-01" if is_buyer else None,
        )
        async with self.database.transaction() as connection:
            return principal_of(await participants.create_participant(connection, None, new, self.now_us))

    async def programme(
        self, issuer: Principal, provider: Principal | ProviderRule, *, draft: bool = False, **rules: object
    ) -> Programme:
        """Start a programme of one provider, or a rule: 30 %, budget 1,000 CNY, 500 CNY a year, 90 days."""
        given = {
            "budget_fen": 100_000,
            "rate_tiers": (RateTier(bps=3_000),),
            "cap_per_year_fen": 50_000,
            "validity_days": 90,
            "provider": provider
            if isinstance(provider, ProviderRule)
            else ProviderRule(admitted=(encode_id("par", provider.participant_id),)),
            **rules,
        }
        new = NewProgramme(
            code=f"programme-{next(_numbers)}",
            name="算力券",
            rules=ProgrammeRules(**given),  # type: ignore[arg-type]  # a test names the fields it means
            draft=draft,
        )
        async with self.database.transaction() as connection:
            return await programmes.create_programme(connection, issuer, new, self.now_us)

    async def change(
        self,
        issuer: Principal,
        programme: Programme,
        *,
        effective_from: str | None = None,
        effective_until: str | None = None,
        **rules: object,
    ) -> RulesVersion:
        """Give a programme a version: its rules with these fields instead."""
        changed = msgspec.structs.replace(programme.rules, **rules)
        new = NewVersion(rules=changed, effective_from=effective_from, effective_until=effective_until)
        async with self.database.transaction() as connection:
            return await programmes.add_version(connection, issuer, programme.id, new, self.now_us)

    async def step_programme(
        self, issuer: Principal, programme: Programme, to: ProgrammeStatus, reason: str = "the year is over"
    ) -> Programme:
        """Open or close a programme."""
        async with self.database.transaction() as connection:
            return await programme_life.step_programme(
                connection, issuer, programme.id, to, reason, self.now_us
            )

    async def change_rules(self, issuer: Principal, programme: Programme, **changes: object) -> int:
        """Give a programme further rules, let time go by until they are in force, and return their number."""
        rules = msgspec.structs.replace(programme.rules, **changes)
        async with self.database.transaction() as connection:
            version = await programmes.add_version(
                connection, issuer, programme.id, NewVersion(rules=rules), self.now_us
            )
        self.now_us = max(self.now_us, version.effective_from_us)
        return version.number

    async def issue(self, issuer: Principal, programme: Programme, buyer: Principal, fen: int) -> Voucher:
        """Issue a voucher."""
        async with self.database.transaction() as connection:
            return await service.issue_voucher(
                connection, issuer, programme.id, buyer.participant_id, fen, self.now_us
            )

    async def deposit(self, owner: Principal, fen: int) -> None:
        """Give a participant cash."""
        operator = await self.join(ParticipantKind.OPERATOR)
        async with self.database.transaction() as connection:
            await ledger.deposit(connection, operator, owner.participant_id, fen, "", self.now_us)

    async def voucher(self, voucher: Voucher, seen_by: Principal) -> Voucher:
        """Read a voucher again."""
        async with self.database.connection() as connection:
            return await service.get_voucher(connection, seen_by, voucher.id)

    async def hold(self, voucher: Voucher, fen: int) -> None:
        """Set some of a voucher aside, as placing an order does."""
        await self._move(voucher, TransferKind.PENDING, TransferReason.HOLD, fen)

    async def release(self, voucher: Voucher, fen: int) -> None:
        """Give back what was set aside, as cancelling does."""
        await self._move(voucher, TransferKind.VOID_PENDING, TransferReason.HOLD_RELEASE, fen)

    async def commit(self, voucher: Voucher, fen: int) -> None:
        """Move what was set aside to escrow, as a trade does."""
        await self._move(voucher, TransferKind.POST_PENDING, TransferReason.TRADE, fen)

    async def refund(self, voucher: Voucher, fen: int) -> None:
        """Return escrowed money to the voucher, as an hour that failed does."""
        async with self.database.transaction() as connection:
            usable = await self._usable(connection, voucher)
            step = transfer_of(
                voucher,
                TransferKind.POSTED,
                TransferReason.DELIVERY_REFUND,
                usable.escrow_account_id,
                usable.account_id,
                fen,
            )
            await ledger.post(connection, [step], self.now_us)

    async def deliver(
        self,
        voucher: Voucher,
        provider: Principal,
        fen: int,
        hour: int,
        *,
        claimant: Principal | None = None,
        held_under: int | None = None,
        lease_id: int | None = None,
    ) -> Capture:
        """Capture escrowed money, as a delivered hour does; the lease has the voucher's id.

        It is the provider's to claim, or the `claimant`'s: the buyer's, of whom the rules that the money was
        `held_under` (those of the voucher's issue, unless told otherwise) say that it is reimbursed.
        """
        capture = Capture(
            lease_id=lease_id or voucher.id,
            delivery_hour=hour,
            voucher_id=voucher.id,
            programme_id=voucher.programme_id,
            programme_version=held_under or voucher.programme_version,
            provider_id=provider.participant_id,
            claimant_id=(claimant or provider).participant_id,
            amount_fen=fen,
        )
        pair = capture.claimant_id, asset_of(voucher.programme_id)
        async with self.database.transaction() as connection:
            usable = await self._usable(connection, voucher)
            receivable_id = (await service.receivable_accounts(connection, {pair}, self.now_us))[pair]
            step = transfer_of(
                voucher,
                TransferKind.POSTED,
                TransferReason.DELIVERY,
                usable.escrow_account_id,
                receivable_id,
                fen,
            )
            await ledger.post(connection, [step], self.now_us)
            await service.record_captures(connection, [capture], self.now_us)
        return capture

    async def captured(
        self,
        voucher: Voucher,
        provider: Principal,
        fen: int,
        hour: int = 1,
        *,
        claimant: Principal | None = None,
        lease_id: int | None = None,
    ) -> None:
        """Take some of a voucher all the way to a capture."""
        await self.hold(voucher, fen)
        await self.commit(voucher, fen)
        await self.deliver(voucher, provider, fen, hour, claimant=claimant, lease_id=lease_id)

    async def _move(self, voucher: Voucher, kind: TransferKind, reason: TransferReason, fen: int) -> None:
        async with self.database.transaction() as connection:
            usable = await self._usable(connection, voucher)
            step = transfer_of(voucher, kind, reason, usable.account_id, usable.escrow_account_id, fen)
            await ledger.post(connection, [step], self.now_us)

    async def _usable(self, connection: Connection, voucher: Voucher) -> UsableVoucher:
        found = await wallet.vouchers_for_update(
            connection, {voucher.buyer_id}, self.registry, self.now_us, {voucher.id}
        )
        return next(each for each in found if each.voucher_id == voucher.id)
