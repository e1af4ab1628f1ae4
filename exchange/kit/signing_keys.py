"""Ed25519 keys from the outside: the public key that a caller registers, the private one that it signs with.

A public key is taken as PEM or as 32 bytes in base64. OpenSSL takes any 32 bytes for one; here it must be a
point of the curve, written as RFC 8032 writes it, and not one of the eight of small order, for which
signatures can be made that hold for any message.
"""

import base64
import binascii
import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_PRIME: Final = 2**255 - 19
_CURVE: Final = -121665 * pow(121666, -1, _PRIME) % _PRIME
_ROOT_OF_MINUS_ONE: Final = pow(2, (_PRIME - 1) // 4, _PRIME)
_SIGN_BIT: Final = 1 << 255
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{43}=?")

Point = tuple[int, int]


class BadKey(ValueError):
    """Not a key that can be used; the message says which rule it breaks, after "must"."""


def read_public_key(text: str) -> bytes:
    """Return the 32 bytes of a public key from PEM or base64, or raise `BadKey`."""
    raw = _pem(text) if text.lstrip().startswith("-----BEGIN") else _raw(text)
    point = _point(raw)
    if point is None:
        raise BadKey("be a point of the curve Ed25519")
    for _ in range(3):
        point = _double(point)
    if point == (0, 1):
        raise BadKey("be of large order: for this one anybody can sign")
    return raw


def read_private_key(text: bytes) -> Ed25519PrivateKey:
    """Return a private key from PEM (PKCS #8, without a password), or raise `BadKey`."""
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey("be a private key in PEM (PKCS #8) without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey("be an Ed25519 key")
    return key


def public_text(raw: bytes) -> str:
    """Return a public key as the API shows it."""
    return base64.b64encode(raw).decode()


def _pem(text: str) -> bytes:
    try:
        key = serialization.load_pem_public_key(text.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey("be a public key in PEM, or 32 bytes in base64") from None
    if not isinstance(key, Ed25519PublicKey):
        raise BadKey("be an Ed25519 key")
    return key.public_bytes_raw()


def _raw(text: str) -> bytes:
    if not _BASE64.fullmatch(text.strip()):
        raise BadKey("be a public key in PEM, or 32 bytes in base64")
    try:
        return base64.urlsafe_b64decode(text.strip().replace("+", "-").replace("/", "_")[:43] + "=")
    except binascii.Error:
        raise BadKey("be a public key in PEM, or 32 bytes in base64") from None


def _point(raw: bytes) -> Point | None:
    """Return the point that 32 bytes stand for (RFC 8032, 5.1.3), None where they stand for none."""
    number = int.from_bytes(raw, "little")
    is_odd, y = bool(number & _SIGN_BIT), number & (_SIGN_BIT - 1)
    if y >= _PRIME:
        return None
    square = (y * y - 1) * pow(_CURVE * y * y + 1, -1, _PRIME) % _PRIME
    x = pow(square, (_PRIME + 3) // 8, _PRIME)
    if x * x % _PRIME != square:
        x = x * _ROOT_OF_MINUS_ONE % _PRIME
    if x * x % _PRIME != square or (x == 0 and is_odd):
        return None
    return (x if x % 2 == is_odd else _PRIME - x), y


def _double(point: Point) -> Point:
    """Return the sum of a point with itself; the formula holds for every point of this curve."""
    x, y = point
    product = _CURVE * x * x * y * y % _PRIME
    return (
        2 * x * y * pow(1 + product, -1, _PRIME) % _PRIME,
        (y * y + x * x) * pow(1 - product, -1, _PRIME) % _PRIME,
    )
