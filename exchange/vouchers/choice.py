"""Which vouchers pay for an order, and what each sets aside: the judgement and its arithmetic. Pure.

An order is judged by the rules in force when its money is set aside. Vouchers are spent soonest-expiring
first, ties in order of issue; a programme stands where its first voucher does. `stacking` says which of the
programmes pay, and at which rates; every share is rounded down to the fen.

Limit: of one programme an order uses the `VOUCHERS_PER_SHARE` that expire soonest, however many there are, so
that a wallet of crumbs cannot make each of its trades and steps a long one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from exchange.kit.fields import format_cny
from exchange.programmes.facts import Facts
from exchange.programmes.judgement import (
    Verdict,
    first_objection,
    in_force,
    order_verdicts,
    price_cap_of,
    rate_of,
    redeemable_fen,
)
from exchange.programmes.models import BASIS_POINTS, ProgrammeRules, RulesVersion
from exchange.programmes.rules import programme_mask
from exchange.programmes.stacking import Aid, stack
from exchange.vouchers.models import (
    FundedShare,
    Share,
    UsableVoucher,
    VoucherChoice,
    VoucherRefusal,
    VoucherStatus,
    VoucherWish,
)
from exchange.vouchers.rules import capped, share_fen

VOUCHERS_PER_SHARE: Final = 50


class Offer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a programme would pay of one order: its rules in force, the share, or the rule that says no.

    `eligible_fen` is the part of the order's most possible cost that the share is of, `share_fen` the share,
    whatever the vouchers hold and whoever else pays.
    """

    programme_id: int
    version: RulesVersion | None
    rate_bps: int = 0
    price_cap_ticks: int | None = None
    eligible_fen: int = 0
    objection: Verdict | None = None

    @property
    def held_under(self) -> RulesVersion:
        """The version in force; nobody may ask where none is."""
        if self.version is None:
            raise AssertionError(f"programme {self.programme_id} pays without rules in force")
        return self.version

    @property
    def rules(self) -> ProgrammeRules:
        """The rules in force; nobody may ask where none are."""
        return self.held_under.rules

    @property
    def share_fen(self) -> int:
        """What the programme would pay alone, if its vouchers had it."""
        return share_fen(self.eligible_fen, self.rate_bps)


def offer_of(programme_id: int, versions: Sequence[RulesVersion], facts: Facts) -> Offer:
    """Return what a programme would pay of an order by the rules in force."""
    version = in_force(versions, facts.at_us)
    if version is None:
        return Offer(programme_id=programme_id, version=None)
    objection = first_objection(order_verdicts(version.rules, facts))
    if objection is not None:
        return Offer(programme_id=programme_id, version=version, objection=objection)
    price_cap_ticks = price_cap_of(version.rules, facts.product)
    return Offer(
        programme_id=programme_id,
        version=version,
        rate_bps=min(rate_of(version.rules, facts), ceiling_bps(version.rules)),
        price_cap_ticks=price_cap_ticks,
        eligible_fen=capped(facts.price_ticks, price_cap_ticks) * facts.hours * facts.quantity_gpus,
    )


def ceiling_bps(rules: ProgrammeRules) -> int:
    """Return the share of an order, in basis points, beyond which a programme lets no aid go."""
    return rules.stacking_ceiling_bps or BASIS_POINTS


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
    elif not offer.share_fen:
        code, detail = "share_below_one_fen", "its share of the order is less than one fen"
    elif redeemable_fen(offer.rules, voucher.used) == 0:
        cap_cny = format_cny(offer.rules.cap_per_year_fen or 0)
        code, detail = "yearly_cap_used", f"/cap_per_year_fen: orders of this year use all of {cap_cny} CNY"
    else:
        return None
    return VoucherRefusal(voucher.voucher_id, code, detail)


def offers_for(vouchers: Sequence[UsableVoucher], facts: Facts) -> dict[int, Offer]:
    """Return what each programme of some vouchers would pay of an order, by programme."""
    versions = {each.programme_id: each.versions for each in vouchers}
    return {programme_id: offer_of(programme_id, found, facts) for programme_id, found in versions.items()}


