"""API keys: how they are made, stored and checked, and what a request may do with one.

A key reads `cx_<key id>_<secret>`. What stands for a key in a browser (a session of the console, `cs_...`),
and what begins one (a login code, `cl_...`), are made and compared alike. The secret is 256 random bits, so
its plain SHA-256 is enough at rest: slow, salted hashes exist to make guessing a human's password dear, and
nobody guesses one of 2**256 secrets. The hash is compared in constant time. Every kind of failure (no header,
another scheme, unknown, revoked or expired key, wrong network) gives the same refusal. Only who has the key's
secret is told more: what is wrong with the signature of a key that signs its requests (`kit.signatures`).

A key that was verified is remembered. While the process hears of what others change (`kit.notices`), it is
believed until a notice says otherwise; while it does not, for a second. A key whose row was being read when
a notice came is not remembered at all, because nobody knows which of the two was first.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final

import msgspec

from exchange.kit.clock import US_PER_SECOND, wall_now_us
from exchange.kit.errors import Forbidden, Unauthenticated
from exchange.kit.ids import decode_id, encode_id, new_id
from exchange.kit.signatures import Signature, check_signature, head_of, replayed

KEY_SCHEME: Final = "cx"
SESSION_SCHEME: Final = "cs"
LOGIN_SCHEME: Final = "cl"
_SECRET_BYTES: Final = 32
_KEY_LENGTH_MAX: Final = 80
_FRESH_US: Final = 1_000_000
"""How long a key is believed unheard."""
_HEARD_US: Final = 300_000_000
"""How long it is believed, at most, where every change would be heard."""
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


READERS: Final = (Scope.READ, Scope.ISSUE, Scope.OPERATE, Scope.AUDIT)
"""Any of them reads what concerns its owner: of vouchers and claims, each side sees its own part."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends a request: the participant behind the key."""

    key_id: int
    participant_id: int
    kind: str
    name: str
    trade_group_id: int | None
    scopes: frozenset[Scope]
    signs_requests: bool = False
    """Whether the key was made to sign each request; then this one's head is signed as it came."""
    session_id: int | None = None
    """The session of the console that stands for the key here; None where the key itself was sent."""

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
    signing_public_key: bytes | None = None


class NewKey(msgspec.Struct, frozen=True):
    """A key just made: `text` is shown once and never stored."""

    key_id: int
    text: str
    secret_sha256: bytes


def hash_secret(secret: str) -> bytes:
    """Return the SHA-256 of a secret, 32 bytes."""
    return hashlib.sha256(secret.encode()).digest()


def new_key(scheme: str = KEY_SCHEME) -> NewKey:
    """Make a key, or what another scheme says, with a fresh id and 256 random bits."""
    key_id = new_id()
    secret = base64.urlsafe_b64encode(secrets.token_bytes(_SECRET_BYTES)).rstrip(b"=").decode()
    public = encode_id("key", key_id).removeprefix("key_")
    return NewKey(key_id, f"{scheme}_{public}_{secret}", hash_secret(secret))


def split_key(text: str, scheme: str = KEY_SCHEME) -> tuple[int, str] | None:
    """Return (id, secret) of a key's text, or of what `scheme` says; None when it is not of that form."""
    sent, _, rest = text.partition("_")
    public, _, secret = rest.partition("_")
    if sent != scheme or not secret or len(text) > _KEY_LENGTH_MAX or not text.isascii():
        return None
    key_id = decode_id("key", f"key_{public}")
    return None if key_id is None else (key_id, secret)


class _Verified(msgspec.Struct, frozen=True):
    read_at_us: int
    silence: int
    key: StoredKey


async def no_memory(_key_id: int, _signature: Signature) -> bool:
    """Stand in for a memory of signatures where no key signs."""
    raise TypeError("an authenticator of keys that sign needs a memory of what was sent (kit.nonces)")


def bearer_text(header: str) -> str:
    """Return the key in `Authorization: Bearer <key>`; empty, which is no key, where there is none."""
    return header[7:].strip() if header[:7].lower() == "bearer " else ""


