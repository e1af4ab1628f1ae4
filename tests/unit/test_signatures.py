"""Goal: a request is let in as it was signed or not at all, and signed as the standard says.

Method: the standard's own example (RFC 9421, B.2.6), and one thing wrong at a time.
"""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.kit.errors import BadSignature
from exchange.kit.signatures import (
    DIGEST,
    WINDOW_S,
    Head,
    Signature,
    body_digest,
    check_signature,
    head_of,
    is_digest_of,
    signature_base,
)
from exchange.kit.signing_keys import read_private_key, read_public_key
from tests.signers import KEY_ID, NOW_S, PRIVATE, PUBLIC, head_with, signed, with_headers, without

RFC_PRIVATE = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
"""
RFC_PUBLIC = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
"""
RFC_HEAD = with_headers(
    Head("POST", "/foo", "param=Value&Pet=dog", []),
    ("Host", "example.com"),
    ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
    ("Content-Type", "application/json"),
    ("Content-Length", "18"),
)
RFC_COMPONENTS = ("date", "@method", "@path", "@authority", "content-type", "content-length")
RFC_SIGNED = (
    '("date" "@method" "@path" "@authority" "content-type" "content-length")'
    ';created=1618884473;keyid="test-key-ed25519"'
)
RFC_BASE = b"""\
"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@authority": example.com
"content-type": application/json
"content-length": 18
"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length")\
;created=1618884473;keyid="test-key-ed25519\""""
RFC_SIGNATURE = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="


def refused(head: Head | None, now_s: int = NOW_S) -> tuple[str, str]:
    with pytest.raises(BadSignature) as caught:
        check_signature(head, KEY_ID, PUBLIC, now_s)
    return caught.value.code, caught.value.detail


def test_the_standards_own_example_is_written_and_signed_as_it_says() -> None:
    base = signature_base(RFC_HEAD, RFC_COMPONENTS, RFC_SIGNED)
    assert base == RFC_BASE
    private_key = read_private_key(RFC_PRIVATE)
    assert base64.b64encode(private_key.sign(base)).decode() == RFC_SIGNATURE
    assert read_public_key(RFC_PUBLIC) == private_key.public_key().public_bytes_raw()


def test_the_standards_own_example_is_read_and_does_not_cover_enough_for_us() -> None:
    head = with_headers(
        RFC_HEAD, ("Signature-Input", f"sig-b26={RFC_SIGNED}"), ("Signature", f"sig-b26=:{RFC_SIGNATURE}:")
    )
    with pytest.raises(BadSignature, match="nonce"):
        check_signature(head, "test-key-ed25519", read_public_key(RFC_PUBLIC), 1618884473)


def test_the_standards_digests_are_ours() -> None:
    body = b'{"hello": "world"}\n'  # RFC 9530, B.1
    assert body_digest(body) == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


def test_a_signed_request_is_let_in_and_read() -> None:
    head = signed(head_with(query="a=1&b=%20"), nonce="n-1")
    check_signature(head, KEY_ID, PUBLIC, NOW_S)
    signature = Signature.of(head, KEY_ID)
    assert (signature.nonce, signature.created_s) == ("n-1", NOW_S)
    assert signature.components == (
        *("@method", "@path", "@query"),
        *(DIGEST, "content-type", "idempotency-key"),
    )
    check_signature(signed(Head("GET", "", "", [])), KEY_ID, PUBLIC, NOW_S)


def test_a_window_either_way_and_no_longer() -> None:
    head = signed(head_with())
    for now_s in (NOW_S - WINDOW_S, NOW_S, NOW_S + WINDOW_S):
        check_signature(head, KEY_ID, PUBLIC, now_s)
    for now_s in (NOW_S - WINDOW_S - 1, NOW_S + WINDOW_S + 1, 0):
        assert refused(head, now_s)[0] == "signature_expired"


def test_one_without_a_signature_is_told_what_is_missing() -> None:
    head = signed(head_with())
    for missing in (None, head_with(), without(head, "signature"), without(head, "signature-input")):
        assert refused(missing)[0] == "signature_required"


@pytest.mark.parametrize("name", ["content-type", "idempotency-key", DIGEST])
def test_a_header_that_changes_what_is_done_must_be_covered(name: str) -> None:
    bare = signed(without(head_with(), name))
    if name == DIGEST:
        assert refused(bare) == ("signature_invalid", f"the signature must cover {DIGEST} too")
    later = with_headers(bare, (name, "x"))
    assert refused(later) == ("signature_invalid", f"the signature must cover {name} too")


@pytest.mark.parametrize("header", [("content-length", "1"), ("transfer-encoding", "chunked")])
def test_a_body_that_may_follow_must_be_covered(header: tuple[str, str]) -> None:
    head = signed(head_with(body=b"", headers=[header]))
    assert refused(head) == ("signature_invalid", f"the signature must cover {DIGEST} too")
    check_signature(signed(head_with(body=b"", headers=[("content-length", "0")])), KEY_ID, PUBLIC, NOW_S)


