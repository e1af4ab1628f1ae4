"""Planted faults: small changes of `matching` that the properties must catch.

A mutant is a text that stands once in a file and what to put in its place. `kill` copies the package, plants
the fault and runs `inspect_tapes` on the copy in a process of its own. A text that stands there no longer, or
twice, is an error, so the list cannot go stale.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TAPES = 120


class Mutant(NamedTuple):
    """A planted fault."""

    name: str
    file: str
    text: str
    fault: str


MUTANTS = [
    Mutant("limit not reached", "walk.py", "if block.price_ticks > limit_ticks:",
           "if block.price_ticks >= limit_ticks:"),
    Mutant("window begins too late", "walk.py", "if ask.starts_hour > starts_hour or", "if"),
    Mutant("window short by one", "walk.py", "ask.ends_hour < ends_hour or",
           "ask.ends_hour < ends_hour - 1 or"),
    Mutant("room of too few hours", "walk.py", "room = profile.room(starts_hour, ends_hour)",
           "room = profile.room(starts_hour, ends_hour - 1)"),
    Mutant("unequal hours overlooked", "walk.py", "            if profile is None:\n",
           "            if True:\n"),
    Mutant("lost remainder", "walk.py", "takes.append((ask, room))", "takes.append((ask, room)); break"),
    Mutant("all-or-none in part", "walk.py", "if takes and not takes_whole(order) else None",
           "if takes else None"),
    Mutant("two sites", "walk.py", "if room and order.placement is not _SINGLE_SITE:", "if room:"),
    Mutant("latest start wins", "sweep.py", "tallies[place].paid, place))", "tallies[place].paid, -place))"),
    Mutant("dearer start wins", "sweep.py", "-tallies[place].filled, tallies[place].paid",
           "-tallies[place].filled, 0"),
    Mutant("prunes a tie", "sweep.py", "keep &= (1 << start) - 1", "keep = 0"),
    Mutant("arriving ask goes last", "walk.py", "if yet and block.price_ticks > own.price_ticks:",
           "if False:"),
    Mutant("replaced ask still sells", "walk.py", " or ask is withdrawn:", ":"),
    Mutant("taker's price", "trades.py", "if bid.sequence < ask.sequence:",
           "if bid.sequence > ask.sequence:"),
    Mutant("own group trades", "trades.py", "match = match_bid(working, bid, wanted)\n", "pass\n"),
    Mutant("cheapest bid first", "trades.py", "in reversed(working.book.bids.ladder)",
           "in list(working.book.bids.ladder)"),
    Mutant("bid skipped after a fill", "trades.py", "in list(block.orders.values()):",
           "in list(block.orders.values())[::2]:"),
    Mutant("stale index entry", "index.py", "        block.cover |= order.spans\n", ""),
    Mutant("cover never renewed", "index.py", "if gone > len(orders):", "if False:"),
    Mutant("newest first", "index.py", "block.orders[order.sequence] = order",
           "block.orders = {order.sequence: order, **block.orders}"),
    Mutant("newest block first", "index.py", "bisect_left(self.ranks, rank)",
           "bisect_left(self.ranks, rank + 1)"),
    Mutant("masks ignored", "walk.py", "or (needs_mask and needs_mask & ~offer.is_mask)", "or False"),
    Mutant("shortest piece ignored", "walk.py", "offer.min_hours > hours", "False"),
    Mutant("double carve", "profile.py", "            free[i] -= quantity\n",
           "            free[i] -= 2 * quantity\n"),
    Mutant("runs not joined", "profile.py", "        self._join(last)\n", ""),
    Mutant("piece taken for the whole", "book.py", "whole = ask.hours == hours and", "whole ="),
    Mutant("passed hours stay free", "book.py", "order.hours = order.ends_hour - order.starts_hour", "pass"),
    Mutant("start not pinned", "book.py", "            bid.starts_hour = starts_hour\n", ""),
    Mutant("reduced bid not tried", "changes.py", "if takes_whole(order.order):\n                try_bid",
           "if False:\n                try_bid"),
    Mutant("reduces while restricted", "changes.py", "is_bid(order) and takes_whole(order.order):", "False:"),
    Mutant("lapse a hour late", "changes.py", "if due_hour(order) <= hour:",
           "if due_hour(order) < hour:"),
    Mutant("an hour too many lapses", "changes.py", "capacity(order).before(hour)",
           "capacity(order).before(hour + 1)"),
    Mutant("present hour refused", "admission.py", "if starts_hour < book_hour:",
           "if starts_hour <= book_hour:"),
    Mutant("fok ask sells part", "arrival.py", "if order.time_in_force is _FOK and arriving.",
           "if False and arriving."),
    Mutant("equal price rests", "arrival.py", "bids[-1].price_ticks >= ask", "bids[-1].price_ticks > ask"),
    Mutant("post-only trades", "arrival.py",
           "        return None\n    events: list[Event] = [OrderAccepted(sequence, order)]\n    sell(",
           "        pass\n    events: list[Event] = [OrderAccepted(sequence, order)]\n    sell("),
    Mutant("told of no pair", "trades.py", "            if working.direct:\n", "            if False:\n"),
    Mutant("remnant stays", "trades.py", "    if working.direct:\n        working.book.remove(ask)",
           "    pass"),
]  # fmt: skip


def inspect_tapes() -> None:
    """Hold the book that is on the path against the oracle, the auditor and its own replay."""
    from matching import index  # noqa: PLC0415 - the copy is on the path of this process only
    from matching.book import OrderBook, apply  # noqa: PLC0415
    from matching.engine import execute  # noqa: PLC0415
    from matching.invariants import check_book  # noqa: PLC0415
    from tests.auditor import Auditor  # noqa: PLC0415
    from tests.reference_book import ReferenceBook  # noqa: PLC0415
    from tests.tapes import tape  # noqa: PLC0415

    for seed in range(TAPES):
        # Small books fill one block only, so two tapes in three are run on small blocks.
        vars(index)["BLOCK_MAX"] = (64, 4, 2)[seed % 3]
        product, commands = tape(seed, 90)
        book, replayed = OrderBook(product), OrderBook(product)
        reference, auditor = ReferenceBook(product), Auditor(product)
        for command in commands:
            events = execute(book, command)
            assert events == reference.execute(command), seed
            auditor.hear(command, events)
            check_book(book)
            for event in events:
                apply(replayed, event)
        check_book(replayed)


def kill(mutant: Mutant | None, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the inspection on a copy with the fault, or without one."""
    copy = folder / "matching"
    shutil.copytree(ROOT / "matching", copy, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is not None:
        path = copy / mutant.file
        source = path.read_text(encoding="utf-8")
        if source.count(mutant.text) != 1:
            raise ValueError(
                f"{mutant.name}: the text stands {source.count(mutant.text)} times in {mutant.file}"
            )
        path.write_text(source.replace(mutant.text, mutant.fault), encoding="utf-8")
    program = (
        "import matching, tests.mutants as m; assert matching.__file__.startswith(r'%s'); m.inspect_tapes()"
    )
    return subprocess.run(
        [sys.executable, "-c", program % folder],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
