"""What a version of a programme's rules says of an order, a provider and a company, rule by rule. Pure.

The one place where rules are judged: funding an order, admitting an ask, issuing a voucher and answering
"would this order be subsidised" all go through these functions, so they cannot disagree. A rule that says
nothing (an empty list, None) yields no verdict.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from exchange.kit.clock import calendar_date
from exchange.kit.fields import format_cny
from exchange.kit.ids import encode_id
from exchange.participants.models import Participant, ParticipantKind
from exchange.products.models import ProductSpec
from exchange.programmes.facts import Facts, age_years, in_words, is_met
from exchange.programmes.models import (
    BASIS_POINTS,
    CapUse,
    ProgrammeRules,
    RateTier,
    RequiredOrigin,
    RulesVersion,
)


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """Whether one rule is met. `rule` is a JSON pointer into the rules, `detail` says it in words."""

    rule: str
    holds: bool
    detail: str


class Standing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A company under a programme in a calendar year, as the books have it.

    `issued_fen` is what it was issued, `group_issued_fen` what its whole trade group was (both the same
    without a group), `spent_fen` what it paid for delivered hours of the year's trades, vouchers included.
    """

    issued_fen: int
    group_issued_fen: int
    spent_fen: int
    is_with_provider: bool


def in_force(versions: Iterable[RulesVersion], at_us: int) -> RulesVersion | None:
    """Return the version in force at a time, of versions in the order of their numbers."""
    found = None
    for version in versions:
        if version.effective_from_us <= at_us:
            found = version
    ended = found is not None and found.effective_until_us is not None and found.effective_until_us <= at_us
    return None if ended else found


def rate_of(rules: ProgrammeRules, facts: Facts) -> int:
    """Return the share in basis points that the rules give an order; 0 where no tier fits."""
    fitting = [tier.bps for tier in rules.rate_tiers if _fits(tier, facts)]
    return _combined(rules, fitting[:1] if rules.combine == "first" else fitting)


def rate_at_most(rules: ProgrammeRules, facts: Facts) -> int:
    """Return the highest share that the rules can give an order, whatever its product's reference price is.

    What an order counts as for certain rises with that price, up to its limit, and opens tiers only.
    """
    low, high = (
        msgspec.structs.replace(
            facts, product=msgspec.structs.replace(facts.product, reference_price_ticks=ticks)
        )
        for ticks in (0, facts.price_ticks)
    )
    fitting = []
    for tier in rules.rate_tiers:
        if _fits(tier, high):
            fitting.append(tier.bps)
            if rules.combine == "first" and _fits(tier, low):
                break
    return _combined(rules, fitting)


def _combined(rules: ProgrammeRules, fitting: Sequence[int]) -> int:
    return min(sum(fitting), BASIS_POINTS) if rules.combine == "sum" else max(fitting, default=0)


def _fits(tier: RateTier, facts: Facts) -> bool:
    return all(is_met(condition, facts) for condition in tier.when)


def price_cap_of(rules: ProgrammeRules, product: ProductSpec) -> int | None:
    """Return the cap by the reference price: the price in ticks beyond which vouchers pay no share.

    Rounded down; None where the rules have no such cap. A cap by the provider's list price is known with the
    trade only (`Share.list_cap_bps`).
    """
    if rules.price_cap != "reference":
        return None
    return product.reference_price_ticks * (BASIS_POINTS + (rules.price_cap_above_bps or 0)) // BASIS_POINTS


def order_verdicts(rules: ProgrammeRules, facts: Facts) -> Iterator[Verdict]:
    """Yield what the rules say of an order: its capacity, its contract, its rate."""
    yield from capacity_verdicts(rules, facts.product)
    contract = rules.contract
    if contract.signed_from is not None:
        today = calendar_date(facts.at_us)
        holds = today >= dt.date.fromisoformat(contract.signed_from)
        detail = f"contracts signed from {contract.signed_from} are paid, and this one is of {today}"
        yield Verdict("/contract/signed_from", holds, detail)
    if contract.max_hours is not None:
        detail = f"contracts of at most {contract.max_hours} hours are paid, and this one is of {facts.hours}"
        yield Verdict("/contract/max_hours", facts.hours <= contract.max_hours, detail)
    if contract.unaffiliated:
        yield Verdict("/contract/unaffiliated", True, "orders of one trade group never trade with each other")  # noqa: FBT003  (a struct's field)
    if rules.price_cap == "list":
        above = f" and {_percent(rules.price_cap_above_bps)} more" if rules.price_cap_above_bps else ""
        detail = f"at providers with a list price, a share is paid of at most that price{above}"
        yield Verdict("/price_cap", True, detail)  # noqa: FBT003  (a struct's field)
    rate_bps = rate_of(rules, facts)
    detail = f"the share is {_percent(rate_bps)}" if rate_bps else "no tier of the rates fits the order"
    yield Verdict("/rate_tiers", rate_bps > 0, detail)


def tier_verdicts(rules: ProgrammeRules, facts: Facts) -> Iterator[Verdict]:
    """Yield which tiers of the rates fit an order, each with its conditions in words."""
    for index, tier in enumerate(rules.rate_tiers):
        asked = "; ".join(in_words(condition, facts) for condition in tier.when) or "without condition"
        yield Verdict(f"/rate_tiers/{index}", _fits(tier, facts), f"{_percent(tier.bps)}, {asked}")


