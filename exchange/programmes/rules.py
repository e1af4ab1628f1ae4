"""Which rules of a programme can be stored, and how a programme is shown. Pure.

Rules are refused where a part of them could not be evaluated, contradicts another, or is not obeyed yet;
every fault is told at once, each with the JSON pointer to its place.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

import msgspec

from exchange.kit import own_reasons
from exchange.kit.auth import Principal
from exchange.kit.clock import format_rfc3339
from exchange.kit.errors import Faults
from exchange.kit.fields import format_cny, time_us
from exchange.kit.ids import decode_id, encode_id
from exchange.kit.names import check_name, name_key
from exchange.participants.models import ParticipantKind, SizeClass
from exchange.products.models import Origin
from exchange.programmes.facts import WORDS
from exchange.programmes.models import (
    BASIS_POINTS,
    SUPPORTED_VALUES,
    Condition,
    Fact,
    FundingView,
    Programme,
    ProgrammeRules,
    ProgrammeStatus,
    ProgrammeView,
    RulesVersion,
    VersionView,
)
from exchange.programmes.reach import Known, find_closed_tiers, find_unmet_capacity
from exchange.programmes.step_models import ProgrammeStep, ProgrammeStepView

_WORD_LISTS: Final[Mapping[Fact, frozenset[str]]] = {
    Fact.ORIGIN: frozenset(each.value for each in Origin),
    Fact.SIZE_CLASS: frozenset(each.value for each in SizeClass),
}
_LISTS: Final = (
    "/buyer/regions",
    "/buyer/size_classes",
    "/buyer/sectors",
    "/provider/admitted",
    "/provider/regions",
    "/capacity/accelerators",
    "/capacity/hubs",
    "/evidence",
)

DATE_MAX: Final = dt.date(2199, 12, 31)
"""The last date that rules may name."""

PROGRAMME_BIT_FIRST: Final = 16
"""Eligibility bits below are the exchange's own; the rules with ordinal n have bit 16 + n."""


def find_rule_faults(
    rules: ProgrammeRules, faults: Faults, known: Known | None = None, pointer: str = "/rules"
) -> None:
    """Record every part of well-formed rules that cannot be evaluated or obeyed.

    Without `known`, names of accelerators and hubs are not looked up.
    """
    document = msgspec.json.decode(msgspec.json.encode(rules), type=dict[str, Any])
    _find_unsupported(document, faults, pointer)
    named = {} if known is None else {Fact.ACCELERATOR: known.accelerators, Fact.HUB: known.hubs}
    for tier_index, tier in enumerate(rules.rate_tiers):
        for index, condition in enumerate(tier.when):
            where = f"{pointer}/rate_tiers/{tier_index}/when/{index}"
            if condition.fact in WORDS:
                _find_word_faults(condition, faults, named, where)
            else:
                _find_number_faults(condition, faults, where)
    for path in _LISTS:
        for index, text in _repeated(_at(document, path)):
            faults.add(f"{pointer}{path}/{index}", "duplicate", "must not be named twice", text)
    for index, text in enumerate(rules.provider.admitted):
        if decode_id("par", text) is None:
            where = f"{pointer}/provider/admitted/{index}"
            faults.add(where, "bad_id", "must be an identifier that begins with par_", text)
    capacity = rules.capacity
    _find_unknown(
        capacity.accelerators, named.get(Fact.ACCELERATOR), faults, f"{pointer}/capacity/accelerators"
    )
    _find_unknown(capacity.hubs, named.get(Fact.HUB), faults, f"{pointer}/capacity/hubs")
    if known is not None:
        find_unmet_capacity(capacity, known, faults, f"{pointer}/capacity")
    find_closed_tiers(rules, faults, pointer)
    _find_lonely(rules, faults, pointer)
    _find_date_fault(rules.contract.signed_from, faults, f"{pointer}/contract/signed_from")
    _find_funding_faults(rules, faults, f"{pointer}/funding_split")
    _find_window_faults(rules, faults, f"{pointer}/windows")
    _find_review_faults(rules, faults, f"{pointer}/review")


def _find_lonely(rules: ProgrammeRules, faults: Faults, pointer: str) -> None:
    """Record what says nothing without another rule."""
    for name, value, goes, needed in (
        (
            "price_cap_above_bps",
            rules.price_cap_above_bps,
            rules.price_cap != "none",
            "price_cap list or reference",
        ),
        ("stacking_ceiling_bps", rules.stacking_ceiling_bps, rules.stacking == "ceiling", "stacking ceiling"),
        (
            "cap_counts",
            rules.cap_counts if rules.cap_counts == "redeemed" else None,
            rules.cap_per_year_fen is not None,
            "cap_per_year_fen",
        ),
        (
            "cap_basis",
            rules.cap_basis if rules.cap_basis == "group" else None,
            rules.cap_per_year_fen is not None,
            "cap_per_year_fen",
        ),
    ):
        if value is not None and not goes:
            faults.add(f"{pointer}/{name}", "not_applicable", f"must only be given with {needed}", value)


