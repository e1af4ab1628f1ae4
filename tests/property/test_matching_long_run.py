"""Goal: nothing builds up. Method: very many commands of a realistic mix on one book, checked all along.

Every 1,000 commands the book is worked out anew and each resting bid matched again (`check_book`); at last
the book is what its events fold to, and what its snapshot restores, byte for byte. Once on the recorded
trace, where it is there, and once on a drawn one of the same shape.
"""

from collections import Counter
from itertools import islice

import pytest

from matching.book import OrderBook, apply
from matching.engine import execute
from matching.events import Traded
from matching.invariants import check_book
from matching.snapshot import restore, snapshot
from tests.hypothesis_profiles import is_long
from tests.mixes import PRODUCT, Job, Mix, drawn_jobs, recorded_jobs

COMMANDS = 200_000 if is_long() else 60_000
CHECK_EVERY = 1_000


def run(jobs: list[Job]) -> None:
    book, folded = OrderBook(PRODUCT), OrderBook(PRODUCT)
    seen: Counter[str] = Counter()
    live_most = 0
    for number, command in enumerate(islice(Mix(jobs, 3).commands(book), COMMANDS), start=1):
        events = execute(book, command)
        seen[type(command).__name__] += 1
        for event in events:
            apply(folded, event)
            if type(event) is Traded:
                seen["Traded"] += 1
        if number % CHECK_EVERY == 0:
            check_book(book)
            live_most = max(live_most, len(book.orders))
    data = snapshot(book)
    assert snapshot(folded) == data
    restored = restore(data)
    assert snapshot(restored) == data
    check_book(restored)
    check_book(folded)
    # What was to be shown was there: every kind of command, trades, and a book of some depth.
    assert min(seen.values()) >= (30 if is_long() else 6)
    assert len(seen) == 8
    assert seen["Traded"] > COMMANDS // 10
    assert live_most > 200


def test_recorded_demand_leaves_a_sound_book() -> None:
    jobs = recorded_jobs()
    if jobs is None:
        pytest.skip("the recorded trace is not beside the checkout (see docs/replay.md)")
    run(jobs)


def test_drawn_demand_leaves_a_sound_book() -> None:
    run(drawn_jobs(seed=3, number=60_000))
