"""The arithmetic and the judgements of vouchers: pure functions of integers and facts.

Shares round down to the fen, so the buyer's own share takes every remainder and the parts of a trade sum to
it. Among vouchers the one that expires first is spent first, ties in order of issue.

Known limit: an order is paid by vouchers of one version of one programme; stacking has no rules yet.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import msgspec

from exchange.kit.errors import Faults
from exchange.kit.ids import decode_id, encode_id
from exchange.participants.models import Participant, ParticipantKind
from exchange.vouchers.models import (
    Balances,
    UsableVoucher,
    VoucherChoice,
    VoucherRefusal,
    VoucherStatus,
    VoucherWish,
)
from exchange.vouchers.programme_models import (
    BASIS_POINTS,
    SUPPORTED_VALUES,
    ProgrammeRules,
    RequiredOrigin,
)

PROGRAMME_BIT_FIRST: Final = 16
"""Eligibility bits below are the exchange's own; programme number n has bit 16 + n."""

DAY_US: Final = 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CHINA_STANDARD_TIME: Final = timezone(timedelta(hours=8))


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


def rate_of(rules: ProgrammeRules) -> int:
    """Return the share in basis points that a programme pays; storable rules have exactly one tier."""
    (tier,) = rules.rate_tiers
    return tier.bps


def admitted_providers(rules: ProgrammeRules) -> frozenset[int]:
    """Return the ids of the providers a programme admits; a text that is no id names nobody."""
    ids = (decode_id("par", text) for text in rules.provider.admitted)
    return frozenset(provider_id for provider_id in ids if provider_id is not None)


def pays_for_origin(required: RequiredOrigin, product_origin: str) -> bool:
    """Whether a programme pays for accelerators of an origin (`domestic` or `foreign`)."""
    return required is RequiredOrigin.ANY or product_origin == required.value


def find_rule_faults(rules: ProgrammeRules, faults: Faults, pointer: str = "/rules") -> None:
    """Record every part of well-formed rules that this version does not obey, or that contradicts itself."""
    document: dict[str, Any] = msgspec.to_builtins(rules)
    for path, only in SUPPORTED_VALUES.items():
        value: Any = document
        for part in path[1:].split("/"):
            value = value[part]
        if value != only:
            rule = f"must be {msgspec.json.encode(only).decode()}: other values are not supported yet"
            faults.add(pointer + path, "not_supported_yet", rule, value)
    for index, tier in enumerate(rules.rate_tiers):
        where = f"{pointer}/rate_tiers/{index}"
        if index > 0:
            faults.add(where, "not_supported_yet", "more than one tier is not supported yet")
        if tier.when is not None:
            faults.add(f"{where}/when", "not_supported_yet", "conditions are not supported yet", tier.when)
    seen: set[str] = set()
    for index, text in enumerate(rules.provider.admitted):
        where = f"{pointer}/provider/admitted/{index}"
        if decode_id("par", text) is None:
            faults.add(where, "bad_id", "must be an identifier that begins with par_", text)
        elif text in seen:
            faults.add(where, "named_twice", "is named twice", text)
        seen.add(text)


def buyer_objections(rules: ProgrammeRules, buyer: Participant) -> Iterator[tuple[str, str]]:
    """Yield (path, reason in words) of every rule that keeps a participant from being issued vouchers."""
    if buyer.kind is not ParticipantKind.BUYER:
        yield "/buyer", f"vouchers are for buyers, and this participant is of kind {buyer.kind.value}"
        return
    if rules.buyer.regions and buyer.region not in rules.buyer.regions:
        yield (
            "/buyer/regions",
            f"the buyer is registered in {buyer.region}, not in {_either(rules.buyer.regions)}",
        )
    if rules.buyer.size_classes and buyer.size_class not in rules.buyer.size_classes:
        size = "unknown" if buyer.size_class is None else buyer.size_class.value
        wanted = [each.value for each in rules.buyer.size_classes]
        yield "/buyer/size_classes", f"the buyer's size class is {size}, not {_either(wanted)}"


def _either(words: Sequence[str]) -> str:
    return " or ".join(words)


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
