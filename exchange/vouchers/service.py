"""Vouchers: issued, shown, met by orders, captured by delivery, expired.

All run inside the caller's transaction; none commits. A voucher is two accounts of its programme's asset,
`voucher` and `voucher_escrow`; holding, committing and returning it are the ledger's transfers and
settlement's doing.

A voucher leaves its budget for good: what expires goes back to the issuer's budget account, but still counts
as issued, so a programme never issues more than its budget over its whole life.

Locks: whoever takes several vouchers takes their accounts in order of ids. Issuance locks the programme
first, which is what makes the budget and the yearly cap exact under any concurrency.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from exchange.kit import own_reasons
from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal
from exchange.kit.clock import US_PER_DAY
from exchange.kit.database import Connection
from exchange.kit.errors import Conflict, Fault, InvalidInput, NotFound
from exchange.kit.fields import format_cny
from exchange.kit.ids import ID_MAX, encode_id, new_id
from exchange.ledger import service as ledger
from exchange.ledger.models import AccountKey, Purpose, Transfer, TransferKind, TransferReason
from exchange.participants import service as participants
from exchange.participants.models import EXCHANGE_ID, Participant, ParticipantKind
from exchange.programmes.judgement import Standing
from exchange.programmes.models import Programme, ProgrammeRules, ProgrammeStatus
from exchange.programmes.steps import ISSUED_REASON, lock_own_programme, record_step
from exchange.vouchers import store
from exchange.vouchers.issue_rules import issue_objections, needs_committee, refuse_if_any
from exchange.vouchers.models import (
    Balances,
    Capture,
    ExpiredVoucher,
    LockedVoucher,
    Voucher,
    VoucherStatus,
    VoucherStep,
)
from exchange.vouchers.rules import calendar_year, sight_of, year_begins_us

EXPIRY_REASON: Final = own_reasons.text("voucher_expired")
RELEASE_REASON: Final = own_reasons.text("order_gave_free")

_AUDIT_CODES: Final[Mapping[VoucherStatus, str]] = {
    VoucherStatus.ACTIVE: "VRES",
    VoucherStatus.SUSPENDED: "VSUS",
    VoucherStatus.REVOKED: "VREV",
    VoucherStatus.EXPIRED: "VEXP",
}
"""The code of the audit record of a step, by where it leads."""


async def issue_voucher(
    connection: Connection,
    principal: Principal,
    programme_id: int,
    buyer_id: int,
    amount_fen: int,
    now_us: int,
) -> Voucher:
    """Issue a voucher of `amount_fen` to a buyer, good for as long as its programme's rules say.

    Raises `NotFound` or `Forbidden` where the programme is not the principal's, `InvalidInput` for a buyer
    who does not exist, and `Conflict` with the code allocated_by_application, needs_committee,
    buyer_not_eligible, programme_not_open, yearly_cap_exceeded or budget_exhausted, in this order of
    precedence; `errors` names all that is in the way.
    """
    programme = await lock_own_programme(connection, principal, programme_id, now_us, "issues its vouchers")
    if programme.rules.allocation != "first_come":
        raise Conflict(
            "allocated_by_application", "the programme's vouchers go to companies that apply for them"
        )
    if needs_committee(programme.rules, amount_fen):
        above_cny = format_cny(programme.rules.review.committee_above_fen or 0)
        detail = (
            f"above {above_cny} CNY two keys of the issuer grant it: the company applies, and both approve"
        )
        raise Conflict("needs_committee", detail)
    buyer = await participants.find_participant(connection, buyer_id)
    if buyer is None:
        named = encode_id("par", buyer_id)
        fault = Fault("/buyer_id", "unknown_participant", "is not a participant of this exchange", named)
        raise InvalidInput(detail=f"{fault.pointer} {fault.detail}", errors=[fault])
    refuse_if_any(await objections_to(connection, programme, buyer, amount_fen, now_us))
    [voucher] = await issue_vouchers(connection, principal, programme, [(buyer_id, amount_fen)], now_us)
    return voucher


async def objections_to(
    connection: Connection, programme: Programme, buyer: Participant, amount_fen: int, now_us: int
) -> list[Fault]:
    """Return what keeps a locked programme from issuing a voucher of an amount to a company now."""
    standings = await company_standings(connection, {programme.id: programme.rules}, [buyer.id], now_us)
    standing = standings[programme.id, buyer.id]
    return list(issue_objections(programme, buyer, standing, amount_fen, now_us))


async def issue_vouchers(
    connection: Connection,
    principal: Principal | None,
    programme: Programme,
    grants: Sequence[tuple[int, int]],
    now_us: int,
) -> list[Voucher]:
    """Issue a voucher for each (buyer id, fen), in order, under a locked programme, which has no objection.

    Without a principal they are the exchange's own doing. The statements do not grow with the grants; the
    database's guards of the budget and the yearly cap stand behind the caller's judgement.
    """
    if not grants:
        return []
    buyers = await participants.participants_by_ids(connection, {buyer_id for buyer_id, _ in grants})
    vouchers = [
        Voucher(
            id=new_id(),
            programme_id=programme.id,
            programme_code=programme.code,
            programme_version=programme.version.number,
            issuer_id=programme.issuer_id,
            buyer_id=buyer_id,
            buyer_name=buyers[buyer_id].name,
            face_fen=amount_fen,
            status=VoucherStatus.ACTIVE,
            issued_at_us=now_us,
            expires_at_us=now_us + programme.rules.validity_days * US_PER_DAY,
            balances=Balances(available_fen=amount_fen),
        )
        for buyer_id, amount_fen in grants
    ]
    await _book_issue(connection, programme, vouchers, now_us)
    records = [
        AuditRecord(
            code="VISS",
            event_at_us=now_us,
            actor_participant_id=EXCHANGE_ID if principal is None else principal.participant_id,
            key_id=None if principal is None else principal.key_id,
            participant_id=voucher.buyer_id,
            subject_id=voucher.id,
            detail={
                "programme_id": programme.id,
                "programme_version": voucher.programme_version,
                "face_fen": voucher.face_fen,
            },
        )
        for voucher in vouchers
    ]
    await insert_audit_records(connection, records)
    return vouchers


async def company_standings(
    connection: Connection,
    programmes: Mapping[int, ProgrammeRules | None],
    buyer_ids: Collection[int],
    now_us: int,
) -> Mapping[tuple[int, int], Standing]:
    """Return how companies stand in the present calendar year, by (programme, company). One statement.

    `programmes` gives the rules in force of each; what the company spent is only counted for rules that ask.
    """
    year = calendar_year(now_us)
    return await store.standings(
        connection,
        list(programmes),
        buyer_ids,
        year=year,
        year_from_us=year_begins_us(year),
        year_until_us=year_begins_us(year + 1),
        counts_spend=any(rules is not None and rules.min_annual_spend_fen for rules in programmes.values()),
    )


async def _book_issue(
    connection: Connection, programme: Programme, vouchers: Sequence[Voucher], now_us: int
) -> None:
    if not vouchers:
        return
    asset = programme.asset
    budget = AccountKey(programme.issuer_id, asset, Purpose.BUDGET)
    free = [AccountKey(each.buyer_id, asset, Purpose.VOUCHER, each.id) for each in vouchers]
    escrow = [AccountKey(each.buyer_id, asset, Purpose.VOUCHER_ESCROW, each.id) for each in vouchers]
    accounts = await ledger.ensure_accounts(connection, [budget, *free, *escrow], now_us)
    if sum(voucher.face_fen for voucher in vouchers) == programme.unissued_fen:
        await record_step(connection, None, programme, ProgrammeStatus.EXHAUSTED, ISSUED_REASON, now_us)
    await store.insert_vouchers(
        connection,
        vouchers,
        account_ids=[accounts[key] for key in free],
        escrow_account_ids=[accounts[key] for key in escrow],
        year=calendar_year(now_us),
        cap_fen=programme.rules.cap_per_year_fen if programme.rules.cap_counts == "issued" else None,
    )
    transfers = [
        Transfer(
            group_id=voucher.id,
            kind=TransferKind.POSTED,
            reason=TransferReason.VOUCHER_ISSUE,
            asset=asset,
            debit_account_id=accounts[budget],
            credit_account_id=accounts[key],
            amount_fen=voucher.face_fen,
            subject_id=voucher.id,
        )
        for voucher, key in zip(vouchers, free, strict=True)
    ]
    await ledger.post(connection, transfers, now_us)


async def list_vouchers(
    connection: Connection,
    principal: Principal,
    *,
    programme_id: int | None = None,
    voucher_id: int | None = None,
    before_id: int = ID_MAX,
    limit: int,
) -> list[Voucher]:
    """Return the vouchers a principal may see (`rules.sight_of`), newest first."""
    sight = sight_of(principal, ParticipantKind.BUYER)
    if sight is None:
        return []
    return await store.page_of_vouchers(
        connection,
        buyer_id=sight.party_id,
        issuer_id=sight.issuer_id,
        programme_id=programme_id,
        voucher_id=voucher_id,
        before_id=before_id,
        limit=limit,
    )


async def get_voucher(connection: Connection, principal: Principal, voucher_id: int) -> Voucher:
    """Return one voucher that the principal may see, or raise `NotFound`."""
    found = await list_vouchers(connection, principal, voucher_id=voucher_id, limit=1)
    if not found:
        raise NotFound(detail="there is no such voucher")
    return found[0]


async def receivable_accounts(
    connection: Connection, pairs: Collection[tuple[int, str]], at_us: int
) -> dict[tuple[int, str], int]:
    """Return the receivable account of each (claimant id, programme asset), opened where missing."""
    keys = {
        (claimant_id, asset): AccountKey(claimant_id, asset, Purpose.RECEIVABLE)
        for claimant_id, asset in pairs
    }
    accounts = await ledger.ensure_accounts(connection, keys.values(), at_us)
    return {pair: accounts[key] for pair, key in keys.items()}


async def record_captures(connection: Connection, captures: Sequence[Capture], at_us: int) -> None:
    """Store what vouchers paid for delivered hours, to be claimed; one statement. The caller moves the money.

    Raises the database's error where an hour of a lease was captured from the voucher before, or for a
    claimant to whom the rules it was held under do not give it.
    """
    if captures:
        await store.insert_captures(connection, captures, at_us)


async def expire_due(connection: Connection, now_us: int) -> tuple[ExpiredVoucher, ...]:
    """Close every voucher whose time has passed and return what is free of it to its issuer's budget account.

    What an order still holds stays held; if the hold is released later, the next sweep takes it, of an
    expired and of a revoked voucher alike. Each step is in the voucher's history, where its buyer reads it.
    Returns the vouchers that were closed or gave something back.
    """
    due = await store.lock_due_vouchers(connection, now_us)
    current = VoucherStatus.ACTIVE, VoucherStatus.SUSPENDED
    steps = [
        VoucherStep(
            voucher_id=each.voucher_id,
            number=each.step_count + 1,
            from_status=each.status,
            to_status=VoucherStatus.EXPIRED if each.status in current else each.status,
            actor_role="exchange",
            actor_id=EXCHANGE_ID,
            returned_fen=each.available_fen,
            reason=EXPIRY_REASON if each.status in current else RELEASE_REASON,
            stepped_at_us=now_us,
        )
        for each in due
    ]
    await take_steps(connection, None, list(zip(due, steps, strict=True)), now_us)
    return tuple(
        ExpiredVoucher(
            voucher_id=each.voucher_id,
            programme_id=each.programme_id,
            buyer_id=each.buyer_id,
            returned_fen=each.available_fen,
        )
        for each in due
    )


async def take_steps(
    connection: Connection,
    principal: Principal | None,
    taken: Sequence[tuple[LockedVoucher, VoucherStep]],
    now_us: int,
) -> None:
    """Take a step of each of some locked vouchers and return what it says to their issuers' budget accounts.

    Without a principal the steps are the exchange's own. The statements do not grow with the vouchers.
    """
    if not taken:
        return
    steps = [step for _, step in taken]
    await store.insert_steps(connection, steps, now_us)
    await store.follow_steps(connection, steps)
    group_id = new_id()
    transfers = [
        Transfer(
            group_id=group_id,
            kind=TransferKind.POSTED,
            reason=(
                TransferReason.VOUCHER_REVOCATION
                if step.to_status is VoucherStatus.REVOKED
                else TransferReason.VOUCHER_EXPIRY
            ),
            asset=voucher.asset,
            debit_account_id=voucher.account_id,
            credit_account_id=voucher.budget_account_id,
            amount_fen=step.returned_fen,
            subject_id=voucher.voucher_id,
        )
        for voucher, step in taken
        if step.returned_fen
    ]
    await ledger.post(connection, transfers, now_us)
    records = [
        AuditRecord(
            code=_AUDIT_CODES[step.to_status],
            event_at_us=now_us,
            actor_participant_id=None if principal is None else principal.participant_id,
            key_id=None if principal is None else principal.key_id,
            participant_id=voucher.buyer_id,
            subject_id=voucher.voucher_id,
            detail={
                "programme_id": voucher.programme_id,
                "from": step.from_status,
                "reason": step.reason,
                "returned_fen": step.returned_fen,
            },
        )
        for voucher, step in taken
    ]
    await insert_audit_records(connection, records)
