"""The arithmetic and the judgements of vouchers: pure functions of integers and facts.

Shares round down to the fen, so the buyer's own share takes every remainder and the parts of a trade sum to
it. Among vouchers the one that expires first is spent first, ties in order of issue.

Known limit: an order is paid by vouchers of one version of one programme; stacking has no rules yet.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import msgspec

from exchange.kit.auth import Principal
from exchange.kit.clock import format_rfc3339
from exchange.kit.fields import format_cny
from exchange.kit.ids import encode_id
from exchange.participants.models import ParticipantKind
from exchange.vouchers.models import (
    Balances,
    UsableVoucher,
    Voucher,
    VoucherChoice,
    VoucherRefusal,
    VoucherStatus,
    VoucherView,
    VoucherWish,
)
from exchange.vouchers.programme_models import BASIS_POINTS
from exchange.vouchers.programme_rules import pays_for_origin

PROGRAMME_BIT_FIRST: Final = 16
"""Eligibility bits below are the exchange's own; programme number n has bit 16 + n."""

DAY_US: Final = 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CHINA_STANDARD_TIME: Final = timezone(timedelta(hours=8))


class Sight(msgspec.Struct, frozen=True, gc=False):
    """Whose vouchers or claims may be seen: a party's, those of an issuer's programmes; both None: all."""

    party_id: int | None = None
    issuer_id: int | None = None


def sight_of(principal: Principal, party: ParticipantKind) -> Sight | None:
    """Return what a principal sees of vouchers (party: buyers) or claims (party: providers).

    A party sees its own, an issuer those of its programmes, an operator or a regulator all, others nothing:
    None.
    """
    if principal.kind == party:
        return Sight(party_id=principal.participant_id)
    if principal.kind == ParticipantKind.ISSUER:
        return Sight(issuer_id=principal.participant_id)
    return Sight() if principal.kind in {ParticipantKind.OPERATOR, ParticipantKind.REGULATOR} else None


def programme_mask(ordinal: int) -> int:
    """Return the eligibility mask with only the bit of the programme of this number."""
    return 1 << (PROGRAMME_BIT_FIRST + ordinal)


def asset_of(programme_id: int) -> str:
    """Return the code of the asset in which a programme's vouchers are counted."""
    return encode_id("prg", programme_id)


def calendar_year(at_us: int) -> int:
    """Return the year that a yearly cap counts in: the issuers' own, which is China Standard Time's."""
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(_CHINA_STANDARD_TIME).year


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


def unusable_because(voucher: UsableVoucher, product_origin: str, now_us: int) -> VoucherRefusal | None:
    """Return why a voucher cannot pay for a product of this origin now, the gravest reason first, or None."""
    if voucher.status in {VoucherStatus.SUSPENDED, VoucherStatus.REVOKED}:
        code, detail = "voucher_not_active", f"the voucher is {voucher.status.value}"
    elif voucher.status is VoucherStatus.EXPIRED or voucher.expires_at_us <= now_us:
        code, detail = "voucher_expired", "the voucher has expired"
    elif voucher.available_fen <= 0:
        code, detail = "voucher_exhausted", "nothing of the voucher is free to spend"
    elif not pays_for_origin(voucher.origin_required, product_origin):
        code = "voucher_wrong_origin"
        detail = (
            f"the programme pays for {voucher.origin_required.value} accelerators, not {product_origin} ones"
        )
    else:
        return None
    return VoucherRefusal(voucher.voucher_id, code, detail)


def choose(
    vouchers: Sequence[UsableVoucher], choice: VoucherWish, product_origin: str, now_us: int
) -> VoucherChoice:
    """Return the vouchers an order pays with.

    `vouchers` are all of one buyer's. `auto` takes the programme of the usable voucher that expires first,
    and no voucher at all where none is usable. Named vouchers must all be usable and of one programme:
    anything else is refused, voucher by voucher, rather than silently paid in cash.
    """
    if choice == "none":
        return VoucherChoice()
    reasons = {each.voucher_id: unusable_because(each, product_origin, now_us) for each in vouchers}
    if choice == "auto":
        usable = [each for each in vouchers if reasons[each.voucher_id] is None]
        return _of_first_programme(usable)
    wanted = dict.fromkeys(choice)
    refusals = [
        reasons[voucher_id]
        if voucher_id in reasons
        else VoucherRefusal(voucher_id, "voucher_unknown", "the buyer has no such voucher")
        for voucher_id in wanted
    ]
    named = [each for each in vouchers if each.voucher_id in wanted]
    if not any(refusals):
        chosen = _of_first_programme(named)
        kept = {each.voucher_id for each in chosen.vouchers}
        refusals = [
            VoucherRefusal(
                voucher_id, "voucher_of_another_programme", "one order is paid by one programme's vouchers"
            )
            for voucher_id in wanted
            if voucher_id not in kept
        ]
        if not refusals:
            return chosen
    return VoucherChoice(refusals=tuple(refusal for refusal in refusals if refusal is not None))


def _of_first_programme(usable: Sequence[UsableVoucher]) -> VoucherChoice:
    """Return the vouchers of the programme and version of the one that expires first, in spending order."""
    if not usable:
        return VoucherChoice()
    in_order = sorted(usable, key=lambda each: (each.expires_at_us, each.voucher_id))
    first = in_order[0]
    version = (first.programme_id, first.programme_version)
    return VoucherChoice(
        programme_id=first.programme_id,
        programme_version=first.programme_version,
        mask=first.mask,
        rate_bps=first.rate_bps,
        vouchers=tuple(each for each in in_order if (each.programme_id, each.programme_version) == version),
    )


def view_of_voucher(voucher: Voucher, now_us: int) -> VoucherView:
    """Return a voucher as its buyer and its issuer see it."""
    balances = voucher.balances
    return VoucherView(
        id=encode_id("vch", voucher.id),
        programme_id=encode_id("prg", voucher.programme_id),
        programme_code=voucher.programme_code,
        programme_version=voucher.programme_version,
        buyer_id=encode_id("par", voucher.buyer_id),
        rate_bps=voucher.rate_bps,
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
        issued_at=format_rfc3339(voucher.issued_at_us),
        expires_at=format_rfc3339(voucher.expires_at_us),
    )