class Authenticator:
    """Turns an Authorization header, or the text of a key, into a `Principal`.

    `load` reads a stored key by id, None when unknown or revoked; `scheme` is that of the texts it reads.
    `is_told` says whether each change of a key is followed by `forget` or `forget_all`. `spend` keeps a
    signature and says whether it is new. A key that was verified is remembered under a hash of its whole
    text, keyed per process: only who has the secret can hit that entry, and the table holds no secrets.
    """

    def __init__(
        self,
        load: Callable[[int], Awaitable[StoredKey | None]],
        *,
        is_told: Callable[[], bool] = lambda: False,
        spend: Callable[[int, Signature], Awaitable[bool]] = no_memory,
        scheme: str = KEY_SCHEME,
    ) -> None:
        self.scheme = scheme
        self.used: dict[int, tuple[int, str | None]] = {}
        """When each key last opened this process (wall time), and from where; whoever reads it empties it."""
        self._load = load
        self._is_told = is_told
        self._spend = spend
        self._verified: dict[bytes, _Verified] = {}
        self._hash_key = secrets.token_bytes(32)
        self._changes = 0
        self._silences = 0

    def forget(self, key_id: int) -> None:
        """Read this key, or session, again at its next use: it was changed. No key has a session's id."""
        self._changes += 1
        known = [digest for digest, entry in self._verified.items() if key_id in _ids_of(entry.key.principal)]
        for digest in known:
            del self._verified[digest]

    def forget_all(self) -> None:
        """Read every key again at its next use: any may have been changed."""
        self._changes += 1
        self._silences += 1

    def remembers(self, text: str) -> bool:
        """Whether this very key has opened this process before, as far as it remembers; reads no database."""
        return len(text) <= _KEY_LENGTH_MAX and self._digest(text) in self._verified

    def _digest(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(), key=self._hash_key, digest_size=32).digest()

    def authenticate(
        self, header: str | None, client_ip: str | None, scope: Mapping[str, Any] | None = None
    ) -> Coroutine[Any, Any, Principal]:
        """Return who holds the key in `Authorization: Bearer <key>`; see `open`."""
        if header is None:
            raise Unauthenticated
        return self.open(bearer_text(header), client_ip, scope)

    async def open(
        self, text: str, client_ip: str | None, scope: Mapping[str, Any] | None = None
    ) -> Principal:
        """Return who holds a key, or raise `Unauthenticated`.

        `scope` is the request as ASGI describes it. A key that signs does not open anything without one, and
        what it opens must be spent before anything is done (`spend_signature`). Raises `BadSignature`.
        """
        if len(text) > _KEY_LENGTH_MAX:
            raise Unauthenticated
        now_us = wall_now_us()
        digest = self._digest(text)
        entry = self._verified.get(digest)
        if entry is not None and self._is_believed(entry, now_us):
            key = entry.key
        else:
            key = await self._read(digest, text, now_us)
        if key.expires_at_us is not None and key.expires_at_us <= now_us:
            raise Unauthenticated
        if key.allowed_networks and not is_within(client_ip, key.allowed_networks):
            raise Unauthenticated
        if key.signing_public_key is not None:
            public_id = encode_id("key", key.principal.key_id)
            head = None if scope is None else head_of(scope)
            check_signature(head, public_id, key.signing_public_key, now_us // US_PER_SECOND)
        self.used[key.principal.key_id] = now_us, client_ip
        return key.principal

    async def spend_signature(self, principal: Principal, scope: Mapping[str, Any]) -> None:
        """Let the signature that `authenticate` found good be good once; raises `BadSignature` otherwise."""
        public_id = encode_id("key", principal.key_id)
        if not await self._spend(principal.key_id, Signature.of(head_of(scope), public_id)):
            raise replayed()

    def _is_believed(self, entry: _Verified, now_us: int) -> bool:
        age_us = now_us - entry.read_at_us
        if not 0 <= age_us < _HEARD_US or entry.silence != self._silences:
            return False
        return age_us < _FRESH_US or self._is_told()

    async def _read(self, digest: bytes, text: str, now_us: int) -> StoredKey:
        changes, silence = self._changes, self._silences
        try:
            key = await self._verify(text)
        except Unauthenticated:
            self._verified.pop(digest, None)  # it opens nothing any more, so it is a stranger again
            raise
        if changes == self._changes:
            if len(self._verified) >= _REMEMBERED_MAX:
                self._verified.clear()
            self._verified[digest] = _Verified(now_us, silence, key)
        return key

    async def _verify(self, text: str) -> StoredKey:
        parts = split_key(text, self.scheme)
        if parts is None:
            raise Unauthenticated
        key_id, secret = parts
        key = await self._load(key_id)
        genuine = is_secret_of(secret, _NO_HASH if key is None else key.secret_sha256)
        if key is None or not genuine:
            raise Unauthenticated
        return key


def is_secret_of(secret: str, secret_sha256: bytes) -> bool:
    """Whether this is the secret of a hash; takes the same time for every one."""
    return hmac.compare_digest(hash_secret(secret), secret_sha256)


def _ids_of(principal: Principal) -> tuple[int, int | None]:
    return principal.key_id, principal.session_id


def is_within(client_ip: str | None, networks: tuple[IpNetwork, ...]) -> bool:
    """Whether an address lies in one of these networks; False for what is no address."""
    try:
        address = ip_address(client_ip or "")
    except ValueError:
        return False
    return any(address in network for network in networks)
