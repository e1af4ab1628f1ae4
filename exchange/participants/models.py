"""Who takes part: providers, buyers, issuers, regulators and operators; their trade groups and API keys.

Ids are 63-bit integers inside and `par_`, `grp_`, `key_` texts outside. `created_at_us` of participants and
groups is venue time; the times of keys are wall-clock time, because keys guard the real door.
"""

import datetime as dt
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

import msgspec

from exchange.kit.auth import Scope
from exchange.kit.fields import IdText, NameText, TimeText, exact

NETWORKS_MAX = 50
SECTORS_MAX = 20

Network = IPv4Network | IPv6Network


class ParticipantKind(StrEnum):
    """What a participant is here for."""

    PROVIDER = "provider"
    BUYER = "buyer"
    ISSUER = "issuer"
    REGULATOR = "regulator"
    OPERATOR = "operator"


class Ownership(StrEnum):
    """Who owns a provider."""

    STATE = "state"
    PRIVATE = "private"


class SizeClass(StrEnum):
    """How large a buyer is."""

    MICRO = "micro"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class Participant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A participant. Providers have an ownership; buyers a size class and a founding date; both a region."""

    id: int
    kind: ParticipantKind
    name: str
    trade_group_id: int | None
    region: str | None
    ownership: Ownership | None
    size_class: SizeClass | None
    founded_on: dt.date | None
    sectors: tuple[str, ...]
    created_at_us: int


class TradeGroup(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Participants under one control: their orders never trade with each other."""

    id: int
    name: str
    created_at_us: int


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of an API key; its secret is not stored. Times are wall-clock time."""

    id: int
    participant_id: int
    label: str
    scopes: frozenset[Scope]
    allowed_networks: tuple[Network, ...]
    created_at_us: int
    expires_at_us: int | None
    revoked_at_us: int | None


class KeyGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a key to be made shall be able to do, read from a request and checked by `rules`."""

    participant_id: int
    label: str = ""
    scopes: frozenset[Scope]
    allowed_networks: tuple[Network, ...] = ()
    expires_at_us: int | None = None


RegionText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(r"[a-z][a-z0-9-]{1,39}"),
        description="a region in 2 to 40 characters of a-z 0-9 -, such as guizhou",
        examples=["guizhou"],
    ),
]
SectorText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(r"[a-z][a-z0-9-]{1,39}"),
        description="a sector in 2 to 40 characters of a-z 0-9 -, such as large-models",
    ),
]
DateText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
        description="a date such as 2024-05-01",
        examples=["2024-05-01"],
    ),
]
NetworkText = Annotated[
    str, msgspec.Meta(max_length=50, description="an IP network such as 10.0.0.0/8 or one address")
]


class NewParticipant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A participant to be registered."""

    kind: ParticipantKind
    name: NameText
    trade_group_id: IdText | None = None
    region: RegionText | None = None
    ownership: Ownership | None = None
    size_class: SizeClass | None = None
    founded_on: DateText | None = None
    sectors: Annotated[tuple[SectorText, ...], msgspec.Meta(max_length=SECTORS_MAX)] = ()


class NewTradeGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trade group to be registered."""

    name: NameText


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made. Without `participant_id` it is for the caller's own participant."""

    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=len(Scope))]
    participant_id: IdText | None = None
    label: Annotated[str, msgspec.Meta(max_length=200)] = ""
    expires_at: TimeText | None = None
    allowed_networks: Annotated[tuple[NetworkText, ...], msgspec.Meta(max_length=NETWORKS_MAX)] = ()


class ParticipantView(msgspec.Struct, frozen=True, kw_only=True):
    """A participant as the API shows it."""

    id: str
    kind: ParticipantKind
    name: str
    trade_group_id: str | None
    region: str | None
    ownership: Ownership | None
    size_class: SizeClass | None
    founded_on: dt.date | None
    sectors: tuple[str, ...]
    created_at: str


class TradeGroupView(msgspec.Struct, frozen=True, kw_only=True):
    """A trade group as the API shows it."""

    id: str
    name: str
    created_at: str


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key as the API shows it: never its secret."""

    id: str
    participant_id: str
    label: str
    scopes: list[Scope]
    allowed_networks: list[str]
    created_at: str
    expires_at: str | None
    revoked_at: str | None


class IssuedKey(KeyView, frozen=True, kw_only=True):
    """A key just made. `secret` is the whole key to send; it is shown once and null ever after."""

    secret: str | None