def choose(vouchers: Sequence[UsableVoucher], wish: VoucherWish, facts: Facts) -> VoucherChoice:
    """Return what pays for an order beside its buyer.

    `vouchers` are all of one buyer's. `auto` takes what the stacking rules make of all usable ones, and none
    where none is usable. Named vouchers must all be usable, and their programmes pay beside each other:
    anything else is refused, voucher by voucher, rather than silently paid in cash.
    """
    if wish == "none":
        return VoucherChoice()
    offers = offers_for(vouchers, facts)
    reasons = {
        each.voucher_id: unusable_because(each, offers[each.programme_id], facts.at_us) for each in vouchers
    }
    if wish == "auto":
        usable = [each for each in vouchers if reasons[each.voucher_id] is None]
        return VoucherChoice(shares=_shares(usable, offers))
    wanted = dict.fromkeys(wish)
    refusals = [
        reasons[voucher_id]
        if voucher_id in reasons
        else VoucherRefusal(voucher_id, "voucher_unknown", "the buyer has no such voucher")
        for voucher_id in wanted
    ]
    if not any(refusals):
        named = {each.voucher_id: each for each in vouchers if each.voucher_id in wanted}
        shares = _shares(list(named.values()), offers)
        paying = {each.share.programme_id for each in shares}
        detail = "its programme pays nothing beside those of the other vouchers"
        refusals = [
            None
            if named[voucher_id].programme_id in paying
            else VoucherRefusal(voucher_id, "voucher_not_stackable", detail)
            for voucher_id in wanted
        ]
        if not any(refusals):
            return VoucherChoice(shares=shares)
    return VoucherChoice(refusals=tuple(refusal for refusal in refusals if refusal is not None))


def lowered(
    shares: Iterable[Share], versions: Mapping[int, Sequence[RulesVersion]], facts: Facts
) -> tuple[Share, ...]:
    """Return the shares of an order that has become what `facts` say, none at more than its rules now give.

    Each is judged by the version that it is held under, of those of its programme. None rises, so all stay
    within the ceilings; one may be left with a rate of 0.
    """
    return tuple(
        replace(share, rate_bps=min(share.rate_bps, rate_of(version.rules, facts)))
        for share in shares
        for version in versions[share.programme_id]
        if version.number == share.programme_version
    )


def _shares(usable: Iterable[UsableVoucher], offers: Mapping[int, Offer]) -> tuple[FundedShare, ...]:
    """Return the shares of the programmes that pay, in spending order; none is empty."""
    by_programme: dict[int, list[UsableVoucher]] = {}
    for each in sorted(usable, key=lambda each: (each.expires_at_us, each.voucher_id)):
        wallet = by_programme.setdefault(each.programme_id, [])
        if len(wallet) < VOUCHERS_PER_SHARE:
            wallet.append(each)
    rates = stack([_aid(offers[programme_id], wallet) for programme_id, wallet in by_programme.items()])
    shares = (_funded(offers[each], rate_bps, by_programme[each]) for each, rate_bps in rates)
    return tuple(share for share in shares if share.parts)


def _free_fen(rules: ProgrammeRules, wallet: Sequence[UsableVoucher]) -> int:
    """Return what vouchers of one programme can pay, within what its yearly cap leaves."""
    free_fen = sum(each.available_fen for each in wallet)
    left_fen = redeemable_fen(rules, wallet[0].used)
    return free_fen if left_fen is None else min(free_fen, left_fen)


def _aid(offer: Offer, wallet: Sequence[UsableVoucher]) -> Aid:
    """Return what a programme pays of an order out of what is free of its vouchers."""
    return Aid(
        programme_id=offer.programme_id,
        rate_bps=offer.rate_bps,
        eligible_fen=offer.eligible_fen,
        free_fen=_free_fen(offer.rules, wallet),
        stacking=offer.rules.stacking,
        ceiling_bps=ceiling_bps(offer.rules),
    )


def _funded(offer: Offer, rate_bps: int, wallet: Sequence[UsableVoucher]) -> FundedShare:
    """Return what an order sets aside of each voucher of a programme that pays at a rate."""
    left_fen = min(share_fen(offer.eligible_fen, rate_bps), _free_fen(offer.rules, wallet))
    parts = []
    for voucher in wallet:
        part_fen = min(left_fen, voucher.available_fen)
        if part_fen > 0:
            left_fen -= part_fen
            parts.append((voucher, part_fen))
    share = share_under(offer.held_under, offer.programme_id, rate_bps, offer.price_cap_ticks)
    return FundedShare(share=share, parts=tuple(parts))


def share_under(
    version: RulesVersion, programme_id: int, rate_bps: int, price_cap_ticks: int | None
) -> Share:
    """Return the share of an order that is held under a version of a programme's rules."""
    rules = version.rules
    return Share(
        programme_id=programme_id,
        programme_version=version.number,
        rate_bps=rate_bps,
        mask_hex=f"{programme_mask(version.ordinal):x}",
        price_cap_ticks=price_cap_ticks,
        list_cap_bps=BASIS_POINTS + (rules.price_cap_above_bps or 0) if rules.price_cap == "list" else None,
        reimbursed=rules.mode == "reimburse",
        capped_by_use=rules.cap_counts == "redeemed" and rules.cap_per_year_fen is not None,
    )
