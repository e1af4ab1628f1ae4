"""What a programme's rules say: which can be stored, whom they admit, whom they keep out. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from exchange.kit.clock import format_rfc3339
from exchange.kit.errors import Faults
from exchange.kit.fields import format_cny
from exchange.kit.ids import decode_id, encode_id
from exchange.participants.models import Participant, ParticipantKind
from exchange.vouchers.programme_models import (
    SUPPORTED_VALUES,
    Programme,
    ProgrammeRules,
    ProgrammeView,
    RequiredOrigin,
)


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
    document = msgspec.json.decode(msgspec.json.encode(rules), type=dict[str, Any])
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
            faults.add(where, "not_supported_yet", "must be absent: more than one tier is not supported yet")
        if tier.when:
            faults.add(
                f"{where}/when", "not_supported_yet", "must be absent: conditions are not supported yet"
            )
    seen: set[str] = set()
    for index, text in enumerate(rules.provider.admitted):
        where = f"{pointer}/provider/admitted/{index}"
        if decode_id("par", text) is None:
            faults.add(where, "bad_id", "must be an identifier that begins with par_", text)
        elif text in seen:
            faults.add(where, "duplicate", "must not be named twice", text)
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


def view_of_programme(programme: Programme) -> ProgrammeView:
    """Return a programme as anyone with a key sees it."""
    return ProgrammeView(
        id=encode_id("prg", programme.id),
        code=programme.code,
        name=programme.name,
        issuer_id=encode_id("par", programme.issuer_id),
        status=programme.status,
        budget_cny=format_cny(programme.budget_fen),
        issued_cny=format_cny(programme.issued_fen),
        unissued_cny=format_cny(programme.budget_fen - programme.issued_fen),
        version=programme.version,
        effective_at=format_rfc3339(programme.effective_from_us),
        created_at=format_rfc3339(programme.created_at_us),
        rules=programme.rules,
    )
