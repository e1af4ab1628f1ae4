"""A caller that signs by hand: heads as they come in, the headers that sign them, and what may be wrong."""

import itertools
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.kit.signatures import DIGEST, Head, body_digest, sign

KEY_ID: Final = "key_01hzx0d9k3e7q"
NOW_S: Final = 1_700_000_000
PRIVATE: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC: Final = PRIVATE.public_key().public_bytes_raw()
_numbers = itertools.count(1)


def with_headers(head: Head, *headers: tuple[str, str]) -> Head:
    """Return a head with further headers."""
    added = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return head._replace(headers=[*head.headers, *added])


def without(head: Head, *names: str) -> Head:
    """Return a head without some headers."""
    kept = [each for each in head.headers if each[0].decode("latin-1") not in names]
    return head._replace(headers=kept)


def head_with(
    method: str = "POST",
    path: str = "/v1/orders",
    query: str = "",
    body: bytes = b"{}",
    headers: Sequence[tuple[str, str]] = (("content-type", "application/json"), ("idempotency-key", "k-1")),
) -> Head:
    """Return the head of a request, with the digest of its body where it has one."""
    head = with_headers(Head(method, path, query, []), *headers)
    if body:
        head = with_headers(head, ("content-length", str(len(body))), (DIGEST, body_digest(body)))
    return head


def signed(
    head: Head,
    private_key: Ed25519PrivateKey = PRIVATE,
    *,
    key_id: str = KEY_ID,
    created_s: int = NOW_S,
    nonce: str | None = None,
) -> Head:
    """Return a head signed."""
    nonce = nonce or f"nonce-{next(_numbers)}"
    added = sign(private_key, key_id, head, created_s=created_s, nonce=nonce)
    return with_headers(head, *added.items())
