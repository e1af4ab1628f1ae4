"""The canonical text of a public book, and its checksum; docs/stream.md specifies both to the byte. Pure.

The text is made of what is told and nothing else, as it is told, so a client needs no arithmetic for it: a
line for the book, then one for each order by its reference.
"""

import zlib
from collections.abc import Iterable, Sequence

from exchange.feed.book_models import BookOrder


def book_line(first_hour_at: str, phase: str) -> str:
    """Return the first line of a book's text."""
    return f"{first_hour_at} {phase}\n"


def order_line(order: BookOrder) -> str:
    """Return the line of an order."""
    head = f"{order.reference} {order.side} {order.price_cny_per_gpu_hour}"
    if order.free is not None:
        free = ",".join(f"{each.starts_at}/{each.ends_at}/{each.gpus}" for each in order.free)
        return f"{head} {order.min_hours} {_names(order.reserved_for)} {free}\n"
    return (
        f"{head} {order.quantity_gpus} {order.hours} {order.starts_at}/{order.ends_at}"
        f" {order.fill} {order.placement} {_names(order.requires)}\n"
    )


def checksum(first_line: str, order_lines: Iterable[str]) -> str:
    """Return the CRC-32 of a text of lines, as eight hexadecimal digits."""
    return f"{zlib.crc32((first_line + ''.join(order_lines)).encode()):08x}"


def _names(names: Sequence[str] | None) -> str:
    return ",".join(names or ()) or "-"
