"""Which of a log's keys to trust, given those that are known from elsewhere. Pure.

A key that is trusted vouches for the next by its endorsement, and for the one before by its acceptance. Where
a key was lost, nothing leads from it to the one that took its place, whoever trusts it must name that one;
and what that one signs is believed only where it is named so (`exchange.transparency.history`). Each is
trusted for its part only: the lost one up to the checkpoint after which it was replaced, the other from there
on.
"""

import itertools
from collections.abc import Collection, Sequence

import msgspec

from exchange.transparency.models import Replaced
from exchange.transparency.notes import Verifier, replacement_text, succession_text


class RegisteredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the log's; but for the first, with the signatures of the one before and of its own.

    `after` is of one that took the place of a lost key: size and digest of the last checkpoint before it.
    """

    verifier: Verifier
    endorsement: bytes | None
    acceptance: bytes | None
    begun_at_us: int
    after: tuple[int, bytes] | None = None


class KeyBreak(msgspec.Struct, frozen=True, kw_only=True):
    """Where a lost key was replaced: by whom, after which checkpoint, and which keys sign from there on."""

    lost: Verifier
    by: Verifier
    after_size: int
    after_digest: bytes
    since: tuple[Verifier, ...]

    @property
    def replaced(self) -> Replaced:
        """What every checkpoint from there on says."""
        return Replaced(self.lost.short, self.after_size)


def breaks_of(known: Sequence[RegisteredKey]) -> list[KeyBreak]:
    """Return where keys of a log were replaced as lost, oldest first, as those that replaced them signed."""
    return [
        KeyBreak(
            lost=before.verifier,
            by=now.verifier,
            after_size=now.after[0],
            after_digest=now.after[1],
            since=tuple(key.verifier for key in known[place:]),
        )
        for place, (before, now) in enumerate(itertools.pairwise(known), start=1)
        if now.after is not None and _replaces(before, now)
    ]


def trusted_from(
    anchors: Sequence[Verifier], known: Sequence[RegisteredKey], accepted: Collection[Verifier] = ()
) -> list[Verifier]:
    """Return the keys to trust: the given ones, and each that leads to or from one.

    `accepted` are keys that may have taken the place of lost ones: no lost key leads to another.
    """
    trusted = list(anchors)
    steps = list(itertools.pairwise(known))
    for before, after in steps:
        if before.verifier in trusted and (
            _is_endorsed(before, after) or _is_accepted(before, after, accepted)
        ):
            trusted.append(after.verifier)
    for before, after in reversed(steps):
        if after.verifier in trusted and (_accepts(before, after) or _replaces(before, after)):
            trusted.append(before.verifier)
    return list(dict.fromkeys(trusted))


def _is_endorsed(before: RegisteredKey, after: RegisteredKey) -> bool:
    return _says(before.verifier, before, after, after.endorsement)


def _accepts(before: RegisteredKey, after: RegisteredKey) -> bool:
    return _says(after.verifier, before, after, after.acceptance)


def _says(by: Verifier, before: RegisteredKey, after: RegisteredKey, signature: bytes | None) -> bool:
    return signature is not None and by.has_signed(
        succession_text(before.verifier, after.verifier), signature
    )


def _is_accepted(before: RegisteredKey, now: RegisteredKey, accepted: Collection[Verifier]) -> bool:
    return now.verifier in accepted and _replaces(before, now)


def _replaces(before: RegisteredKey, now: RegisteredKey) -> bool:
    return (
        now.after is not None
        and now.acceptance is not None
        and now.verifier.has_signed(
            replacement_text(before.verifier, now.verifier, now.after), now.acceptance
        )
    )
