"""The arithmetic and the judgements of vouchers: pure functions of integers and facts.

Shares round down to the fen, so the buyer's own share takes every remainder and the parts of a trade sum to
it. Among vouchers the one that expires first is spent first, ties in order of issue. An order is judged by
the rules in force when its money is set aside.

Known limit: an order is paid by vouchers of one programme (`stacking`).
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from exchange.kit.auth import Principal
from exchange.kit.clock import format_rfc3339
from exchange.kit.fields import format_cny
from exchange.kit.ids import encode_id
from exchange.participants.models import ParticipantKind
from exchange.vouchers.facts import Facts, calendar_date, date_begins_us
from exchange.vouchers.judgement import (
    Verdict,
    first_objection,
    in_force,
    order_verdicts,
    price_cap_of,
    rate_of,
)
from exchange.vouchers.models import (
    Balances,
    UsableVoucher,
    Voucher,
    VoucherChoice,
    VoucherRefusal,
    VoucherStatus,
    VoucherStep,
    VoucherStepView,
    VoucherView,
    VoucherWish,
)
from exchange.vouchers.programme_models import BASIS_POINTS, RulesVersion
from exchange.vouchers.stacking import Aid, stack

PROGRAMME_BIT_FIRST: Final = 16
"""Eligibility bits below are the exchange's own; programme number n has bit 16 + n."""

DAY_US: Final = 86_400_000_000


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


def programme_mask(ordinal: int) -> int:
    """Return the eligibility mask with only the bit of the programme of this number."""
    return 1 << (PROGRAMME_BIT_FIRST + ordinal)


def asset_of(programme_id: int) -> str:
    """Return the code of the asset in which a programme's vouchers are counted."""
    return encode_id("prg", programme_id)


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


