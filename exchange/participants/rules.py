"""What a participant must say of itself, who counts as a start-up, and what a key may be allowed. Pure."""

import datetime as dt
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, TypeVar

import msgspec

from exchange.kit.auth import Scope
from exchange.kit.clock import calendar_date
from exchange.kit.errors import Faults
from exchange.kit.fields import Readable
from exchange.kit.ids import encode_id
from exchange.kit.signing_keys import BadKey, read_public_key
from exchange.participants.models import (
    EXCHANGE_ID,
    Key,
    KeyGrant,
    Network,
    NewParticipant,
    Participant,
    ParticipantKind,
    SizeClass,
)

T = TypeVar("T")

STARTUP_YEARS: Final = 5
"""A start-up is a micro or small company at most this many years after its founding date."""

KIND_SCOPES: Final[dict[ParticipantKind, frozenset[Scope]]] = {
    ParticipantKind.PROVIDER: frozenset({Scope.READ, Scope.LIST_CAPACITY}),
    ParticipantKind.BUYER: frozenset({Scope.READ, Scope.TRADE}),
    ParticipantKind.ISSUER: frozenset({Scope.READ, Scope.ISSUE}),
    ParticipantKind.REGULATOR: frozenset({Scope.READ, Scope.AUDIT}),
    ParticipantKind.OPERATOR: frozenset(Scope),
}
"""The most that a key of a participant of each kind may do."""

ACTIVE_DAYS: Final = 90
"""So long issuers find a buyer whose last key has expired: who logs in by links has none at times."""

_SMALL: Final = frozenset({SizeClass.MICRO, SizeClass.SMALL})
_FACTS: Final = {
    "ownership": frozenset({ParticipantKind.PROVIDER}),
    "size_class": frozenset({ParticipantKind.BUYER}),
    "founded_on": frozenset({ParticipantKind.BUYER}),
    "region": frozenset({ParticipantKind.PROVIDER, ParticipantKind.BUYER}),
}


def is_startup(participant: Participant, now_us: int) -> bool:
    """Whether a participant is micro or small and was founded at most `STARTUP_YEARS` years ago."""
    if participant.size_class not in _SMALL or participant.founded_on is None:
        return False
    return calendar_date(now_us) <= years_after(participant.founded_on, STARTUP_YEARS)


def years_after(date: dt.date, years: int) -> dt.date:
    """Return the same day some years later; for 29 February, 1 March where there is none."""
    try:
        return date.replace(year=date.year + years)
    except ValueError:
        return dt.date(date.year + years, 3, 1)


def read_date(faults: Faults, pointer: str, text: Readable, now_us: int) -> dt.date | None:
    """Return a date that has begun in China, or record a fault and return None."""
    if not isinstance(text, str):
        return None
    try:
        date = dt.date.fromisoformat(text)
    except ValueError:
        faults.add(pointer, "bad_time", "must be a date of the calendar, such as 2024-05-01", text)
        return None
    today = calendar_date(now_us)
    if date > today:
        faults.add(pointer, "out_of_range", f"must not lie in the future: in China it is {today}", text)
        return None
    return date


def check_facts(faults: Faults, new: NewParticipant) -> None:
    """Record a fault for each fact that the participant's kind needs and lacks, or has and may not have."""
    if "/kind" in faults:
        return
    for field, kinds in _FACTS.items():
        value = getattr(new, field)
        if value is None and new.kind in kinds:
            faults.add(f"/{field}", "required", f"is required of a {new.kind.value}")
        elif isinstance(value, str) and new.kind not in kinds and field != "region":
            owner = " or ".join(sorted(kinds))
            faults.add(f"/{field}", "not_for_kind", f"is a fact of a {owner} only", value)
    _check_sectors(faults, new)


def _check_sectors(faults: Faults, new: NewParticipant) -> None:
    """Record sectors of who is no buyer, or one that is named twice."""
    sectors = new.sectors or ()  # UNSET where they are at fault already
    if sectors and new.kind is not ParticipantKind.BUYER:
        faults.add("/sectors", "not_for_kind", "is a fact of a buyer only", list(sectors))
    for index, sector in enumerate(sectors):
        if sector in sectors[:index]:
            faults.add(f"/sectors/{index}", "duplicate", "must not be named twice", sector)


