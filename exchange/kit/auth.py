"""API keys: how they are made, stored and checked, and what a request may do with one.

A key reads `cx_<key id>_<secret>`. The secret is 256 random bits, so its plain SHA-256 is enough at rest:
slow, salted hashes exist to make guessing a human's password dear, and nobody guesses one of 2**256 secrets.
The hash is compared in constant time. Every kind of failure (no header, another scheme, unknown, revoked or
expired key, wrong network) gives the same refusal.

Known limit: a revoked key may be used for up to one second more, because keys are kept in memory that long.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

import msgspec

from exchange.kit.clock import wall_now_us
from exchange.kit.errors import Forbidden, Unauthenticated
from exchange.kit.ids import decode_id, encode_id, new_id

KEY_SCHEME: Final = "cx"
_SECRET_BYTES: Final = 32
_KEY_LENGTH_MAX: Final = 80
_FRESH_US: Final = 1_000_000
_REMEMBERED_MAX: Final = 10_000
_NO_HASH: Final = bytes(32)

IpNetwork = IPv4Network | IPv6Network


class Scope(StrEnum):
    """What a key may do."""

    READ = "read"
    TRADE = "trade"
    LIST_CAPACITY = "list_capacity"
    ISSUE = "issue"
    AUDIT = "audit"
    OPERATE = "operate"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends a request: the participant behind the key."""

    key_id: int
    participant_id: int
    kind: str
    name: str
    trade_group_id: int | None
    scopes: frozenset[Scope]

    def must_have(self, scope: Scope) -> None:
        """Raise `Forbidden` unless the key has the scope."""
        if scope not in self.scopes:
            raise Forbidden(detail=f"this needs a key with the scope {scope.value}")


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as the database has it, with its participant; `expires_at_us` is wall-clock time."""

    principal: Principal
    secret_sha256: bytes
    expires_at_us: int | None = None
    allowed_networks: tuple[IpNetwork, ...] = ()


class NewKey(msgspec.Struct, frozen=True):
    """A key just made: `text` is shown once and never stored."""

    key_id: int
    text: str
    secret_sha256: bytes


def hash_secret(secret: str) -> bytes:
    """Return the SHA-256 of a secret, 32 bytes."""
    return hashlib.sha256(secret.encode()).digest()


def new_key() -> NewKey:
    """Make a key with a fresh id and 256 random bits."""
    key_id = new_id()
    secret = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).rstrip(b"=").decode()
    public = encode_id("key", key_id).removeprefix("key_")
    return NewKey(key_id, f"{KEY_SCHEME}_{public}_{secret}", hash_secret(secret))


def split_key(text: str) -> tuple[int, str] | None:
    """Return (key id, secret) of a key's text, or None when it is not of that form."""
    scheme, _, rest = text.partition("_")
    public, _, secret = rest.partition("_")
    if scheme != KEY_SCHEME or not secret or len(text) > _KEY_LENGTH_MAX or not text.isascii():
        return None
    key_id = decode_id("key", f"key_{public}")
    return None if key_id is None else (key_id, secret)


class _Verified(msgspec.Struct, frozen=True):
    read_at_us: int
    key: StoredKey


class Authenticator:
    """Turns an Authorization header into a `Principal`.

    `load` reads a stored key by id, None when unknown or revoked. A key that was verified is remembered for
    one second under a hash of its whole text, keyed per process: only who has the secret can hit that entry,
    and the table holds no secrets.
    """

    def __init__(self, load: Callable[[int], Awaitable[StoredKey | None]]) -> None:
        self._load = load
        self._verified: dict[bytes, _Verified] = {}
        self._hash_key = secrets.token_bytes(32)

    def forget(self, key_id: int) -> None:
        """Read this key again at its next use; called after a key is revoked in this process."""
        known = [digest for digest, entry in self._verified.items() if entry.key.principal.key_id == key_id]
        for digest in known:
            del self._verified[digest]

    def remembers(self, header: str) -> bool:
        """Whether this very key has opened this process before, as far as it remembers; reads no database."""
        text = header[7:].strip()
        return len(text) <= _KEY_LENGTH_MAX and self._digest(text) in self._verified

    def _digest(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(), key=self._hash_key, digest_size=32).digest()

    async def authenticate(self, header: str | None, client_ip: str | None) -> Principal:
        """Return who holds the key in `Authorization: Bearer <key>`, or raise `Unauthenticated`."""
        if header is None or header[:7].lower() != "bearer ":
            raise Unauthenticated
        text = header[7:].strip()
        if len(text) > _KEY_LENGTH_MAX:
            raise Unauthenticated
        now_us = wall_now_us()
        digest = self._digest(text)
        entry = self._verified.get(digest)
        if entry is not None and 0 <= now_us - entry.read_at_us < _FRESH_US:
            key = entry.key
        else:
            key = await self._verify(text)
            if len(self._verified) >= _REMEMBERED_MAX:
                self._verified.clear()
            self._verified[digest] = _Verified(now_us, key)
        if key.expires_at_us is not None and key.expires_at_us <= now_us:
            raise Unauthenticated
        if key.allowed_networks and not is_within(client_ip, key.allowed_networks):
            raise Unauthenticated
        return key.principal

    async def _verify(self, text: str) -> StoredKey:
        parts = split_key(text)
        if parts is None:
            raise Unauthenticated
        key_id, secret = parts
        key = await self._load(key_id)
        genuine = hmac.compare_digest(hash_secret(secret), _NO_HASH if key is None else key.secret_sha256)
        if key is None or not genuine:
            raise Unauthenticated
        return key


def is_within(client_ip: str | None, networks: tuple[IpNetwork, ...]) -> bool:
    """Whether an address lies in one of these networks; False for what is no address."""
    try:
        address = ip_address(client_ip or "")
    except ValueError:
        return False
    return any(address in network for network in networks)
