"""Ids: positive 63-bit integers inside, a prefix and 13 letters outside.

41 bits of milliseconds since 2020-01-01 by the wall clock, 16 bits that tell processes apart, a 6-bit
counter. Ids of one process strictly increase, also when the wall clock is set back, and end in 2089. A full
counter flows into the next millisecond: who makes more than 64,000 a second is a little ahead of the clock.

Processes that serve or lead have numbers from the database, which gives each of 65,536 in turn
(`use_number`). Known limit: a tool that has none draws one, so two could make the same id in the same
millisecond; the primary keys refuse the second one.
"""

import os
import secrets
import threading

from exchange.kit.clock import wall_now_us

PREFIXES = frozenset(
    {
        "par",
        "grp",
        "key",
        "ord",
        "trd",
        "lse",
        "vch",
        "prg",
        "app",
        "clm",
        "evd",
        "trf",
        "acc",
        "qry",
        "alr",
        "ses",
    }
)
ID_MAX = (1 << 63) - 1
EPOCH_MS = 1_577_836_800_000  # 2020-01-01T00:00:00Z

# Crockford's base32: no i, l, o, u, so that a letter read aloud or copied by hand is not another one.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUE_OF = {letter: value for value, letter in enumerate(_ALPHABET)}
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_LENGTH = 13

_NODE_BITS = 16
_COUNTER_BITS = 6


class _Generator:
    """The ids of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._node = secrets.randbelow(1 << _NODE_BITS)
        self._last_tick = 0  # milliseconds and counter in one number: a full counter flows into the next ms

    def use(self, node: int) -> None:
        with self._lock:
            self._node = node
            # Within a millisecond a smaller number would make smaller ids.
            self._last_tick |= (1 << _COUNTER_BITS) - 1

    def next(self) -> int:
        now_ms = wall_now_us() // 1000 - EPOCH_MS
        with self._lock:
            tick = max(now_ms << _COUNTER_BITS, self._last_tick + 1)
            self._last_tick = tick
        now_ms, counter = tick >> _COUNTER_BITS, tick & ((1 << _COUNTER_BITS) - 1)
        return (((now_ms << _NODE_BITS) | self._node) << _COUNTER_BITS) | counter


_generator = _Generator()


def _renew_generator() -> None:
    global _generator  # noqa: PLW0603 - a forked child must not continue its parent's ids
    _generator = _Generator()


os.register_at_fork(after_in_child=_renew_generator)


def new_id() -> int:
    """Return an id greater than every one returned before by this process."""
    return _generator.next()


def use_number(number: int) -> None:
    """Make ids from now on under a number that no other process has; ValueError from 65,536 on."""
    if not 0 <= number < 1 << _NODE_BITS:
        raise ValueError(f"{number} is not a number of a process")
    _generator.use(number)


def encode_id(prefix: str, value: int) -> str:
    """Write an id for the outside: `encode_id("ord", 5)` is `ord_0000000000005`.

    ValueError for an unknown prefix or a value that is no id.
    """
    if prefix not in PREFIXES:
        raise ValueError(f"{prefix!r} is not an id prefix")
    if not 0 < value <= ID_MAX:
        raise ValueError(f"{value} is not an id: 1 to 2^63-1")
    # Spelt out: every answer has several ids, and a loop takes twice as long.
    return (
        f"{prefix}_{_ALPHABET[value >> 60]}{_PAIRS[value >> 50 & 1023]}{_PAIRS[value >> 40 & 1023]}"
        f"{_PAIRS[value >> 30 & 1023]}{_PAIRS[value >> 20 & 1023]}{_PAIRS[value >> 10 & 1023]}"
        f"{_PAIRS[value & 1023]}"
    )


def id_pattern(prefix: str) -> str:
    """Return the regular expression of exactly what `encode_id` writes for this prefix."""
    return rf"{prefix}_(?!0{{{_LENGTH}}})[0-7][0-9a-hjkmnp-tv-z]{{{_LENGTH - 1}}}"


def decode_id(prefix: str, text: str) -> int | None:
    """Read an id from the outside; None unless it is exactly what `encode_id` writes for this prefix."""
    head, _, letters = text.partition("_")
    if head != prefix or len(letters) != _LENGTH:
        return None
    value = 0
    for letter in letters:
        digit = _VALUE_OF.get(letter)
        if digit is None:
            return None
        value = value << 5 | digit
    return value if 0 < value <= ID_MAX else None