def read_networks(faults: Faults, pointer: str, texts: Iterable[str]) -> tuple[Network, ...]:
    """Return IP networks, one address being a network too; record a fault for each text that is none."""
    networks: list[Network] = []
    for index, text in enumerate(texts):
        try:
            networks.append(ip_network(text))
        except ValueError:
            rule = "must be an IP network without host bits, such as 10.0.0.0/8"
            faults.add(f"{pointer}/{index}", "bad_network", rule, text)
    return tuple(networks)


def address_of(client_ip: str | None) -> str | None:
    """Return an IP address as it is stored, None for what is none."""
    try:
        return str(ip_address((client_ip or "").partition("%")[0]))
    except ValueError:
        return None


def read_signing_key(faults: Faults, pointer: str, text: Readable) -> bytes | None:
    """Return an Ed25519 public key, or record a fault and return None."""
    if not isinstance(text, str):
        return None
    try:
        return read_public_key(text)
    except BadKey as error:
        faults.add(pointer, "bad_signing_key", f"must {error}", text)
        return None


def check_grant(
    faults: Faults, grant: KeyGrant, kind: ParticipantKind, maker_key: Key | None, wall_now_us: int
) -> None:
    """Record a fault for each way in which a new key would be able to do too much.

    A key never exceeds what its participant's kind may do. With `maker_key`, it never exceeds that key
    either: not in scopes, in time, in the networks it may come from; and it signs where that one does.
    """
    if grant.participant_id == EXCHANGE_ID:
        rule = "must not be the exchange itself, which no key and no login opens"
        faults.add("/participant_id", "not_for_exchange", rule, encode_id("par", EXCHANGE_ID))
    beyond_kind = sorted(grant.scopes - KIND_SCOPES[kind])
    if beyond_kind:
        allowed = ", ".join(sorted(KIND_SCOPES[kind]))
        faults.add(
            "/scopes", "scope_not_allowed", f"must be among {allowed} for a {kind.value}", beyond_kind[0]
        )
    if grant.expires_at_us is not None and grant.expires_at_us <= wall_now_us:
        faults.add("/expires_at", "out_of_range", "must lie in the future")
    if maker_key is None:
        return
    beyond_maker = sorted(grant.scopes - maker_key.scopes)
    if beyond_maker and not beyond_kind:
        rule = "must not go beyond the scopes of the key that makes it"
        faults.add("/scopes", "scope_not_allowed", rule, beyond_maker[0])
    limit_us = maker_key.expires_at_us
    if limit_us is not None and (grant.expires_at_us is None or grant.expires_at_us > limit_us):
        rule = "must not be later than the expiry of the key that makes it"
        faults.add("/expires_at", "out_of_range", rule)
    if maker_key.allowed_networks and not _are_within(grant.allowed_networks, maker_key.allowed_networks):
        rule = "must lie within the networks of the key that makes it"
        faults.add("/allowed_networks", "bad_network", rule)
    if maker_key.signing_public_key is not None and grant.signing_public_key is None:
        rule = "is required of a key that is made by one that signs"
        if "/signing_public_key" not in faults:
            faults.add("/signing_public_key", "required", rule)


def successor_expires_at_us(
    key: Key, successor: Key | None, actor_key: Key | None, wall_now_us: int
) -> int | None:
    """Return when a key made in the place of `key` ends; None is never.

    It gets the time that `key` was made with, from now on; but nobody gives more than the own key has, and a
    key that puts another in its own place gives what it had itself. `successor` is one made before in its
    place: what `key` gave is kept there. `actor_key` is None for the exchange and for operators of others.
    """
    given = key if successor is None else successor
    if actor_key is not None and actor_key.id == key.id:
        return given.expires_at_us
    renewed_us = None
    if given.expires_at_us is not None:
        renewed_us = wall_now_us + given.expires_at_us - given.created_at_us
    limit_us = None if actor_key is None else actor_key.expires_at_us
    return min((each for each in (renewed_us, limit_us) if each is not None), default=None)


def _are_within(networks: tuple[Network, ...], allowed: tuple[Network, ...]) -> bool:
    return bool(networks) and all(any(_is_within(each, other) for other in allowed) for each in networks)


def _is_within(network: Network, other: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)


def present(value: T | msgspec.UnsetType) -> T | None:
    """Return a field's value, or None where the field is at fault already."""
    return None if isinstance(value, msgspec.UnsetType) else value