def _find_unsupported(document: Any, faults: Faults, pointer: str) -> None:
    for path, only in SUPPORTED_VALUES.items():
        value = _at(document, path)
        if value != only:
            rule = f"must be {msgspec.json.encode(only).decode()}: other values are not supported yet"
            faults.add(pointer + path, "not_supported_yet", rule, value)


def _at(document: Any, path: str) -> Any:
    for part in path[1:].split("/"):
        document = document[part]
    return document


def _repeated(texts: Collection[str]) -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    for index, text in enumerate(texts):
        if text in seen:
            yield index, text
        seen.add(text)


def _find_number_faults(condition: Condition, faults: Faults, where: str) -> None:
    fact, low, high = condition.fact.value, condition.at_least, condition.at_most
    if condition.is_one_of:
        rule = f"does not go with {fact}, which is a number: use at_least and at_most"
        faults.add(f"{where}/is_one_of", "not_applicable", rule)
    if low is None and high is None:
        faults.add(where, "required", f"must bound {fact} by at_least, at_most or both")
    elif low is not None and high is not None and low > high:
        faults.add(f"{where}/at_most", "out_of_range", f"must not be less than at_least, {low}", high)


def _find_word_faults(
    condition: Condition, faults: Faults, named: Mapping[Fact, Collection[str]], where: str
) -> None:
    fact = condition.fact.value
    for name, bound in (("at_least", condition.at_least), ("at_most", condition.at_most)):
        if bound is not None:
            rule = f"does not go with {fact}, which is a word: use is_one_of"
            faults.add(f"{where}/{name}", "not_applicable", rule, bound)
    if not condition.is_one_of:
        faults.add(f"{where}/is_one_of", "required", f"must name at least one value of {fact}")
    for index, text in _repeated(condition.is_one_of):
        faults.add(f"{where}/is_one_of/{index}", "duplicate", "must not be named twice", text)
    allowed = _WORD_LISTS.get(condition.fact)
    for index, text in enumerate(condition.is_one_of):
        if allowed is not None and text not in allowed:
            rule = f"must be {' or '.join(sorted(allowed))}"
            faults.add(f"{where}/is_one_of/{index}", "not_one_of", rule, text)
    _find_unknown(condition.is_one_of, named.get(condition.fact), faults, f"{where}/is_one_of")


def _find_unknown(texts: Collection[str], known: Collection[str] | None, faults: Faults, where: str) -> None:
    if known is None:
        return
    for index, text in enumerate(texts):
        if text not in known:
            faults.add(f"{where}/{index}", "unknown_reference", "is of no product of this exchange", text)


def _find_date_fault(text: str | None, faults: Faults, where: str) -> None:
    if text is None:
        return
    try:
        date = dt.date.fromisoformat(text)
    except ValueError:
        faults.add(where, "bad_time", "must be a date of the calendar, such as 2024-05-01", text)
    else:
        if date > DATE_MAX:
            faults.add(where, "out_of_range", f"must not lie after {DATE_MAX}", text)


def _find_funding_faults(rules: ProgrammeRules, faults: Faults, where: str) -> None:
    total = sum(share.bps for share in rules.funding_split)
    if rules.funding_split and total != BASIS_POINTS:
        rule = f"must sum to {BASIS_POINTS} basis points, and they sum to {total}"
        faults.add(where, "out_of_range", rule)
    for index, share in enumerate(rules.funding_split):
        check_name(faults, f"{where}/{index}/source", share.source)
    for key, count in Counter(name_key(share.source) for share in rules.funding_split).items():
        if count > 1:
            faults.add(where, "duplicate", "must name each source once", key)


def _find_window_faults(rules: ProgrammeRules, faults: Faults, where: str) -> None:
    if rules.allocation == "first_come" and rules.windows:
        rule = "must only be given with allocation window or scored"
        faults.add(where, "not_applicable", rule)
    elif rules.allocation == "window" and not rules.windows:
        faults.add(where, "required", "must name at least one window with allocation window")
    spans = []
    for index, window in enumerate(rules.windows):
        opens_us = time_us(faults, f"{where}/{index}/opens_at", window.opens_at)
        closes_us = time_us(faults, f"{where}/{index}/closes_at", window.closes_at)
        if opens_us is None or closes_us is None:
            continue
        if closes_us <= opens_us:
            rule = "must be later than opens_at"
            faults.add(f"{where}/{index}/closes_at", "window_inverted", rule, window.closes_at)
        else:
            spans.append((opens_us, closes_us, index))
    reached_us, last = None, 0
    for opens_us, closes_us, index in sorted(spans):
        if reached_us is not None and opens_us < reached_us:
            opens_at = rules.windows[index].opens_at
            rule = f"must not overlap another window, and {where}/{last} is open then"
            faults.add(f"{where}/{index}", "overlap", rule, opens_at)
        if reached_us is None or closes_us > reached_us:
            reached_us, last = closes_us, index


