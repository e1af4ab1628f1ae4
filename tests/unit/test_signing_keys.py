"""Goal: a public key that is taken is one under which only its owner can sign. Method: keys that are not."""

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from exchange.kit.signing_keys import BadKey, public_text, read_private_key, read_public_key

PEM, SPKI = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
PKCS8, PLAIN = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
# The eight points of small order, as RFC 8032 writes them.
SMALL = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
)
# The same and others, written in ways that RFC 8032 does not write: y of the prime or more, minus nought.
NO_POINT = (
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0200000000000000000000000000000000000000000000000000000000000000",
)


@given(st.binary(min_size=32, max_size=32))
def test_every_owners_key_is_taken_in_every_form(seed: bytes) -> None:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    raw = public.public_bytes_raw()
    safe = base64.urlsafe_b64encode(raw).decode()
    for text in (public_text(raw), safe, safe.rstrip("="), public.public_bytes(PEM, SPKI).decode()):
        assert read_public_key(text) == raw


@pytest.mark.parametrize("point", SMALL)
def test_one_under_which_anybody_signs_is_refused(point: str) -> None:
    raw = bytes.fromhex(point)
    with pytest.raises(BadKey, match="large order"):
        read_public_key(public_text(raw))
    Ed25519PublicKey.from_public_bytes(raw)  # which OpenSSL takes


@pytest.mark.parametrize("point", NO_POINT)
def test_what_is_no_point_is_refused(point: str) -> None:
    with pytest.raises(BadKey, match="point"):
        read_public_key(public_text(bytes.fromhex(point)))


def test_other_texts_and_other_keys_are_refused() -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(PEM, SPKI).decode()
    exchange = X25519PrivateKey.generate().public_key().public_bytes(PEM, SPKI).decode()
    own = Ed25519PrivateKey.generate().private_bytes(PEM, PKCS8, PLAIN).decode()
    for text in ("", "?", "A" * 42, "A" * 45, "é" * 43, "-----BEGIN PUBLIC KEY-----", own, curve, exchange):
        with pytest.raises(BadKey):
            read_public_key(text)


def test_a_private_key_is_read_from_pem_only() -> None:
    own = Ed25519PrivateKey.generate()
    read = read_private_key(own.private_bytes(PEM, PKCS8, PLAIN))
    assert read.private_bytes_raw() == own.private_bytes_raw()
    secret = own.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"password"))
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, PKCS8, PLAIN)
    for text in (
        b"",
        b"\xff",
        own.private_bytes_raw(),
        own.public_key().public_bytes(PEM, SPKI),
        secret,
        other,
    ):
        with pytest.raises(BadKey):
            read_private_key(text)
