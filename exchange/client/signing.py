"""Signing requests with the private key of an API key that was made with the public one (RFC 9421).

`SignedBy` is an `httpx.Auth`: `httpx.get(url, auth=SignedBy(key, private_key))` signs what httpx sends, as it
is sent. A WebSocket's handshake is signed with `headers("GET", "/v1/stream")`.
"""

import secrets
from collections.abc import Generator, Mapping
from typing import Final

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.kit.auth import split_key
from exchange.kit.clock import US_PER_SECOND, wall_now_us
from exchange.kit.ids import encode_id
from exchange.kit.signatures import DIGEST, Head, body_digest, sign

NONCE_BYTES: Final = 18


class SignedBy(httpx.Auth):
    """Signs each request anew: the same one sent again is a new request to the exchange."""

    requires_request_body = True

    def __init__(self, key: str, private_key: Ed25519PrivateKey) -> None:
        """Take an API key and its private key; ValueError for what is no key of the exchange."""
        parts = split_key(key)
        if parts is None:
            raise ValueError("this is no key of the exchange: it reads cx_..._...")
        self._authorization = f"Bearer {key}"
        self._key_id = encode_id("key", parts[0])
        self._private_key = private_key

    def headers(
        self, method: str, target: str, sent: Mapping[str, str] | None = None, body: bytes = b""
    ) -> dict[str, str]:
        """Return the headers to add to a request for a target (path and query) that has others already."""
        path, _, query = target.partition("?")
        added = {"Authorization": self._authorization}
        if body:
            added[DIGEST] = body_digest(body)
        carried = {name.lower(): value for name, value in {**(sent or {}), **added}.items()}
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in carried.items()]
        now_s = wall_now_us() // US_PER_SECOND
        nonce = secrets.token_urlsafe(NONCE_BYTES)
        head = Head(method, path, query, headers)
        return added | sign(self._private_key, self._key_id, head, created_s=now_s, nonce=nonce)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the headers to a request of httpx's."""
        target = request.url.raw_path.decode("ascii")
        request.headers.update(self.headers(request.method, target, request.headers, request.content))
        yield request