def _find_review_faults(rules: ProgrammeRules, faults: Faults, where: str) -> None:
    auto_fen, committee_fen = rules.review.auto_below_fen, rules.review.committee_above_fen
    if rules.allocation == "scored":
        for name, fen in (("auto_below_fen", auto_fen), ("committee_above_fen", committee_fen)):
            if fen is not None:
                rule = "does not go with allocation scored, which grants all at once"
                faults.add(f"{where}/{name}", "not_applicable", rule, fen)
    elif auto_fen is not None and committee_fen is not None and auto_fen > committee_fen:
        rule = f"must not be above committee_above_fen, {committee_fen}"
        faults.add(f"{where}/auto_below_fen", "out_of_range", rule, auto_fen)


def split_fen(total_fen: int, parts_bps: Collection[int]) -> list[int]:
    """Return a total in parts of these shares, which sum to the whole: the parts sum to the total."""
    reached = [total_fen * bps // BASIS_POINTS for bps in accumulate(parts_bps)]
    return [after - before for before, after in zip([0, *reached], reached, strict=False)]


def sees_all_drafts(viewer: Principal | None) -> bool:
    """Whether someone sees the drafts of every issuer."""
    return viewer is not None and viewer.kind in {ParticipantKind.OPERATOR, ParticipantKind.REGULATOR}


def may_see(programme: Programme, viewer: Principal | None) -> bool:
    """Whether someone may see a programme; None may see what everyone with a key may."""
    if programme.status is not ProgrammeStatus.DRAFT or sees_all_drafts(viewer):
        return True
    return viewer is not None and viewer.participant_id == programme.issuer_id


def admit_alike(rules: ProgrammeRules, other: ProgrammeRules) -> bool:
    """Whether two rules admit the same asks, whoever lists them, so that one eligibility bit stands for both.

    The database asks the same of versions that share a bit.
    """
    return (rules.provider, rules.capacity, rules.price_cap) == (
        other.provider,
        other.capacity,
        other.price_cap,
    )


def superseded_us(versions: Sequence[RulesVersion], number: int) -> int | None:
    """Return when the first version with a higher number begins; None where there is none."""
    return min((each.effective_from_us for each in versions if each.number > number), default=None)


def programme_mask(ordinal: int) -> int:
    """Return the eligibility mask with only the bit of the rules with this ordinal."""
    return 1 << (PROGRAMME_BIT_FIRST + ordinal)


def asset_of(programme_id: int) -> str:
    """Return the code of the asset in which a programme's vouchers are counted."""
    return encode_id("prg", programme_id)


def view_of_programme(programme: Programme) -> ProgrammeView:
    """Return a programme as anyone with a key sees it."""
    split = programme.rules.funding_split
    shares = [share.bps for share in split]
    parts = zip(
        split, split_fen(programme.budget_fen, shares), split_fen(programme.issued_fen, shares), strict=True
    )
    version = view_of_version(programme.version)
    returned_fen = programme.unissued_fen if programme.status is ProgrammeStatus.CLOSED else 0
    return ProgrammeView(
        id=encode_id("prg", programme.id),
        code=programme.code,
        name=programme.name,
        issuer_id=encode_id("par", programme.issuer_id),
        status=programme.status,
        budget_cny=format_cny(programme.budget_fen),
        issued_cny=format_cny(programme.issued_fen),
        unissued_cny=format_cny(programme.unissued_fen - returned_fen),
        returned_cny=format_cny(returned_fen),
        funding=[
            FundingView(
                source=share.source, budget_cny=format_cny(budget_fen), issued_cny=format_cny(issued_fen)
            )
            for share, budget_fen, issued_fen in parts
        ],
        version=version.version,
        effective_at=version.effective_at,
        effective_until=version.effective_until,
        created_at=format_rfc3339(programme.created_at_us),
        rules=version.rules,
    )


def view_of_version(version: RulesVersion, superseded_at_us: int | None = None) -> VersionView:
    """Return a version of a programme's rules as anyone with a key sees it."""
    until_us = version.effective_until_us
    return VersionView(
        version=version.number,
        effective_at=format_rfc3339(version.effective_from_us),
        effective_until=None if until_us is None else format_rfc3339(until_us),
        superseded_at=None if superseded_at_us is None else format_rfc3339(superseded_at_us),
        rules=version.rules,
    )


def view_of_programme_step(step: ProgrammeStep) -> ProgrammeStepView:
    """Return a step of a programme as anyone who sees the programme sees it."""
    return ProgrammeStepView(
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
