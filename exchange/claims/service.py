"""Claims: a provider, or a reimbursed company, turns captured voucher money into cash of the issuer.

The life and what each step means for the money are told in `models`. The money follows the claim in the
same transaction: a payment is one all-or-none set of transfers that redeems the vouchers and moves the cash,
and so is a recovery. So nothing is ever paid twice, and nothing is paid unredeemed.

A claim is drawn for audit when it is submitted, by a number that comes of a fresh seed and its id; seed and
number are kept, so the draw can be done again by anyone. Nobody can know it before, and there is one draw a
claim; that the venue draws no second seed in the same transaction is taken on trust.

All run inside the caller's transaction; none commits. Every step locks the claim first, and opening one its
claimant, so that how many claims a contract is in is counted one claim after the other. Accounts come after
that: the claimant's cash and receivables, which hours and orders move too; then the rest in order of ids; and
the budget last, because an hour that sweeps expired vouchers has all it needs by then but that.
"""

import secrets
from collections.abc import Mapping, Sequence

import msgspec

from exchange.claims import store
from exchange.claims.models import (
    ID_MAX,
    ActorRole,
    Claim,
    ClaimStatus,
    Draw,
    Line,
    Step,
    WantedStep,
)
from exchange.claims.money import cash_accounts, claimant_accounts, issuer_account, transfer_of
from exchange.claims.rules import (
    AUDIT_CODES,
    CLAIMANT_KINDS,
    STEPS,
    amount_max_fen,
    claimant_kind_of,
    drawn_number,
    find_step_faults,
    next_steps,
    nothing_to_claim,
    role_of,
    spread,
    steps_of,
)
from exchange.kit import own_reasons
from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.kit.errors import (
    Conflict,
    Fault,
    Faults,
    Forbidden,
    InvalidInput,
    NotEnoughMoney,
    NotFound,
)
from exchange.kit.fields import format_cny
from exchange.kit.ids import new_id
from exchange.ledger import service as ledger
from exchange.ledger.models import CNY, Purpose, Transfer, TransferReason
from exchange.ledger.service import AccountDirectory
from exchange.participants.models import EXCHANGE_ID
from exchange.programmes.service import get_programme
from exchange.vouchers.rules import sight_of

SEED_BYTES = 32


async def open_claim(connection: Connection, principal: Principal, programme_id: int, now_us: int) -> Claim:
    """Make an open claim of everything captured under a programme that the principal may claim now.

    Raises `Forbidden` for anyone but a provider or a buyer, `NotFound` for an unknown programme, `Conflict`
    (nothing_to_claim) where no capture is unclaimed, or all wait, as the `max_claims_per_contract` of the
    rules they were held under says.
    """
    kind = claimant_kind_of(principal)
    programme = await get_programme(connection, programme_id, now_us, principal)
    claim_id = new_id()
    await store.lock_claimant(connection, principal.participant_id)
    opened = await store.open_claim(
        connection,
        claim_id,
        programme_id,
        programme.version.number,
        principal.participant_id,
        now_us,
    )
    if opened.amount_fen is None:
        raise Conflict("nothing_to_claim", nothing_to_claim(opened))
    claim = Claim(
        id=claim_id,
        programme_id=programme_id,
        programme_version=programme.version.number,
        asset=programme.asset,
        issuer_id=programme.issuer_id,
        claimant_id=principal.participant_id,
        claimant_name=principal.name,
        claimant_kind=kind,
        amount_fen=opened.amount_fen,
        approved_fen=None,
        clawback_fen=None,
        status=ClaimStatus.OPEN,
        step_count=0,
        reason="",
        line_count=opened.line_count,
        draw=None,
        opened_at_us=now_us,
        submitted_at_us=None,
        decided_at_us=None,
        paid_at_us=None,
    )
    # Which lines it has stands nowhere else that never changes: a rejected claim gives them back.
    detail = {
        "line_count": opened.line_count,
        "programme_version": claim.programme_version,
        "lines": await store.runs_of_claim(connection, claim_id),
    }
    record = _record_of(claim, principal, now_us, detail)
    await insert_audit_records(connection, [record])
    return claim


async def submit_claim(connection: Connection, principal: Principal, programme_id: int, now_us: int) -> Claim:
    """Open a claim and submit it in one."""
    claim = await open_proven_claim(connection, principal, programme_id, now_us)
    [submitted] = await submit_claims(connection, principal, [claim], now_us)
    return submitted


