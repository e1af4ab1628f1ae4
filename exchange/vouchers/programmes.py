"""Programmes: created from posted rules, listed, and known to the order path by their eligibility bits.

Everyone with a key may read a programme; only an issuer makes one. Creation opens the programme's asset and
the issuer's three accounts in it and books the whole budget, so that no voucher can ever be issued beyond it.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal
from exchange.kit.database import Connection, UniqueViolation
from exchange.kit.errors import Conflict, Faults, Forbidden, NotFound
from exchange.kit.ids import decode_id, new_id
from exchange.ledger import service as ledger
from exchange.ledger.models import AccountKey, Purpose, Transfer, TransferKind, TransferReason
from exchange.participants import service as participants
from exchange.participants.models import ParticipantKind
from exchange.vouchers import store
from exchange.vouchers.models import ID_MAX
from exchange.vouchers.programme_models import (
    NewProgramme,
    Programme,
    ProgrammeRules,
    ProgrammeStatus,
    RequiredOrigin,
)
from exchange.vouchers.programme_rules import admitted_providers, find_rule_faults, pays_for_origin
from exchange.vouchers.rules import asset_of, programme_mask

VERSION_FIRST: Final = 1


class ProgrammeRegistry:
    """Which provider is admitted by which programme for what: all the order path must know, in memory.

    Knows every programme but drafts: vouchers of one that is exhausted or closed are spent like any other. An
    ask keeps the mask it was placed with, so a programme created later does not reach asks that already rest.

    Invariant: whoever has awaited `refresh` finds here all that was committed before it was called, however
    many refresh at a time and in whatever order their answers come.
    """

    def __init__(self) -> None:
        self._asked = 0
        self._answered = 0
        self._masks: Mapping[int, int] = {}
        self._admitting: Mapping[int, tuple[tuple[int, RequiredOrigin], ...]] = {}

    async def refresh(self, connection: Connection) -> None:
        """Read the programmes again; call at start-up and after one was created or changed."""
        self._asked += 1
        number = self._asked
        masks: dict[int, int] = {}
        admitting: dict[int, tuple[tuple[int, RequiredOrigin], ...]] = {}
        for programme in await store.page_of_programmes(connection):
            if programme.status is ProgrammeStatus.DRAFT:
                continue
            mask = masks[programme.id] = programme_mask(programme.ordinal)
            origin = programme.rules.capacity.origin
            for provider_id in admitted_providers(programme.rules):
                admitting[provider_id] = (*admitting.get(provider_id, ()), (mask, origin))
        if number > self._answered:  # else one who asked later has stored what is at least as new
            self._answered = number
            self._masks, self._admitting = masks, admitting

    def ask_mask(self, provider_id: int, product_origin: str) -> int:
        """Return the bits of all programmes that pay this provider for a product of this origin."""
        mask = 0
        for bit, required in self._admitting.get(provider_id, ()):
            if pays_for_origin(required, product_origin):
                mask |= bit
        return mask

    def programme_mask(self, programme_id: int) -> int:
        """Return the bit of a programme; raises KeyError for one that is unknown or a draft."""
        return self._masks[programme_id]


async def create_programme(
    connection: Connection, principal: Principal, new: NewProgramme, now_us: int, faults: Faults | None = None
) -> Programme:
    """Store a programme, in force at once, and book its budget.

    Refuses rules that this version does not obey, with every fault at once; `faults` are those already found
    while the body was read. Raises `Forbidden` for anyone but an issuer, `Conflict` where the code is taken.
    """
    if principal.kind != ParticipantKind.ISSUER:
        raise Forbidden(detail="only an issuer makes a programme")
    faults = Faults() if faults is None else faults
    if isinstance(new.rules, ProgrammeRules):  # not so where the rules themselves were at fault
        find_rule_faults(new.rules, faults)
        await _find_stranger_faults(connection, new.rules, faults)
    faults.raise_if_any()
    programme_id = new_id()
    programme = Programme(
        id=programme_id,
        ordinal=0,
        issuer_id=principal.participant_id,
        code=new.code,
        name=new.name,
        asset=asset_of(programme_id),
        status=ProgrammeStatus.OPEN,
        budget_fen=new.rules.budget_fen,
        issued_fen=0,
        created_at_us=now_us,
        version=VERSION_FIRST,
        effective_from_us=now_us,
        rules=new.rules,
    )
    await ledger.create_asset(connection, programme.asset, now_us)
    try:
        ordinal = await store.insert_programme(connection, programme)
    except UniqueViolation as error:
        raise Conflict("already_exists", f"a programme with the code {new.code} exists already") from error
    await _book_budget(connection, programme, now_us)
    record = AuditRecord(
        code="PRGM",
        event_at_us=now_us,
        actor_participant_id=principal.participant_id,
        key_id=principal.key_id,
        participant_id=principal.participant_id,
        subject_id=programme_id,
        detail={"code": new.code, "version": VERSION_FIRST, "budget_fen": programme.budget_fen},
    )
    await insert_audit_records(connection, [record])
    return msgspec.structs.replace(programme, ordinal=ordinal)


async def _find_stranger_faults(connection: Connection, rules: ProgrammeRules, faults: Faults) -> None:
    """Record every admitted provider that is not a provider of this exchange."""
    ids = {index: decode_id("par", text) for index, text in enumerate(rules.provider.admitted)}
    known = await participants.participants_by_ids(
        connection, {each for each in ids.values() if each is not None}
    )
    for index, participant_id in ids.items():
        if participant_id is None:
            continue
        found = known.get(participant_id)
        if found is None or found.kind is not ParticipantKind.PROVIDER:
            where = f"/rules/provider/admitted/{index}"
            faults.add(
                where, "not_a_provider", "is not a provider of this exchange", rules.provider.admitted[index]
            )


async def _book_budget(connection: Connection, programme: Programme, now_us: int) -> None:
    """Open the issuer's accounts in the programme's asset and put the whole budget in one of them."""
    issuer_id, asset = programme.issuer_id, programme.asset
    source_id = await ledger.open_account(
        connection, issuer_id, asset, Purpose.PROGRAMME_SOURCE, allows_overdraft=True, at_us=now_us
    )
    budget = AccountKey(issuer_id, asset, Purpose.BUDGET)
    redeemed = AccountKey(issuer_id, asset, Purpose.REDEEMED)
    opened = await ledger.ensure_accounts(connection, [budget, redeemed], now_us)
    transfer = Transfer(
        group_id=programme.id,
        kind=TransferKind.POSTED,
        reason=TransferReason.PROGRAMME_BUDGET,
        asset=asset,
        debit_account_id=source_id,
        credit_account_id=opened[budget],
        amount_fen=programme.budget_fen,
        subject_id=programme.id,
    )
    await ledger.post(connection, [transfer], now_us)


async def list_programmes(connection: Connection, *, before_id: int = ID_MAX, limit: int) -> list[Programme]:
    """Return programmes created before one, newest first."""
    return await store.page_of_programmes(connection, before_id, limit)


async def get_programme(connection: Connection, programme_id: int) -> Programme:
    """Return one programme, or raise `NotFound`."""
    programme = await store.programme_by_id(connection, programme_id)
    if programme is None:
        raise NotFound(detail="there is no such programme")
    return programme
