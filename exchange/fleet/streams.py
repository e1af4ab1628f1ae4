"""The names of what several processes share in Redis, and how a place in an intake stream is written.

An offset is an entry's id and how many of its requests are done: `1764370000000-0:17`. The entry's id and not
the next one's, because only the entry tells how many it has.
"""

from __future__ import annotations

from typing import Final

ANSWERS_KEPT_S: Final = 60
"""How long the answers for a gateway outlive the last one: it is gone by then, or has read them."""


def intake_stream(partition_id: int) -> str:
    """The stream of requests to a partition."""
    return f"exchange:{partition_id}:intake"


def feed_stream(partition_id: int) -> str:
    """The stream of what a partition has committed."""
    return f"exchange:{partition_id}:feed"


def answers_stream(gateway: str) -> str:
    """The stream of outcomes for a gateway."""
    return f"exchange:answers:{gateway}"


def offset_of(entry_id: str, done: int) -> str:
    """Write a place: so many requests of an entry are done."""
    return f"{entry_id}:{done}"


def read_offset(offset: str) -> tuple[str, int]:
    """Read a place: the entry, '' before the first one, and how many of its requests are done."""
    entry_id, _, done = offset.partition(":")
    return entry_id, int(done or 0)
