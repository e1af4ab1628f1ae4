"""Units of the matching core and the one exception that means "this book can no longer be trusted".

hour      int, whole hours since the Unix epoch, UTC; windows are half-open: [start, end)
quantity  int, GPUs, a positive multiple of the product's lot
price     int, ticks per GPU-hour
sequence  int, dense per partition, given with every command
mask      int of any size, one bit per fact (eligibility)
spans     int, one bit for each span of 4 hours from the one that the book's hour is in
"""

from typing import Final

HORIZON_HOURS: Final = 17_568
"""Windows end at most two years after the book's hour, so that masks stay small."""

SPAN_SHIFT: Final = 2
"""Spans are coarse because looking at an hour mask of months costs ten times as much as comparing hours."""

NOTIONAL_MAX: Final = 2**63 - 1
"""Price x quantity x hours of any order fits a signed 64-bit integer."""


class BookCorrupt(Exception):
    """A broken invariant: the partition must stop, drop the book and rebuild it from the journal."""


def spans_of(starts_hour: int, ends_hour: int, book_hour: int) -> int:
    """Return the spans that the hours of a window lie in."""
    first = starts_hour >> SPAN_SHIFT
    return ((2 << ((ends_hour - 1 >> SPAN_SHIFT) - first)) - 1) << (first - (book_hour >> SPAN_SHIFT))