class Offer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a programme would pay of one order: its rules in force, the share, or the rule that says no.

    `share_fen` is of the order's most possible cost, whatever the vouchers hold.
    """

    programme_id: int
    version: RulesVersion | None
    rate_bps: int = 0
    price_cap_ticks: int | None = None
    share_fen: int = 0
    objection: Verdict | None = None


def capped(price_ticks: int, price_cap_ticks: int | None) -> int:
    """Return the part of a price of which vouchers pay a share."""
    return price_ticks if price_cap_ticks is None else min(price_ticks, price_cap_ticks)


def offer_of(programme_id: int, versions: Sequence[RulesVersion], facts: Facts) -> Offer:
    """Return what a programme would pay of an order by the rules in force."""
    version = in_force(versions, facts.at_us)
    if version is None:
        return Offer(programme_id=programme_id, version=None)
    objection = first_objection(order_verdicts(version.rules, facts))
    if objection is not None:
        return Offer(programme_id=programme_id, version=version, objection=objection)
    rate_bps = rate_of(version.rules, facts)
    price_cap_ticks = price_cap_of(version.rules, facts.product)
    eligible_fen = capped(facts.price_ticks, price_cap_ticks) * facts.hours * facts.quantity_gpus
    return Offer(
        programme_id=programme_id,
        version=version,
        rate_bps=rate_bps,
        price_cap_ticks=price_cap_ticks,
        share_fen=share_fen(eligible_fen, rate_bps),
    )


def unusable_because(voucher: UsableVoucher, offer: Offer, now_us: int) -> VoucherRefusal | None:
    """Return why a voucher cannot pay for an order that has this offer, the gravest reason first, or None."""
    if voucher.status in {VoucherStatus.SUSPENDED, VoucherStatus.REVOKED}:
        code, detail = "voucher_not_active", f"the voucher is {voucher.status.value}"
    elif voucher.status is VoucherStatus.EXPIRED or voucher.expires_at_us <= now_us:
        code, detail = "voucher_expired", "the voucher has expired"
    elif voucher.available_fen <= 0:
        code, detail = "voucher_exhausted", "nothing of the voucher is free to spend"
    elif offer.version is None:
        code, detail = "programme_not_in_force", "no rules of its programme are in force now"
    elif offer.objection is not None:
        code, detail = "voucher_rule_not_met", f"{offer.objection.rule}: {offer.objection.detail}"
    else:
        return None
    return VoucherRefusal(voucher.voucher_id, code, detail)


def offers_for(vouchers: Sequence[UsableVoucher], facts: Facts) -> dict[int, Offer]:
    """Return what each programme of some vouchers would pay of an order, by programme."""
    versions = {each.programme_id: each.versions for each in vouchers}
    return {programme_id: offer_of(programme_id, found, facts) for programme_id, found in versions.items()}


def choose(vouchers: Sequence[UsableVoucher], choice: VoucherWish, facts: Facts) -> VoucherChoice:
    """Return the vouchers an order pays with.

    `vouchers` are all of one buyer's. `auto` takes the programme of the usable voucher that expires first, or
    what the stacking rules of the programmes say, and no voucher at all where none is usable. Named vouchers
    must all be usable and of one programme: anything else is refused, voucher by voucher, rather than
    silently paid in cash.
    """
    if choice == "none":
        return VoucherChoice()
    offers = offers_for(vouchers, facts)
    reasons = {
        each.voucher_id: unusable_because(each, offers[each.programme_id], facts.at_us) for each in vouchers
    }
    if choice == "auto":
        usable = [each for each in vouchers if reasons[each.voucher_id] is None]
        return _of_one_programme(usable, offers, facts.contract_fen)
    wanted = dict.fromkeys(choice)
    refusals = [
        reasons[voucher_id]
        if voucher_id in reasons
        else VoucherRefusal(voucher_id, "voucher_unknown", "the buyer has no such voucher")
        for voucher_id in wanted
    ]
    named = [each for each in vouchers if each.voucher_id in wanted]
    if not any(refusals):
        chosen = _of_one_programme(named, offers, facts.contract_fen)
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


def _of_one_programme(
    usable: Sequence[UsableVoucher], offers: Mapping[int, Offer], contract_fen: int
) -> VoucherChoice:
    """Return the vouchers of the programme that pays, in spending order."""
    if not usable:
        return VoucherChoice()
    in_order = sorted(usable, key=lambda each: (each.expires_at_us, each.voucher_id))
    free_fen: Counter[int] = Counter()
    for each in in_order:
        free_fen[each.programme_id] += each.available_fen
    aids = [_aid(offers[programme_id], fen) for programme_id, fen in free_fen.items()]
    # Rules that let two programmes pay are refused when they are stored.
    [(programme_id, _)] = stack(aids, contract_fen)
    offer = offers[programme_id]
    chosen = tuple(each for each in in_order if each.programme_id == programme_id)
    return VoucherChoice(
        programme_id=programme_id,
        programme_version=None if offer.version is None else offer.version.number,
        mask=chosen[0].mask,
        rate_bps=offer.rate_bps,
        price_cap_ticks=offer.price_cap_ticks,
        vouchers=chosen,
    )


def _aid(offer: Offer, free_fen: int) -> Aid:
    """Return what a programme pays of an order out of what is free of its vouchers."""
    if offer.version is None:
        raise AssertionError(f"programme {offer.programme_id} pays without rules in force")
    rules = offer.version.rules
    return Aid(
        programme_id=offer.programme_id,
        share_fen=min(offer.share_fen, free_fen),
        stacking=rules.stacking,
        ceiling_bps=rules.stacking_ceiling_bps or BASIS_POINTS,
    )


def parts_of(choice: VoucherChoice, facts: Facts) -> list[tuple[UsableVoucher, int]]:
    """Return what an order sets aside of each chosen voucher, in spending order; none is empty."""
    eligible_fen = capped(facts.price_ticks, choice.price_cap_ticks) * facts.hours * facts.quantity_gpus
    left_fen = share_fen(eligible_fen, choice.rate_bps)
    parts = []
    for voucher in choice.vouchers:
        part_fen = min(left_fen, voucher.available_fen)
        if part_fen > 0:
            left_fen -= part_fen
            parts.append((voucher, part_fen))
    return parts


def view_of_voucher(voucher: Voucher, now_us: int) -> VoucherView:
    """Return a voucher as its buyer and its issuer see it."""
    balances = voucher.balances
    return VoucherView(
        id=encode_id("vch", voucher.id),
        programme_id=encode_id("prg", voucher.programme_id),
        programme_code=voucher.programme_code,
        programme_version=voucher.programme_version,
        buyer_id=encode_id("par", voucher.buyer_id),
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
        number=step.number,
        from_status=step.from_status,
        to_status=step.to_status,
        actor_role=step.actor_role,
        actor_id=encode_id("par", step.actor_id),
        returned_cny=format_cny(step.returned_fen),
        reason=step.reason,
        stepped_at=format_rfc3339(step.stepped_at_us),
    )
