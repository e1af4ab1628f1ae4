"""Checkpoints as signed notes: the text that is signed, its signature, and files of many.

The forms are those of C2SP's signed-note and tlog-checkpoint, which the tools of transparency logs read:

    compute-exchange/audit
    1024
    <base64 of the root>
    form 1
    time 2026-11-29T08:00:00.000000Z
    previous <base64 of the SHA-256 of the text of the checkpoint before>

    — compute-exchange/audit <base64 of the key's four bytes and the signature>

Where a key of the log was lost and another took its place, a line `replaced NAME+ID SIZE` follows for each
such key, in every checkpoint from then on: whose it was, and how many records the log had.

The text goes up to the line feed before the empty line. In a file an empty line follows each note. Pure.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final, Self

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from exchange.kit.clock import format_rfc3339, parse_rfc3339
from exchange.transparency.models import Block, Checkpoint, Replaced

FIRST: Final = bytes(32)
"""What the first checkpoint has for the one before it."""
_ED25519: Final = b"\x01"
_KEY_ID_BYTES: Final = 4
_SIGNATURE_BYTES: Final = 64
_TEXT: Final = re.compile(
    r"(?P<origin>[a-z0-9][a-z0-9./-]{0,99})\n(?P<size>0|[1-9][0-9]{0,18})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"form (?P<form>[1-9][0-9]{0,8})\ntime (?P<time>[0-9T:.-]{19,26}Z)\n"
    r"previous (?P<previous>[A-Za-z0-9+/]{43}=)\n"
    r"(?P<replaced>(?:replaced [a-z0-9][a-z0-9./-]{0,99}\+[0-9a-f]{8} (?:0|[1-9][0-9]{0,18})\n)*)",
    re.ASCII,
)
_SIGNED: Final = re.compile(r"\u2014 (?P<name>[!-*,-~]+) (?P<signature>[A-Za-z0-9+/]+={0,2})")


class BadNote(ValueError):
    """Not a checkpoint, or not one that its key has signed; the message says what is wrong."""


class OtherKey(BadNote):
    """A note without a signature by the key that is asked for."""


class Verifier(msgspec.Struct, frozen=True):
    """The public side of a key: the name it signs under, and its 32 bytes."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes by which a signature names its key."""
        return sha256(f"{self.name}\n".encode() + _ED25519 + self.public_key).digest()[:_KEY_ID_BYTES]

    @property
    def short(self) -> str:
        """The name and the id, by which people tell keys apart. Anybody can make another key with an id."""
        return f"{self.name}+{self.key_id.hex()}"

    def __str__(self) -> str:
        return f"{self.short}+{to_base64(_ED25519 + self.public_key)}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the form NAME+ID+KEY; `BadNote` where it is none."""
        name, _, rest = text.strip().partition("+")
        key_id, _, key = rest.partition("+")
        raw = from_base64(key)
        if raw is None or raw[:1] != _ED25519 or len(raw) != 1 + 32:
            raise BadNote("a verifier reads NAME+ID+KEY, with the 32 bytes of an Ed25519 key")
        verifier = cls(name, raw[1:])
        if verifier.key_id.hex() != key_id:
            raise BadNote(f"the verifier's id is {verifier.key_id.hex()}, not {key_id}")
        return verifier

    def has_signed(self, message: bytes, signature: bytes) -> bool:
        """Whether this key's owner made a signature."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except InvalidSignature:
            return False
        return True


class Signer:
    """The private side of a key."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        """Sign under a name."""
        self.verifier = Verifier(name, key.public_key().public_bytes_raw())
        self._key = key

    def sign(self, text: str) -> str:
        """Return a text as a signed note."""
        signature = self.verifier.key_id + self._key.sign(text.encode())
        return f"{text}\n\u2014 {self.verifier.name} {to_base64(signature)}\n"

    def sign_succession(self, before: Verifier, after: Verifier) -> bytes:
        """Return this key's signature that one key follows another."""
        return self._key.sign(succession_text(before, after))

    def sign_replacement(self, before: Verifier, after: tuple[int, bytes]) -> bytes:
        """Return this key's signature that it takes the place of a lost one, after a checkpoint."""
        return self._key.sign(replacement_text(before, self.verifier, after))


def replacement_text(before: Verifier, now: Verifier, after: tuple[int, bytes]) -> bytes:
    """Return what a key signs to say whose place it takes, after which checkpoint: size and digest."""
    size, digest = after
    return f"{now}\nreplaces {before}\nafter {size} {to_base64(digest)} without its signature\n".encode()