def test_another_key_opens_nothing() -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    assert refused(signed(head_with(), other))[0] == "signature_invalid"
    code, detail = refused(signed(head_with(), key_id="key_0000000000001"))
    assert code == "signature_invalid"
    assert KEY_ID in detail


GOOD = '("@method" "@path" "@query");created=1700000000;nonce="n";keyid="key_01hzx0d9k3e7q"'


@pytest.mark.parametrize(
    "right,wrong",
    [
        (f"sig={GOOD}", ""),
        (f"sig={GOOD}", "sig"),
        ("sig=", ""),
        ("sig=", "SIG="),
        ("sig=", "sig= "),
        (f"sig={GOOD}", f"sig={GOOD}, sig2={GOOD}"),
        (" ", "  "),
        (";created", "; created"),
        ('"@path"', '"@path";req'),
        ('"@path"', "@path"),
        ('"@path"', '"@path" "@path"'),
        ('"@path"', '"@path" "@status"'),
        ('"@path"', '"@path" "x-absent"'),
        ('"@path"', '"@path" "Content-Type"'),
        ('"@path"', '"@path" "a\\"b"'),
        (";nonce", ";created=1700000000;nonce"),
        (";nonce", ";flag;nonce"),
        (";nonce", ";alg=ed25519;nonce"),
        (";nonce", ';alg="hmac-sha256";nonce'),
        (";nonce", ';expires="soon";nonce'),
        (";nonce", ";x=1" * 1000 + ";nonce"),
        ("1700000000", "1700000000.5"),
        ("1700000000", '"1700000000"'),
        ("1700000000", "9" * 16),
        ("1700000000", ""),
        (";created=1700000000", ""),
        (';nonce="n"', ""),
        ('"n"', '""'),
        ('"n"', "7"),
        ('"n"', f'"{"n" * 65}"'),
        ('"n"', '"n n"'),
        ("key_", "key"),
    ],
)
def test_what_is_not_written_in_the_one_form_is_refused(right: str, wrong: str) -> None:
    head = Head("GET", "/v1/orders", "", [])
    value = base64.b64encode(PRIVATE.sign(signature_base(head, ["@method", "@path", "@query"], GOOD)))
    good = with_headers(head, ("signature-input", f"sig={GOOD}"), ("signature", f"sig=:{value.decode()}:"))
    check_signature(good, KEY_ID, PUBLIC, NOW_S)
    given = f"sig={GOOD}".replace(right, wrong)
    assert given != f"sig={GOOD}"
    bad = with_headers(without(good, "signature-input"), ("signature-input", given))
    assert refused(bad)[0] == "signature_invalid"


def test_a_signature_under_another_label_or_twice_is_refused() -> None:
    head = signed(Head("GET", "/", "", []))
    value = head.field("signature") or ""
    for bad in (
        value.replace("sig=", "sag="),
        value[:-1],
        value.replace(":", ""),
        f"{value}, {value}",
        "sig=:AA==:",
    ):
        assert refused(with_headers(without(head, "signature"), ("signature", bad)))[0] == "signature_invalid"
    assert refused(with_headers(head, ("signature", value)))[0] == "signature_invalid"


def test_an_expiry_of_the_signers_own_is_kept() -> None:
    head = Head("GET", "/", "", [])
    text = f"{GOOD};expires=1700000005"
    value = base64.b64encode(
        PRIVATE.sign(signature_base(head, ["@method", "@path", "@query"], text))
    ).decode()
    head = with_headers(head, ("signature-input", f"sig={text}"), ("signature", f"sig=:{value}:"))
    check_signature(head, KEY_ID, PUBLIC, NOW_S + 5)
    assert refused(head, NOW_S + 6)[0] == "signature_expired"


def test_only_the_bodys_own_digest_is_one() -> None:
    digest = body_digest(b"body")
    for field in (digest, f"sha-512=:AAAA:, {digest}", f"{digest},unixsum=7"):
        assert is_digest_of(b"body", field)
    other, twice = digest.replace("256", "512"), f"{digest}, {digest}"
    for wrong in (None, "", other, digest[:-1], twice, body_digest(b"bod")):
        assert not is_digest_of(b"body", wrong)


def test_a_head_is_what_was_sent_not_what_was_understood() -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/a b/ü",
        "raw_path": b"/v1/a%20b/%C3%BC?never",
        "query_string": b"x=%41&x=",
        "headers": [(b"accept", b"a"), (b"accept", b" b ")],
    }
    head = head_of(scope)
    assert head[:3] == ("GET", "/v1/a%20b/%C3%BC", "x=%41&x=")
    assert head.component("accept") == "a, b"
    assert head_of({**scope, "raw_path": None}).path == "/v1/a%20b/%C3%BC"
    del scope["method"]
    assert head_of(scope).method == "GET"  # a WebSocket's handshake