async def open_proven_claim(
    connection: Connection, principal: Principal, programme_id: int, now_us: int
) -> Claim:
    """Open a claim as `open_claim` does; `Conflict` (evidence_missing) where it could not be submitted."""
    claim = await open_claim(connection, principal, programme_id, now_us)
    await _must_be_proven(connection, claim)
    return claim


async def submit_claims(
    connection: Connection, principal: Principal, claims: Sequence[Claim], now_us: int, reason: str = ""
) -> list[Claim]:
    """Submit open claims of the principal's that are proven, all its receivables locked before the first.

    They are locked before an account of what is claimed is opened: a batch of claims has them by then.
    """
    assets = [claim.asset for claim in claims]
    await store.lock_receivables(connection, principal.participant_id, assets)
    return [await _submit(connection, principal, claim, reason, now_us) for claim in claims]


async def take_step(
    connection: Connection,
    principal: Principal,
    claim_id: int,
    wanted: WantedStep,
    now_us: int,
    accounts: AccountDirectory,
) -> Claim:
    """Take the next step of a claim, with what it means for the money.

    Raises `NotFound` for a stranger, `Forbidden` where the step is never the principal's, `InvalidInput` for
    a missing reason or an amount that cannot be, `Conflict` where the claim's state does not allow it, and
    `NotEnoughMoney` where cash does not cover what it pays; the caller's transaction is then void.
    """
    claim = await _lock(connection, principal, claim_id, wanted)
    to, reason = wanted.to_status, wanted.reason
    if to is ClaimStatus.SUBMITTED:
        await _must_be_proven(connection, claim)
        [submitted] = await submit_claims(connection, principal, [claim], now_us, reason)
        return submitted
    changes: dict[str, int | None] = {}
    transfers: list[Transfer] = []
    if to in {ClaimStatus.APPROVED, ClaimStatus.REDUCED, ClaimStatus.REJECTED}:
        changes, transfers = await _decide(connection, claim, wanted, now_us)
    elif to is ClaimStatus.PAID:
        changes, transfers = await _pay(connection, claim, now_us, accounts)
    elif to is ClaimStatus.CLAWBACK_OPEN:
        changes = {"clawback_fen": _amount(wanted, amount_max_fen(claim, to), "was paid")}
    elif to is ClaimStatus.RECOVERED:
        transfers = await _recover(connection, claim, now_us, accounts)
    stepped = await _record_step(connection, principal, claim, wanted, now_us, changes)
    try:
        await ledger.post(connection, transfers, now_us)
    except NotEnoughMoney as error:
        payer = "claimant" if to is ClaimStatus.RECOVERED else "issuer"
        detail = f"the {payer}'s cash does not cover the {format_cny(_subject_fen(stepped))} CNY of the claim"
        raise NotEnoughMoney(detail=detail) from error
    return stepped


async def _lock(connection: Connection, principal: Principal, claim_id: int, wanted: WantedStep) -> Claim:
    """Return a claim, locked, if the step wanted is the principal's and can be taken now."""
    claim = await store.lock_claim(connection, claim_id)
    role = None if claim is None else role_of(claim, principal.participant_id)
    hidden = claim is not None and claim.status is ClaimStatus.OPEN and role is ActorRole.ISSUER
    if claim is None or role is None or hidden:
        raise NotFound(detail="there is no such claim")
    to = wanted.to_status
    if to not in steps_of(role):
        raise Forbidden(detail=f"a claim's {role.value} does not bring it to {to.value}")
    faults = Faults()
    find_step_faults(to, wanted.reason, has_amount=wanted.amount_fen is not None, faults=faults)
    faults.raise_if_any()
    if role not in STEPS.get((claim.status, to), ()):
        possible = ", ".join(each.value for each in next_steps(claim.status)) or "nothing more"
        raise Conflict(detail=f"the claim is {claim.status.value}, not to become {to.value} but {possible}")
    return claim


