"""What an issuer does with a voucher after its issue: suspend, resume, revoke, each with a reason.

A suspended voucher pays for no new order until it is resumed. Revoking is for good: what is free of it goes
to the issuer's budget account at once, what orders hold or have traded goes on under them. All run inside the
caller's transaction; none commits.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.kit.errors import Conflict, NotFound
from exchange.kit.fields import refuse_blank_reason
from exchange.participants.models import ParticipantKind
from exchange.vouchers import store
from exchange.vouchers.models import StepPlace, Voucher, VoucherStatus, VoucherStep
from exchange.vouchers.rules import sight_of
from exchange.vouchers.service import get_voucher, take_steps

STEPS: Final[Mapping[VoucherStatus, frozenset[VoucherStatus]]] = {
    VoucherStatus.ACTIVE: frozenset({VoucherStatus.SUSPENDED, VoucherStatus.REVOKED}),
    VoucherStatus.SUSPENDED: frozenset({VoucherStatus.ACTIVE, VoucherStatus.REVOKED}),
}
"""From where an issuer may bring a voucher to where; the database has them too."""


async def step_voucher(
    connection: Connection,
    principal: Principal,
    voucher_id: int,
    to_status: VoucherStatus,
    reason: str,
    now_us: int,
) -> Voucher:
    """Suspend, resume (to active) or revoke a voucher of the principal's programmes.

    Raises `NotFound` for one of another's, `InvalidInput` for a blank reason, `Conflict` where it is over or
    stands there already.
    """
    refuse_blank_reason(reason, "says why, for the buyer to read")
    voucher = await store.lock_voucher(connection, voucher_id, principal.participant_id)
    if voucher is None:
        raise NotFound(detail="there is no such voucher")
    if to_status not in STEPS.get(voucher.status, ()):
        raise Conflict(detail=f"the voucher is {voucher.status.value}, and cannot become {to_status.value}")
    if voucher.expires_at_us <= now_us:
        raise Conflict(detail=f"the voucher has expired, and cannot become {to_status.value}")
    step = VoucherStep(
        voucher_id=voucher_id,
        number=voucher.step_count + 1,
        from_status=voucher.status,
        to_status=to_status,
        actor_role="issuer",
        actor_id=principal.participant_id,
        returned_fen=voucher.available_fen if to_status is VoucherStatus.REVOKED else 0,
        reason=reason,
        stepped_at_us=now_us,
    )
    await take_steps(connection, principal, [(voucher, step)], now_us)
    return await get_voucher(connection, principal, voucher_id)


async def list_all_steps(
    connection: Connection, principal: Principal, before: StepPlace, limit: int
) -> Sequence[VoucherStep]:
    """Return what became of all vouchers that the principal may see, newest first, before a place."""
    sight = sight_of(principal, ParticipantKind.BUYER)
    if sight is None:
        return []
    return await store.page_of_steps(
        connection, before, buyer_id=sight.party_id, issuer_id=sight.issuer_id, limit=limit
    )


async def list_steps(
    connection: Connection, principal: Principal, voucher_id: int, *, after: int = 0, limit: int
) -> Sequence[VoucherStep]:
    """Return the history of a voucher that the principal may see, in order, after the step of a number."""
    await get_voucher(connection, principal, voucher_id)
    return await store.steps_of_voucher(connection, voucher_id, after, limit)
