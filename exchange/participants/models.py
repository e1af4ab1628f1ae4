"""Who takes part: providers, buyers, issuers, regulators and operators; their trade groups and API keys.

Ids are 63-bit integers inside and `par_`, `grp_`, `key_` texts outside. `created_at_us` of participants and
groups is venue time; the times of keys are wall-clock time, because keys guard the real door.
"""

import datetime as dt
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final, NamedTuple

import msgspec

from exchange.kit.auth import Scope, StoredKey
from exchange.kit.fields import ClientText, NameText, ParticipantIdText, TimeText, TradeGroupIdText, exact

EXCHANGE_ID: Final = 1
"""The exchange itself: whose the fee account is. It takes part in nothing, and no key or login opens it."""
NETWORKS_MAX = 50
OVERLAP_S_MAX = 7 * 24 * 3600
SECTORS_MAX = 20
LABEL_LENGTH_MAX = 200
LOGIN_VALID_S = 15 * 60
LOGIN_VALID_S_MAX = 24 * 3600

Network = IPv4Network | IPv6Network


class ParticipantKind(StrEnum):
    """What a participant is here for."""

    PROVIDER = "provider"
    BUYER = "buyer"
    ISSUER = "issuer"
    REGULATOR = "regulator"
    OPERATOR = "operator"


class SessionsOf(StrEnum):
    """Whose sessions of the console are meant: those of the key that asks, or of its participant's keys."""

    KEY = "key"
    PARTICIPANT = "participant"


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
    signing_public_key: bytes | None = None
    """The Ed25519 key that must sign its requests, 32 bytes; None where none must."""
    algorithm: str | None = None
    """What decides with it, by its owner's name for it; None where a person does."""
    maker_id: int | None = None
    """The key of the same participant that made it, or in whose place it was made."""
    successor_id: int | None = None
    """The key that was made in its place."""
    last_used_at_us: int | None = None
    """To the minute."""
    last_used_from: str | None = None

    def has_ended(self, wall_now_us: int) -> bool:
        """Whether it opens nothing any more."""
        expires_at_us = self.expires_at_us
        return self.revoked_at_us is not None or (expires_at_us is not None and expires_at_us <= wall_now_us)


class KeyUse(NamedTuple):
    """When a key last opened a process, and from which address; None where that is not known."""

    key_id: int
    at_us: int
    address: str | None


class KeyGrant(msgspec.Struct, frozen=True, kw_only=True):
    """What a key to be made shall be able to do, read from a request and checked by `rules`."""

    participant_id: int
    label: str = ""
    scopes: frozenset[Scope]
    allowed_networks: tuple[Network, ...] = ()
    expires_at_us: int | None = None
    signing_public_key: bytes | None = None
    algorithm: str | None = None


class OpenSession(NamedTuple):
    """What may be shown of a session of the console that has not ended; times are wall-clock time."""

    id: int
    key_id: int
    key_label: str
    scopes: frozenset[Scope]
    created_at_us: int
    last_used_at_us: int
    """To the minute."""
    last_used_from: str | None
    expires_at_us: int


class StoredLogin(NamedTuple):
    """A login code as the database has it, and the key that its session stands for."""

    key_id: int
    secret_sha256: bytes


class StoredSession(NamedTuple):
    """A session of the console with its key; times are wall-clock time."""

    key: StoredKey
    expires_at_us: int
    """When it ends, however it is used: never after its key."""


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

PublicKeyText = Annotated[
    str,
    msgspec.Meta(
        max_length=300,
        description=(
            "the Ed25519 public key with which each request must be signed, in PEM or as 32 bytes in base64"
        ),
        examples=["JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="],
    ),
]


SecretText = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class NewParticipant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A participant to be registered; its name can be seen, and nobody has one that looks like it."""

    kind: ParticipantKind
    name: NameText
    trade_group_id: TradeGroupIdText | None = None
    region: RegionText | None = None
    ownership: Ownership | None = None
    size_class: SizeClass | None = None
    founded_on: DateText | None = None
    sectors: Annotated[tuple[SectorText, ...], msgspec.Meta(max_length=SECTORS_MAX)] = ()


class NewTradeGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trade group to be registered; its name can be seen, and no other has one that looks like it."""

    name: NameText


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be made. Without `participant_id` it is for the caller's own participant.

    `algorithm` names the program that decides what is done with the key, where no person does: it is told
    with each step of the audit record, and never changes.
    """

    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=len(Scope))]
    participant_id: ParticipantIdText | None = None
    label: Annotated[str, msgspec.Meta(max_length=LABEL_LENGTH_MAX)] = ""
    expires_at: TimeText | None = None
    allowed_networks: Annotated[tuple[NetworkText, ...], msgspec.Meta(max_length=NETWORKS_MAX)] = ()
    signing_public_key: PublicKeyText | None = None
    algorithm: ClientText | None = None


class RotateKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to be put in the place of another, which goes on working for `overlap_s` seconds.

    Without `signing_public_key` the new key signs as the old one does.
    """

    overlap_s: Annotated[int, msgspec.Meta(ge=0, le=OVERLAP_S_MAX)]
    signing_public_key: PublicKeyText | None = None


class NewLogin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A login to be issued: what its session may do, and how many seconds its code is good for."""

    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=len(Scope))]
    valid_s: Annotated[int, msgspec.Meta(ge=60, le=LOGIN_VALID_S_MAX)] = LOGIN_VALID_S


class NewSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a session begins with: either a key, or the code of a login that an operator issued."""

    key: SecretText | None = None
    login_code: SecretText | None = None


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


class BuyerView(msgspec.Struct, frozen=True, kw_only=True):
    """What an issuer sees of a company that it may issue a voucher to, and no more.

    `is_startup` is by the venue's day: micro or small, and founded at most five years ago.
    """

    id: str
    name: str
    region: str
    size_class: SizeClass
    is_startup: bool


class TradeGroupView(msgspec.Struct, frozen=True, kw_only=True):
    """A trade group as the API shows it."""

    id: str
    name: str
    created_at: str


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key as the API shows it: never its secret.

    `maker_id` is the key of the same participant that made it, or in whose place it was made; `successor_id`
    the one made in its place. `last_used_at` is to the minute, and written within a minute or two.
    """

    id: str
    participant_id: str
    label: str
    scopes: list[Scope]
    allowed_networks: list[str]
    signing_public_key: str | None
    algorithm: str | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    maker_id: str | None
    successor_id: str | None
    last_used_at: str | None
    last_used_from: str | None


class IssuedKey(KeyView, frozen=True, kw_only=True):
    """A key just made. `secret` is the whole key to send; it is shown once and null ever after."""

    secret: str | None


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session of the console: for whom, with which key, and until when at most."""

    participant_id: str
    participant_name: str
    kind: ParticipantKind
    scopes: list[Scope]
    key_id: str
    expires_at: str


class OpenSessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session of the console that is open: what it stands for, where it was used last, until when it lasts.

    `last_used_at` is to the minute or two. `is_current` marks the session that asks.
    """

    id: str
    key_id: str
    key_label: str
    scopes: list[Scope]
    started_at: str
    last_used_at: str
    last_used_from: str | None
    expires_at: str
    is_current: bool


class EndedSessions(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions were ended."""

    ended: int


class IssuedLogin(msgspec.Struct, frozen=True, kw_only=True):
    """A login just issued. `login_code` and `login_url` are shown once, and null ever after.

    Who opens the address is logged in, once, until `expires_at`. Revoking the key ends what came of it.
    """

    participant_id: str
    key_id: str
    scopes: list[Scope]
    login_code: str | None
    login_url: str | None
    expires_at: str
