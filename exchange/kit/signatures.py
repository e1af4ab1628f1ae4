"""Signed requests: HTTP Message Signatures (RFC 9421) with Ed25519, in the one form that is taken here.

A key that was made with a public key signs every request with the private one, so that its secret alone opens
nothing, and nobody on the way can change a request or send it again. The signature covers the method, the
path and the query as they are sent, the body by its digest (RFC 9530), and the headers that change what a
request does. docs/keys.md tells callers how; `sign` is the caller's side.

What is signed is written in one form only, the strict one of structured fields (RFC 9651): one signature,
under any label, whose components and parameters are strings and integers, with no blanks but one between
components. So the text that was sent is the text that was signed, and nothing is read in two ways.

Invariants:
- a request that is let in has all of `REQUIRED` covered, `content-digest` where a body may follow, and each
  of `COVERED_IF_SENT` that it carries; its key is the one that it names; it was signed at most `WINDOW_S`
  seconds ago, or ahead of our clock;
- two requests with the same bytes to sign have the same method, path, query and covered headers.

Known limit: that a signature is used once is for who keeps them (`kit.nonces`), that the body is the one that
was signed for who reads it (`kit.http_signed`).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, Self
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from exchange.kit.errors import BadSignature

WINDOW_S: Final = 30
"""How far the time at which a request was signed may lie from our clock, either way."""
REQUIRED: Final = ("@method", "@path", "@query")
DIGEST: Final = "content-digest"
COVERED_IF_SENT: Final = (DIGEST, "content-type", "idempotency-key")
ALGORITHM: Final = "ed25519"
NONCE_PATTERN: Final = r"[A-Za-z0-9+/=_.~:-]{1,64}"

_FIELD_LENGTH_MAX: Final = 2_000
_STRING: Final = r'"[ !#-\[\]-~]*"'
_LABEL: Final = r"[a-z*][a-z0-9_.*-]{0,63}"
_INPUT: Final = re.compile(
    rf"(?P<label>{_LABEL})="
    rf"(?P<signed>\((?P<components>(?:{_STRING}(?: {_STRING})*)?)\)"
    rf"(?P<parameters>(?:;[a-z*][a-z0-9_.*-]*=(?:{_STRING}|-?[0-9]{{1,15}}))*))"
)
_PARAMETER: Final = re.compile(r';(?P<name>[^=]+)=(?:"(?P<text>[^"]*)"|(?P<number>-?[0-9]+))')
_SIGNATURE: Final = re.compile(rf"(?P<label>{_LABEL})=:(?P<value>[A-Za-z0-9+/]{{86}}==):")
_NONCE: Final = re.compile(NONCE_PATTERN)
_FIELD_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")

Headers = Sequence[tuple[bytes, bytes]]


class Head(NamedTuple):
    """A request without its body: `path` and `query` as they are sent, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Headers

    def field(self, name: str) -> str | None:
        """Return the values of a header as one, None where there is none."""
        key = name.encode("latin-1")
        values = [value.strip(b" \t") for each, value in self.headers if each == key]
        return b", ".join(values).decode("latin-1") if values else None

    def component(self, name: str) -> str | None:
        """Return what a component of a signature stands for; None where it stands for nothing."""
        if name == "@method":
            return self.method
        if name == "@path":
            return self.path or "/"
        if name == "@query":
            return f"?{self.query}"
        if name == "@authority":
            return (self.field("host") or "").lower()
        return self.field(name) if _FIELD_NAME.fullmatch(name) else None

    def announces_body(self) -> bool:
        """Whether a body may follow."""
        return self.field("content-length") not in {None, "0"} or self.field("transfer-encoding") is not None