def succession_text(before: Verifier, after: Verifier) -> bytes:
    """Return what both keys sign to say that one follows the other; no checkpoint reads so."""
    return f"{after}\nfollows {before}\n".encode()


def to_base64(raw: bytes) -> str:
    """Return bytes as text."""
    return base64.b64encode(raw).decode()


def from_base64(text: str) -> bytes | None:
    """Return the bytes of a text that `to_base64` writes, None for any other."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if to_base64(raw) == text else None


def text_of(checkpoint: Checkpoint) -> str:
    """Return what is signed of a checkpoint."""
    return (
        f"{checkpoint.origin}\n{checkpoint.size}\n{to_base64(checkpoint.root)}\nform {checkpoint.form}\n"
        f"time {format_rfc3339(checkpoint.sealed_at_us)}\nprevious {to_base64(checkpoint.previous)}\n"
        + "".join(f"replaced {each.key} {each.after_size}\n" for each in checkpoint.replaced)
    )


def digest_of(note: str) -> bytes:
    """Return the SHA-256 of the text of a note, by which the next one names it."""
    text, _, _ = note.rpartition("\n\n")
    return sha256(f"{text}\n".encode()).digest()


def read_checkpoint(note: str) -> Checkpoint:
    """Return what a note says, whoever signed it; `BadNote` where it is none of a checkpoint."""
    text, _, _ = note.rpartition("\n\n")
    found = _TEXT.fullmatch(f"{text}\n")
    if found is None:
        raise BadNote("it is not written as a checkpoint is")
    root, previous = from_base64(found["root"]), from_base64(found["previous"])
    sealed_at_us = parse_rfc3339(found["time"])
    if root is None or previous is None or sealed_at_us is None:
        raise BadNote("it has a hash or a time that cannot be")
    return Checkpoint(
        origin=found["origin"],
        size=int(found["size"]),
        root=root,
        form=int(found["form"]),
        sealed_at_us=sealed_at_us,
        previous=previous,
        replaced=tuple(_replaced(line) for line in found["replaced"].splitlines()),
    )


def _replaced(line: str) -> Replaced:
    _, key, size = line.split(" ")
    return Replaced(key, int(size))


def is_as_signed(block: Block) -> bool:
    """Whether what the database says of a block beside its checkpoint is what the checkpoint says."""
    try:
        signed = read_checkpoint(block.note)
    except BadNote:
        return False
    stored = (block.size, block.root, block.form, block.sealed_at_us)
    return stored == (signed.size, signed.root, signed.form, signed.sealed_at_us)


def check_signature(note: str, verifiers: Sequence[Verifier]) -> Verifier:
    """Return which of the keys signed a note.

    Raises `OtherKey` where none did, `BadNote` where a signature is not of the text. Signatures of others, as
    of witnesses, are passed over.
    """
    text, _, lines = note.rpartition("\n\n")
    ids = []
    for line in lines.splitlines():
        found = _SIGNED.fullmatch(line)
        raw = from_base64(found["signature"]) if found else None
        if found is None or raw is None or len(raw) < _KEY_ID_BYTES:
            raise BadNote("a line of its signatures cannot be read")
        for verifier in verifiers:
            if (verifier.name, verifier.key_id) == (found["name"], raw[:_KEY_ID_BYTES]):
                signature = raw[_KEY_ID_BYTES:]
                if len(signature) != _SIGNATURE_BYTES or not verifier.has_signed(
                    f"{text}\n".encode(), signature
                ):
                    raise BadNote("its signature is not that of its text")
                return verifier
        ids.append(f"{found['name']}+{raw[:_KEY_ID_BYTES].hex()}")
    raise OtherKey(f"it is signed by {', '.join(ids) or 'nobody'}")


def each_note(lines: Iterable[str]) -> Iterator[str]:
    """Yield the notes in the lines of a file; the last one may not have been written whole."""
    note, is_signed = "", False
    for line in lines:
        if line == "\n" and is_signed:
            yield note
            note, is_signed = "", False
            continue
        note += line
        is_signed = is_signed or line == "\n"
    if note:
        yield note


def split_notes(text: str) -> tuple[list[str], str]:
    """Return the notes of a file, and what is left at its end of one that was not written whole."""
    parts = text.split("\n\n")
    whole = (len(parts) - 1) // 2 * 2
    notes = [f"{parts[at]}\n\n{parts[at + 1]}\n" for at in range(0, whole, 2)]
    return notes, "\n\n".join(parts[whole:])
