"""The arithmetic of vouchers, who sees them, and how they are shown: pure functions.

Shares round down to the fen, so the buyer's own share takes every remainder. What pays for an order is
`choice`'s to say.
"""

import datetime as dt

import msgspec

from exchange.kit import own_reasons
from exchange.kit.auth import Principal
from exchange.kit.clock import calendar_date, date_begins_us, format_rfc3339
from exchange.kit.fields import format_cny
from exchange.kit.ids import encode_id
from exchange.participants.models import ParticipantKind
from exchange.programmes.models import BASIS_POINTS
from exchange.vouchers.models import (
    Balances,
    Voucher,
    VoucherStatus,
    VoucherStep,
    VoucherStepView,
    VoucherView,
)


class Sight(msgspec.Struct, frozen=True, gc=False):
    """Whose vouchers or claims may be seen: a party's, those of an issuer's programmes; both None: all."""

    party_id: int | None = None
    issuer_id: int | None = None


def sight_of(principal: Principal, *parties: ParticipantKind) -> Sight | None:
    """Return what a principal sees of vouchers (parties: buyers) or claims (parties: who may claim).

    A party sees its own, an issuer those of its programmes, an operator or a regulator all, others nothing:
    None.
    """
    if principal.kind in parties:
        return Sight(party_id=principal.participant_id)
    if principal.kind == ParticipantKind.ISSUER:
        return Sight(issuer_id=principal.participant_id)
    return Sight() if principal.kind in {ParticipantKind.OPERATOR, ParticipantKind.REGULATOR} else None


def calendar_year(at_us: int) -> int:
    """Return the year that a yearly cap counts in: the issuers' own, which is China Standard Time's."""
    return calendar_date(at_us).year


def year_begins_us(year: int) -> int:
    """Return when a calendar year begins in the issuers' own time zone."""
    return date_begins_us(dt.date(year, 1, 1))


def share_fen(notional_fen: int, rate_bps: int) -> int:
    """Return the voucher share of a notional, rounded down to the fen."""
    return notional_fen * rate_bps // BASIS_POINTS


def status_now(
    status: VoucherStatus, balances: Balances, *, expires_at_us: int, now_us: int
) -> VoucherStatus:
    """Return the status to show: expiry waits for no sweep, and a voucher wholly spent is exhausted."""
    if status in {VoucherStatus.EXPIRED, VoucherStatus.REVOKED}:
        return status
    if not balances.available_fen + balances.held_fen + balances.committed_fen:
        return VoucherStatus.EXHAUSTED
    return VoucherStatus.EXPIRED if expires_at_us <= now_us else status


def capped(price_ticks: int, price_cap_ticks: int | None) -> int:
    """Return the part of a price of which vouchers pay a share."""
    return price_ticks if price_cap_ticks is None else min(price_ticks, price_cap_ticks)


def view_of_voucher(voucher: Voucher, now_us: int) -> VoucherView:
    """Return a voucher as its buyer and its issuer see it."""
    balances = voucher.balances
    return VoucherView(
        id=encode_id("vch", voucher.id),
        programme_id=encode_id("prg", voucher.programme_id),
        programme_code=voucher.programme_code,
        programme_version=voucher.programme_version,
        buyer_id=encode_id("par", voucher.buyer_id),
        buyer_name=voucher.buyer_name,
        status=status_now(voucher.status, balances, expires_at_us=voucher.expires_at_us, now_us=now_us),
        face_cny=format_cny(voucher.face_fen),
        available_cny=format_cny(balances.available_fen),
        held_cny=format_cny(balances.held_fen),
        committed_cny=format_cny(balances.committed_fen),
        captured_cny=format_cny(balances.captured_fen),
        claimed_cny=format_cny(balances.claimed_fen),
        paid_cny=format_cny(balances.paid_fen),
        reduced_cny=format_cny(balances.reduced_fen),
        recovered_cny=format_cny(balances.recovered_fen),
        expired_cny=format_cny(balances.expired_fen),
        revoked_cny=format_cny(balances.revoked_fen),
        issued_at=format_rfc3339(voucher.issued_at_us),
        expires_at=format_rfc3339(voucher.expires_at_us),
    )


def view_of_step(step: VoucherStep) -> VoucherStepView:
    """Return a step of a voucher as its buyer and its issuer see it."""
    return VoucherStepView(
        voucher_id=encode_id("vch", step.voucher_id),
        number=step.number,
        from_status=step.from_status,
        to_status=step.to_status,
        actor_role=step.actor_role,
        actor_id=encode_id("par", step.actor_id),
        returned_cny=format_cny(step.returned_fen),
        reason=step.reason,
        reason_code=own_reasons.code_of(step.reason),
        stepped_at=format_rfc3339(step.stepped_at_us),
    )