def head_of(scope: Mapping[str, Any]) -> Head:
    """Return the head of a request as ASGI describes it; a WebSocket begins with a GET."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"], safe="/%:@!$&'()*+,;=~").encode()
    path = raw.partition(b"?")[0].decode("latin-1")
    return Head(scope.get("method", "GET"), path, scope["query_string"].decode("latin-1"), scope["headers"])


def body_digest(body: bytes) -> str:
    """Return the Content-Digest of a body."""
    return f"sha-256=:{_base64(hashlib.sha256(body).digest())}:"


def is_digest_of(body: bytes, field: str | None) -> bool:
    """Whether a Content-Digest holds the SHA-256 of a body; other digests beside it are not looked at."""
    found = [each.strip(" \t") for each in (field or "").split(",")]
    ours = [each for each in found if each.startswith("sha-256=")]
    return len(ours) == 1 and hmac.compare_digest(ours[0].encode(), body_digest(body).encode())


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class Signature(NamedTuple):
    """What a request says of its signature, read and not yet verified."""

    components: tuple[str, ...]
    parameters: dict[str, str | int]
    signed: str
    """The components and parameters as they were written."""
    value: bytes

    @property
    def created_s(self) -> int:
        """When the request was signed, in seconds since the epoch by its sender's clock."""
        return int(self.parameters["created"])

    @property
    def nonce(self) -> str:
        """What tells this request from every other one of its key."""
        return str(self.parameters["nonce"])

    @classmethod
    def of(cls, head: Head, key_id: str) -> Self:
        """Read the signature by a key, or raise `BadSignature`."""
        given, value = head.field("signature-input"), head.field("signature")
        if given is None or value is None:
            detail = "this key signs its requests: send Signature-Input and Signature (RFC 9421)"
            raise BadSignature("signature_required", detail)
        read = _INPUT.fullmatch(given) if len(given) <= _FIELD_LENGTH_MAX else None
        if read is None:
            detail = 'write one signature as sig=("@method" "@path" "@query");created=1;nonce="a";keyid="b"'
            raise _invalid(f"Signature-Input cannot be read: {detail}")
        signed = _SIGNATURE.fullmatch(value)
        raw = b"" if signed is None else base64.b64decode(signed["value"])
        # The last letter has bits that nobody reads: they must be nought, so that one text is one signature.
        if signed is None or signed["label"] != read["label"] or _base64(raw) != signed["value"]:
            raise _invalid(f"Signature must be {read['label']}=:...: with the 64 bytes in base64")
        names = [each["name"] for each in _PARAMETER.finditer(read["parameters"])]
        parameters: dict[str, str | int] = {
            each["name"]: int(each["number"]) if each["text"] is None else each["text"]
            for each in _PARAMETER.finditer(read["parameters"])
        }
        components = tuple(each[1:-1] for each in re.findall(_STRING, read["components"]))
        if len(set(names)) < len(names) or len(set(components)) < len(components):
            raise _invalid("a component or a parameter stands twice in Signature-Input")
        _check_parameters(parameters, key_id)
        return cls(components, parameters, read["signed"], raw)


def _check_parameters(parameters: Mapping[str, str | int], key_id: str) -> None:
    """Raise `BadSignature` unless the parameters say all that is needed."""
    nonce = parameters.get("nonce")
    if not isinstance(parameters.get("created"), int):
        raise _invalid("the parameter created must be the time of signing in seconds since 1970")
    if not isinstance(nonce, str) or not _NONCE.fullmatch(nonce):
        raise _invalid("the parameter nonce must be 1 to 64 of A-Z a-z 0-9 + / = _ . ~ : -")
    if parameters.get("keyid") != key_id:
        raise _invalid(f'the parameter keyid must be "{key_id}"')
    if parameters.get("alg", ALGORITHM) != ALGORITHM:
        raise _invalid(f'the parameter alg must be "{ALGORITHM}"')
    if not isinstance(parameters.get("expires", 0), int):
        raise _invalid("the parameter expires must be a time in seconds since 1970")


def signature_base(head: Head, components: Iterable[str], signed: str) -> bytes:
    """Return the bytes that are signed; raises `BadSignature` where a component stands for nothing."""
    lines = []
    for name in components:
        value = head.component(name)
        if value is None:
            raise _invalid(f'the component "{name[:100]}" stands for nothing in this request')
        lines.append(f'"{name}": {value}')
    lines.append(f'"@signature-params": {signed}')
    return "\n".join(lines).encode("latin-1")


def check_signature(head: Head | None, key_id: str, public_key: bytes, now_s: int) -> None:
    """Raise `BadSignature` unless the request is signed by the key, whole, and just now.

    `key_id` is the key's public id, which the signature must name.
    """
    if head is None:
        raise BadSignature("signature_required", "this key signs its requests, which cannot be done here")
    signature = Signature.of(head, key_id)
    needed = [*REQUIRED, *(name for name in COVERED_IF_SENT if head.field(name) is not None)]
    if head.announces_body() and DIGEST not in needed:
        needed.append(DIGEST)
    if missing := [name for name in needed if name not in signature.components]:
        raise _invalid(f"the signature must cover {' '.join(missing)} too")
    expires_s = signature.parameters.get("expires")
    is_over = isinstance(expires_s, int) and expires_s < now_s
    if abs(signature.created_s - now_s) > WINDOW_S or is_over:
        detail = f"the request was signed for another time: it is {now_s} here, and {WINDOW_S} s either way"
        raise BadSignature("signature_expired", detail)
    base = signature_base(head, signature.components, signature.signed)
    try:
        _public_key(public_key).verify(signature.value, base)
    except InvalidSignature:
        raise _invalid("the signature is not this key's over this request") from None


@lru_cache(maxsize=1024)
def _public_key(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)


def sign(
    private_key: Ed25519PrivateKey, key_id: str, head: Head, *, created_s: int, nonce: str
) -> dict[str, str]:
    """Return the headers that sign a request; a body's Content-Digest must be among its headers."""
    components = [*REQUIRED, *(name for name in COVERED_IF_SENT if head.field(name) is not None)]
    listed = " ".join(f'"{name}"' for name in components)
    signed = f'({listed});created={created_s};nonce="{nonce}";keyid="{key_id}";alg="{ALGORITHM}"'
    value = _base64(private_key.sign(signature_base(head, components, signed)))
    return {"Signature-Input": f"sig={signed}", "Signature": f"sig=:{value}:"}


def replayed() -> BadSignature:
    """Return the refusal of a signature that was used before."""
    return BadSignature("signature_replayed", "this nonce was sent before: sign each request anew")


def _invalid(detail: str) -> BadSignature:
    return BadSignature("signature_invalid", detail)