async def _submit(
    connection: Connection, principal: Principal, claim: Claim, reason: str, now_us: int
) -> Claim:
    """Put a proven claim to its issuer, its receivable locked, and draw whether it is audited."""
    wanted = WantedStep(to_status=ClaimStatus.SUBMITTED, reason=reason)
    claim = await _record_step(connection, principal, claim, wanted, now_us, {"submitted_at_us": now_us})
    receivable_id, claimed_id = await claimant_accounts(connection, claim, now_us)
    step = transfer_of(claim, TransferReason.CLAIM_SUBMISSION, receivable_id, claimed_id, claim.amount_fen)
    await ledger.post(connection, [step], now_us)
    terms = await store.claim_terms(connection, claim.programme_id, claim.programme_version)
    if not terms.audit_sample_bps:
        return claim
    seed = secrets.token_bytes(SEED_BYTES)
    draw = Draw(sample_bps=terms.audit_sample_bps, seed=seed, number=drawn_number(seed, claim.id))
    await store.insert_draw(connection, claim.id, draw, now_us)
    claim = msgspec.structs.replace(claim, draw=draw)
    if not draw.is_drawn:
        return claim
    reason = own_reasons.text("drawn_for_audit", number=draw.number, sample_bps=draw.sample_bps)
    wanted = WantedStep(to_status=ClaimStatus.IN_AUDIT, reason=reason)
    return await _record_step(connection, None, claim, wanted, now_us, {})


async def _must_be_proven(connection: Connection, claim: Claim) -> None:
    """Raise `Conflict` (evidence_missing) naming every evidence of the rules that is not attached."""
    needed = (await store.claim_terms(connection, claim.programme_id, claim.programme_version)).evidence
    attached = (
        {each.name for each in await store.evidence_of_claim(connection, claim.id)} if needed else set()
    )
    missing = [
        Fault(f"/rules/evidence/{index}", "evidence_missing", f"{name} is not attached to the claim")
        for index, name in enumerate(needed)
        if name not in attached
    ]
    if missing:
        detail = "; ".join(fault.detail for fault in missing)
        hint = "open the claim (submit false), attach, then step to submitted"
        raise Conflict("evidence_missing", f"{detail}: {hint}", errors=missing)


async def _decide(
    connection: Connection, claim: Claim, wanted: WantedStep, now_us: int
) -> tuple[dict[str, int | None], list[Transfer]]:
    """Return what a decision changes of a claim, and the transfers that go with it."""
    changes: dict[str, int | None] = {"decided_at_us": now_us}
    if wanted.to_status is ClaimStatus.APPROVED:
        return changes | {"approved_fen": claim.amount_fen}, []
    receivable_id, claimed_id = await claimant_accounts(connection, claim, now_us)
    if wanted.to_status is ClaimStatus.REJECTED:
        await store.free_captures(connection, claim.id)
        step = transfer_of(claim, TransferReason.CLAIM_RETURN, claimed_id, receivable_id, claim.amount_fen)
        return changes | {"line_count": 0}, [step]
    most_fen = amount_max_fen(claim, ClaimStatus.REDUCED)
    approved_fen = _amount(wanted, most_fen, "is below what was claimed")
    cut_fen = claim.amount_fen - approved_fen
    lines = await store.page_of_lines(connection, claim.id)
    await store.reduce_lines(
        connection, claim.id, lines, spread(cut_fen, [line.amount_fen for line in lines])
    )
    budget_id = await issuer_account(connection, claim, Purpose.BUDGET, now_us)
    await ledger.available_for_update(connection, [claimed_id])
    step = transfer_of(claim, TransferReason.CLAIM_REDUCTION, claimed_id, budget_id, cut_fen)
    return changes | {"approved_fen": approved_fen}, [step]


async def _pay(
    connection: Connection, claim: Claim, now_us: int, accounts: AccountDirectory
) -> tuple[dict[str, int | None], list[Transfer]]:
    """Return the redemption of what was approved and its payment in cash, which go together or not at all."""
    amount_fen = claim.approved_fen or 0
    _, claimed_id = await claimant_accounts(connection, claim, now_us)
    redeemed_id = await issuer_account(connection, claim, Purpose.REDEEMED, now_us)
    issuer_cash_id, claimant_cash_id = await cash_accounts(connection, claim, accounts)
    await ledger.available_for_update(connection, [claimant_cash_id])
    return {"paid_at_us": now_us}, [
        transfer_of(claim, TransferReason.CLAIM_REDEMPTION, claimed_id, redeemed_id, amount_fen),
        transfer_of(claim, TransferReason.CLAIM_PAYMENT, issuer_cash_id, claimant_cash_id, amount_fen, CNY),
    ]


