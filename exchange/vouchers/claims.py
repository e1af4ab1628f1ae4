"""Claims: a provider turns captured voucher money into cash of the programme's issuer.

submitted -> approved | rejected; approved -> paid. The money follows the claim: the provider's receivable
becomes claimed when it is submitted, comes back when it is rejected, and is redeemed in the same all-or-none
set of transfers in which the issuer's cash becomes the provider's. So nothing is ever paid twice, and nothing
is paid unredeemed.

All run inside the caller's transaction; none commits. Every step locks the claim first.
"""

from collections.abc import Mapping

import msgspec

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.kit.errors import Conflict, Forbidden, NotEnoughMoney, NotFound
from exchange.kit.fields import format_cny
from exchange.kit.ids import new_id
from exchange.ledger import service as ledger
from exchange.ledger.models import CNY, AccountKey, Purpose, Transfer, TransferKind, TransferReason
from exchange.ledger.service import AccountDirectory
from exchange.participants.models import ParticipantKind
from exchange.vouchers import store
from exchange.vouchers.models import ID_MAX, Capture, Claim, ClaimStatus
from exchange.vouchers.rules import sight_of


async def submit_claim(connection: Connection, principal: Principal, programme_id: int, now_us: int) -> Claim:
    """Claim everything that the principal, a provider, captured under a programme and has not claimed.

    Raises `Forbidden` for anyone but a provider, `NotFound` for an unknown programme, `Conflict`
    (nothing_to_claim) where no capture is unclaimed.
    """
    if principal.kind != ParticipantKind.PROVIDER:
        raise Forbidden(detail="only a provider claims what vouchers paid")
    programme = await store.programme_by_id(connection, programme_id)
    if programme is None:
        raise NotFound(detail="there is no such programme")
    claim_id = new_id()
    submitted = await store.submit_claim(connection, claim_id, programme_id, principal.participant_id, now_us)
    if submitted is None:
        raise Conflict("nothing_to_claim", "nothing captured under this programme is left to claim")
    amount_fen, line_count = submitted
    claim = Claim(
        id=claim_id,
        programme_id=programme_id,
        asset=programme.asset,
        issuer_id=programme.issuer_id,
        provider_id=principal.participant_id,
        amount_fen=amount_fen,
        status=ClaimStatus.SUBMITTED,
        reason="",
        line_count=line_count,
        submitted_at_us=now_us,
        decided_at_us=None,
        paid_at_us=None,
    )
    receivable_id, claimed_id = await _provider_accounts(connection, claim, now_us)
    step = _transfer(claim, TransferReason.CLAIM_SUBMISSION, receivable_id, claimed_id)
    await ledger.post(connection, [step], now_us)
    await _record(connection, principal, claim, "CLMS", now_us, {"line_count": line_count})
    return claim


async def approve_claim(connection: Connection, principal: Principal, claim_id: int, now_us: int) -> Claim:
    """Accept a submitted claim; payment is a step of its own."""
    claim = await _lock_own(connection, principal, claim_id, ClaimStatus.SUBMITTED)
    approved = msgspec.structs.replace(claim, status=ClaimStatus.APPROVED, decided_at_us=now_us)
    await store.save_claim(connection, approved, principal.participant_id)
    await _record(connection, principal, claim, "CLMA", now_us, {})
    return approved


async def reject_claim(
    connection: Connection, principal: Principal, claim_id: int, reason: str, now_us: int
) -> Claim:
    """Turn a submitted claim down: its money is receivable again, and its captures may be claimed again."""
    claim = await _lock_own(connection, principal, claim_id, ClaimStatus.SUBMITTED)
    rejected = msgspec.structs.replace(
        claim, status=ClaimStatus.REJECTED, reason=reason, line_count=0, decided_at_us=now_us
    )
    await store.save_claim(connection, rejected, principal.participant_id)
    await store.free_captures(connection, claim_id)
    receivable_id, claimed_id = await _provider_accounts(connection, claim, now_us)
    step = _transfer(claim, TransferReason.CLAIM_RETURN, claimed_id, receivable_id)
    await ledger.post(connection, [step], now_us)
    await _record(
        connection, principal, claim, "CLMR", now_us, {"reason": reason, "line_count": claim.line_count}
    )
    return rejected