def capacity_verdicts(rules: ProgrammeRules, product: ProductSpec) -> Iterator[Verdict]:
    """Yield what the rules say of a product."""
    capacity = rules.capacity
    if capacity.origin is not RequiredOrigin.ANY:
        holds = product.origin == capacity.origin.value
        detail = f"{capacity.origin.value} accelerators are paid, and this is a {product.origin.value} one"
        yield Verdict("/capacity/origin", holds, detail)
    if capacity.accelerators:
        yield _among(
            "/capacity/accelerators", "the accelerator", product.accelerator_id, capacity.accelerators
        )
    if capacity.hubs:
        yield _among("/capacity/hubs", "the hub", product.hub_code, capacity.hubs)


def provider_verdicts(
    rules: ProgrammeRules, provider: Participant, list_price_ticks: int | None
) -> Iterator[Verdict]:
    """Yield what the rules say of a provider with this list price of the product, or with none."""
    rule = rules.provider
    if rule.admitted:
        holds = encode_id("par", provider.id) in rule.admitted
        detail = f"the provider is {'' if holds else 'not '}among those admitted"
        yield Verdict("/provider/admitted", holds, detail)
    if rule.ownership != "any":
        yield _among("/provider/ownership", "the provider's ownership", provider.ownership, (rule.ownership,))
    if rule.regions:
        yield _among("/provider/regions", "the provider's region", provider.region, rule.regions)
    if rules.price_cap == "list":
        have = "none" if list_price_ticks is None else f"{format_cny(list_price_ticks)} CNY per GPU-hour"
        detail = f"the provider must have a list price of the product, and it has {have}"
        yield Verdict("/price_cap", list_price_ticks is not None, detail)


def buyer_verdicts(
    rules: ProgrammeRules, buyer: Participant, standing: Standing, at_us: int
) -> Iterator[Verdict]:
    """Yield what the rules say of who would be issued a voucher; the yearly cap is `cap_left_fen`."""
    rule = rules.buyer
    if buyer.kind is not ParticipantKind.BUYER:
        detail = f"vouchers are for buyers, and this participant is of kind {buyer.kind.value}"
        yield Verdict("/buyer", False, detail)  # noqa: FBT003  (a struct's field)
        return
    if rule.regions:
        yield _among("/buyer/regions", "the buyer's region", buyer.region, rule.regions)
    if rule.size_classes:
        yield _among("/buyer/size_classes", "the buyer's size class", buyer.size_class, rule.size_classes)
    if rule.sectors:
        holds = any(sector in rule.sectors for sector in buyer.sectors)
        have = " and ".join(buyer.sectors) or "none"
        yield Verdict("/buyer/sectors", holds, f"of {_either(rule.sectors)}; the buyer's sectors are: {have}")
    if rule.max_age_years is not None:
        age = age_years(buyer, at_us)
        have = "unknown" if age is None else f"{age} full years"
        detail = f"at most {rule.max_age_years} full years; the buyer's age is {have}"
        yield Verdict("/buyer/max_age_years", age is not None and age <= rule.max_age_years, detail)
    if rule.exclude_providers:
        is_or_not = "is" if standing.is_with_provider else "is not"
        detail = f"the buyer {is_or_not} of one trade group with a provider"
        yield Verdict("/buyer/exclude_providers", not standing.is_with_provider, detail)
    if rules.min_annual_spend_fen is not None:
        least, spent = format_cny(rules.min_annual_spend_fen), format_cny(standing.spent_fen)
        detail = f"at least {least} CNY paid for delivered hours of the year; the buyer has paid {spent} CNY"
        yield Verdict("/min_annual_spend_fen", standing.spent_fen >= rules.min_annual_spend_fen, detail)


def cap_left_fen(rules: ProgrammeRules, standing: Standing) -> int | None:
    """Return what the yearly cap still lets a company be issued; None where none counts what is issued."""
    if rules.cap_per_year_fen is None or rules.cap_counts != "issued":
        return None
    used_fen = standing.group_issued_fen if rules.cap_basis == "group" else standing.issued_fen
    return max(rules.cap_per_year_fen - used_fen, 0)


def redeemable_fen(rules: ProgrammeRules, used: CapUse) -> int | None:
    """Return what a company's orders may still use this year; None where no cap counts what is redeemed."""
    if rules.cap_per_year_fen is None or rules.cap_counts != "redeemed":
        return None
    used_fen = used.group_used_fen if rules.cap_basis == "group" else used.used_fen
    return max(rules.cap_per_year_fen - used_fen, 0)


def first_objection(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Return the first rule that is not met, or None where all are."""
    return next((verdict for verdict in verdicts if not verdict.holds), None)


def _among(rule: str, noun: str, value: str | None, wanted: Sequence[str]) -> Verdict:
    have = "unknown" if value is None else str(value)
    return Verdict(rule, value in wanted, f"{noun} must be {_either(wanted)}, and it is {have}")


def _either(words: Sequence[str]) -> str:
    return " or ".join(str(word) for word in words)


def _percent(bps: int) -> str:
    return f"{bps / 100:g} %"
