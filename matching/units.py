"""Units of the matching core and the one exception that means "this book can no longer be trusted".

hour      int, whole hours since the Unix epoch, UTC; windows are half-open: [start, end)
quantity  int, GPUs, a positive multiple of the product's lot
price     int, ticks per GPU-hour
sequence  int, dense per partition, given with every command
mask      int of any size, one bit per fact (eligibility) or per hour from the book's hour (capacity)
"""

from typing import Final

HORIZON_HOURS: Final = 17_568
"""Windows end at most two years after the book's hour, so that hour masks stay small."""

NOTIONAL_MAX: Final = 2**63 - 1
"""Price x quantity x hours of any order fits a signed 64-bit integer."""


class BookCorrupt(Exception):
    """A broken invariant: the partition must stop, drop the book and rebuild it from the journal."""


def run_starts(mask: int, hours: int) -> int:
    """Keep the bits of `mask` at which `hours` consecutive set bits begin."""
    have = 1
    while have < hours and mask:
        step = min(have, hours - have)
        mask &= mask >> step
        have += step
    return mask