async def pay_claim(
    connection: Connection, principal: Principal, claim_id: int, now_us: int, accounts: AccountDirectory
) -> Claim:
    """Pay an approved claim from the issuer's cash and redeem its voucher money, both or neither.

    Raises `NotEnoughMoney` where the issuer's cash does not cover it; the caller's transaction is then void.
    """
    claim = await _lock_own(connection, principal, claim_id, ClaimStatus.APPROVED)
    _, claimed_id = await _provider_accounts(connection, claim, now_us)
    redeemed = AccountKey(claim.issuer_id, claim.asset, Purpose.REDEEMED)
    redeemed_id = (await ledger.ensure_accounts(connection, [redeemed], now_us))[redeemed]
    cash = await accounts.cash_of(connection, {claim.issuer_id, claim.provider_id})
    issuer_cash_id, provider_cash_id = cash[claim.issuer_id].cash_id, cash[claim.provider_id].cash_id
    redemption = _transfer(claim, TransferReason.CLAIM_REDEMPTION, claimed_id, redeemed_id)
    payment = _transfer(claim, TransferReason.CLAIM_PAYMENT, issuer_cash_id, provider_cash_id, CNY)
    paid = msgspec.structs.replace(claim, status=ClaimStatus.PAID, paid_at_us=now_us)
    await store.save_claim(connection, paid, principal.participant_id)
    try:
        await ledger.post(connection, [redemption, payment], now_us)
    except NotEnoughMoney as error:
        detail = f"the issuer's cash does not cover the claim of {format_cny(claim.amount_fen)} CNY"
        raise NotEnoughMoney(detail=detail) from error
    await _record(connection, principal, claim, "CLMP", now_us, {})
    return paid


async def list_claims(
    connection: Connection,
    principal: Principal,
    *,
    programme_id: int | None = None,
    status: ClaimStatus | None = None,
    claim_id: int | None = None,
    before_id: int = ID_MAX,
    limit: int,
) -> list[Claim]:
    """Return the claims a principal may see (`rules.sight_of`), newest first."""
    sight = sight_of(principal, ParticipantKind.PROVIDER)
    if sight is None:
        return []
    return await store.page_of_claims(
        connection,
        provider_id=sight.party_id,
        issuer_id=sight.issuer_id,
        programme_id=programme_id,
        status=status,
        claim_id=claim_id,
        before_id=before_id,
        limit=limit,
    )


async def get_claim(connection: Connection, principal: Principal, claim_id: int) -> Claim:
    """Return one claim that the principal may see, or raise `NotFound`."""
    found = await list_claims(connection, principal, claim_id=claim_id, limit=1)
    if not found:
        raise NotFound(detail="there is no such claim")
    return found[0]


async def list_claim_lines(
    connection: Connection, principal: Principal, claim_id: int, *, after: tuple[int, int, int], limit: int
) -> list[Capture]:
    """Return captures of a visible claim, in order, after (lease id, delivery hour, voucher id)."""
    await get_claim(connection, principal, claim_id)
    return await store.page_of_claim_lines(connection, claim_id, after, limit)


async def _lock_own(
    connection: Connection, principal: Principal, claim_id: int, must_be: ClaimStatus
) -> Claim:
    """Return a claim on a programme of the principal's, locked, if it is in the state asked for."""
    claim = await store.lock_claim(connection, claim_id)
    if claim is None or claim.issuer_id != principal.participant_id:
        raise NotFound(detail="there is no such claim")
    if claim.status is not must_be:
        raise Conflict(
            detail=f"the claim is {claim.status.value}; this can be done to one that is {must_be.value}"
        )
    return claim


async def _provider_accounts(connection: Connection, claim: Claim, now_us: int) -> tuple[int, int]:
    """Return the claiming provider's receivable and claimed accounts of the programme."""
    receivable = AccountKey(claim.provider_id, claim.asset, Purpose.RECEIVABLE)
    claimed = AccountKey(claim.provider_id, claim.asset, Purpose.CLAIMED)
    accounts = await ledger.ensure_accounts(connection, [receivable, claimed], now_us)
    return accounts[receivable], accounts[claimed]


def _transfer(
    claim: Claim, reason: TransferReason, debit_account_id: int, credit_account_id: int, asset: str = ""
) -> Transfer:
    return Transfer(
        group_id=claim.id,
        kind=TransferKind.POSTED,
        reason=reason,
        asset=asset or claim.asset,
        debit_account_id=debit_account_id,
        credit_account_id=credit_account_id,
        amount_fen=claim.amount_fen,
        subject_id=claim.id,
    )


async def _record(
    connection: Connection,
    principal: Principal,
    claim: Claim,
    code: str,
    now_us: int,
    detail: Mapping[str, str | int],
) -> None:
    record = AuditRecord(
        code=code,
        event_at_us=now_us,
        actor_participant_id=principal.participant_id,
        key_id=principal.key_id,
        participant_id=claim.provider_id,
        subject_id=claim.id,
        detail={"programme_id": claim.programme_id, "amount_fen": claim.amount_fen, **detail},
    )
    await insert_audit_records(connection, [record])