async def _recover(
    connection: Connection, claim: Claim, now_us: int, accounts: AccountDirectory
) -> list[Transfer]:
    """Return what undoes a payment as far as it is demanded back: cash to the issuer, vouchers unredeemed."""
    amount_fen = claim.clawback_fen or 0
    lines = await store.page_of_lines(connection, claim.id)
    parts_fen = spread(amount_fen, [line.amount_fen - line.reduced_fen for line in lines])
    await store.recover_lines(connection, claim.id, lines, parts_fen)
    redeemed_id = await issuer_account(connection, claim, Purpose.REDEEMED, now_us)
    budget_id = await issuer_account(connection, claim, Purpose.BUDGET, now_us)
    issuer_cash_id, claimant_cash_id = await cash_accounts(connection, claim, accounts)
    await ledger.available_for_update(connection, [claimant_cash_id])
    await ledger.available_for_update(connection, [redeemed_id, issuer_cash_id])
    return [
        transfer_of(claim, TransferReason.CLAWBACK_RETURN, redeemed_id, budget_id, amount_fen),
        transfer_of(
            claim, TransferReason.CLAWBACK_PAYMENT, claimant_cash_id, issuer_cash_id, amount_fen, CNY
        ),
    ]


def _amount(wanted: WantedStep, most_fen: int, what: str) -> int:
    """Return the amount of a step, or raise `InvalidInput` where it is above the most there can be."""
    amount_fen = wanted.amount_fen or 0
    if not 0 < amount_fen <= most_fen:
        detail = f"must be above zero and at most {format_cny(most_fen)}, which {what}"
        fault = Fault("/amount_cny", "out_of_range", detail, format_cny(amount_fen))
        raise InvalidInput(detail=f"{fault.pointer} {detail}", errors=[fault])
    return amount_fen


def _subject_fen(claim: Claim) -> int:
    """Return the amount that the last step of a claim is about."""
    if claim.status in {ClaimStatus.CLAWBACK_OPEN, ClaimStatus.RECOVERED, ClaimStatus.WRITTEN_OFF}:
        return claim.clawback_fen or 0
    return claim.amount_fen if claim.approved_fen is None else claim.approved_fen


async def _record_step(
    connection: Connection,
    principal: Principal | None,
    claim: Claim,
    wanted: WantedStep,
    now_us: int,
    changes: dict[str, int | None],
) -> Claim:
    """Store a step and the claim after it; without a principal it is the exchange's own."""
    role = ActorRole.EXCHANGE if principal is None else role_of(claim, principal.participant_id)
    if role is None:
        raise AssertionError("a stranger got as far as a step")
    stepped = msgspec.structs.replace(
        claim,
        status=wanted.to_status,
        step_count=claim.step_count + 1,
        reason=wanted.reason,
        **changes,
    )
    step = Step(
        number=stepped.step_count,
        from_status=claim.status,
        to_status=stepped.status,
        actor_role=role,
        actor_id=EXCHANGE_ID if principal is None else principal.participant_id,
        amount_fen=_subject_fen(stepped),
        reason=wanted.reason,
        stepped_at_us=now_us,
    )
    await store.insert_step(connection, claim.id, step)
    await store.save_claim(connection, stepped)
    detail: dict[str, str | int] = {
        "number": step.number,
        "from": step.from_status,
        "reason": step.reason,
        "line_count": claim.line_count,
    }
    record = _record_of(stepped, principal, now_us, detail)
    await insert_audit_records(connection, [record])
    return stepped


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
    """Return the claims a principal may see (`sight_of`), newest first; an issuer sees no open ones."""
    sight = sight_of(principal, *CLAIMANT_KINDS)
    if sight is None:
        return []
    return await store.page_of_claims(
        connection,
        claimant_id=sight.party_id,
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
) -> list[Line]:
    """Return lines of a visible claim, in order, after (lease id, delivery hour, voucher id)."""
    await get_claim(connection, principal, claim_id)
    return await store.page_of_lines(connection, claim_id, after, limit)


async def list_steps(
    connection: Connection, principal: Principal, claim_id: int, *, after: int = 0, limit: int
) -> Sequence[Step]:
    """Return the history of a visible claim, in order, after the step of a number."""
    await get_claim(connection, principal, claim_id)
    return await store.steps_of_claim(connection, claim_id, after, limit)


def _record_of(
    claim: Claim, principal: Principal | None, now_us: int, detail: Mapping[str, object]
) -> AuditRecord:
    return AuditRecord(
        code=AUDIT_CODES[claim.status],
        event_at_us=now_us,
        actor_participant_id=EXCHANGE_ID if principal is None else principal.participant_id,
        key_id=None if principal is None else principal.key_id,
        participant_id=claim.claimant_id,
        subject_id=claim.id,
        detail={"programme_id": claim.programme_id, "amount_fen": _subject_fen(claim), **detail},
    )
