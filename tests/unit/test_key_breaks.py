"""Goal: where a lost key was replaced, each key is believed on its own side only, where that is accepted.

Method: random histories of checkpoints with such a place in them; the whole one is believed where the new key
is named, and each way to bend it, at any checkpoint, is told as what it is.
"""

from hashlib import sha256

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from exchange.transparency.history import History, read_history
from exchange.transparency.models import Checkpoint, FaultKind, Replaced
from exchange.transparency.notes import FIRST, Signer, digest_of, read_checkpoint, text_of
from exchange.transparency.trust import KeyBreak, RegisteredKey, breaks_of, trusted_from

ORIGIN = "test.example/audit"
OLD, NEW, STRANGER = (
    Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)) for seed in (1, 2, 3)
)


def history(before: int, after: int) -> tuple[list[str], list[RegisteredKey]]:
    """Return so many checkpoints of the key that was lost, so many of the other, and the keys."""
    notes: list[str] = []
    for number in range(before + after):
        is_new = number >= before
        checkpoint = Checkpoint(
            origin=ORIGIN,
            size=3 * number + 3,
            root=sha256(bytes([number])).digest(),
            form=1,
            sealed_at_us=1_790_000_000_000_000 + number,
            previous=digest_of(notes[-1]) if notes else FIRST,
            replaced=(Replaced(OLD.verifier.short, 3 * before),) if is_new else (),
        )
        notes.append((NEW if is_new else OLD).sign(text_of(checkpoint)))
    last = (3 * before, digest_of(notes[before - 1]) if before else FIRST)
    keys = [
        RegisteredKey(verifier=OLD.verifier, endorsement=None, acceptance=None, begun_at_us=0),
        RegisteredKey(
            verifier=NEW.verifier,
            endorsement=None,
            acceptance=NEW.sign_replacement(OLD.verifier, last),
            begun_at_us=0,
            after=last,
        ),
    ]
    return notes, keys


def read(notes: list[str], keys: list[RegisteredKey], breaks: list[KeyBreak], *, is_whole: bool) -> History:
    accepted = [each.by for each in breaks]
    trusted = trusted_from([OLD.verifier], keys, accepted)
    return read_history(notes, trusted, where="here", is_whole=is_whole, breaks=breaks)


spans = st.tuples(st.integers(0, 4), st.integers(1, 4))


@given(span=spans)
def test_who_accepts_the_other_key_believes_all_and_who_does_not_what_was_before(
    span: tuple[int, int],
) -> None:
    notes, keys = history(*span)
    whole = read(notes, keys, breaks_of(keys), is_whole=True)
    assert (whole.fault, len(whole.trusted)) == (None, len(notes))
    for anchor in (OLD, NEW):
        trusted = trusted_from([anchor.verifier], keys)
        part = read_history(notes, trusted, where="here", is_whole=True)
        assert part.fault is not None
        assert (part.fault.kind, len(part.trusted)) == (FaultKind.KEY_REPLACED, span[0])
    moved = msgspec.structs.replace(keys[1], after=(3 * span[0], sha256(b"another").digest()))
    forged = [keys[0], moved]
    assert breaks_of(forged) == []  # the place is what the other key signed, and no other
    assert trusted_from([OLD.verifier], forged, [NEW.verifier]) == [OLD.verifier]
    assert trusted_from([OLD.verifier], forged, [STRANGER.verifier]) == [OLD.verifier]


@given(span=spans, data=st.data())
def test_each_key_is_believed_on_its_own_side_only(span: tuple[int, int], data: st.DataObject) -> None:
    notes, keys = history(*span)
    breaks = breaks_of(keys)
    at = data.draw(st.integers(0, len(notes) - 1))
    is_new = at >= span[0]
    said = read_checkpoint(notes[at])
    other = (Replaced(OLD.verifier.short, 3 * span[0] + 1),)
    bent = data.draw(
        st.sampled_from(
            [
                (OLD if is_new else NEW).sign(text_of(said)),
                (NEW if is_new else OLD).sign(text_of(msgspec.structs.replace(said, replaced=other))),
                (OLD if is_new else NEW).sign(
                    text_of(msgspec.structs.replace(said, replaced=() if is_new else other))
                ),
            ]
        )
    )
    found = read([*notes[:at], bent, *notes[at + 1 :]], keys, breaks, is_whole=False)
    assert found.fault is not None
    assert (found.fault.kind, len(found.trusted)) == (FaultKind.KEY_REPLACED, at)


@given(span=spans)
def test_the_other_key_goes_on_from_the_last_checkpoint_of_the_lost_one(span: tuple[int, int]) -> None:
    before, after = span
    notes, keys = history(before + 1, after)
    gone = read([*notes[:before], *notes[before + 1 :]], keys, breaks_of(keys), is_whole=True)
    assert gone.fault is not None
    assert (gone.fault.kind, len(gone.trusted)) == (FaultKind.KEY_REPLACED, before)
    said = msgspec.structs.replace(read_checkpoint(notes[before]), root=bytes(32))
    forked = [*notes[:before], OLD.sign(text_of(said)), *notes[before + 1 :]]
    for is_whole in (True, False):
        found = read(forked, keys, breaks_of(keys), is_whole=is_whole)
        assert found.fault is not None
        assert found.fault.kind is FaultKind.KEY_REPLACED
    gaps = read(notes[::2], keys, breaks_of(keys), is_whole=False)  # a copy may have gaps, there as well
    assert gaps.fault is None
