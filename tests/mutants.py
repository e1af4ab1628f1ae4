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
    Mutant("limit not reached", "walk.py", "last_key = ((limit_ticks + 1) <<", "last_key = (limit_ticks <<"),
    Mutant("window short by one", "walk.py", "ends_hour = starts_hour + hours",
           "ends_hour = starts_hour + hours - 1"),
    Mutant("lost remainder", "walk.py", "takes.append((ask, room))", "takes.append((ask, room)); break"),
    Mutant("all-or-none in part", "walk.py", "if takes and not bid.whole else None", "if takes else None"),
    Mutant("two sites", "walk.py", "if room and not bid.single:", "if room:"),
    Mutant("latest start wins", "walk.py", "tallies[place].paid, place))", "tallies[place].paid, -place))"),
    Mutant("dearer start wins", "walk.py", "-tallies[place].filled, tallies[place].paid",
           "-tallies[place].filled, 0"),
    Mutant("prunes a tie", "walk.py", "keep &= (1 << start) - 1", "keep = 0"),
    Mutant("arriving ask goes last", "walk.py", "ask.price_ticks > arriving.price_ticks:", "False:"),
    Mutant("replaced ask still sells", "walk.py", "if ask is not self.withdrawn:", "if ask is not None:"),
    Mutant("taker's price", "trades.py", "bid_rested_first = bid.sequence <",
           "bid_rested_first = bid.sequence >"),
    Mutant("own group trades", "trades.py", "match = match_bid(working, bid, wanted)\n", "pass\n"),
    Mutant("cheapest bid first", "index.py", "        blocks = self.blocks\n        place = 0\n",
           "        blocks = self.blocks[::-1]\n        place = 0\n"),
    Mutant("bid skipped after a fill", "index.py", "for item in block.items.copy():",
           "for item in block.items:"),
    Mutant("stale index entry", "index.py", "if items[0].mask & lost != lost:", "if False:"),
    Mutant("newest first", "live.py", "        (price_ticks << SEQUENCE_BITS) + sequence",
           "        (price_ticks << SEQUENCE_BITS) - sequence"),
    Mutant("masks ignored", "walk.py", "or (needs_mask and needs_mask & ~ask.is_mask)", "or False"),
    Mutant("shortest piece ignored", "walk.py", "ask.min_hours > hours", "False"),
    Mutant("double carve", "profile.py", "            free[i] -= quantity\n",
           "            free[i] -= 2 * quantity\n"),
    Mutant("runs not joined", "profile.py", "        self._join(last)\n", ""),
    Mutant("reduced bid not tried", "engine.py", "if order.whole:\n                try_bid",
           "if False:\n                try_bid"),
    Mutant("reduces while restricted", "engine.py", "isinstance(order, LiveBid) and order.whole\n",
           "False\n"),
    Mutant("lapse a hour late", "engine.py", "if order.due_hour <= hour:", "if order.due_hour < hour:"),
    Mutant("fok ask sells part", "arrival.py", "if order.time_in_force is _FOK and arriving.",
           "if False and arriving."),
    Mutant("start not pinned", "book.py", "bid.pin(starts_hour, self.hour)", "pass"),
    Mutant("equal price rests", "arrival.py", "blocks[0].items[0].price_ticks >= order",
           "blocks[0].items[0].price_ticks > order"),
    Mutant("post-only trades", "arrival.py", "            return None\n        return _meet(book, live_ask",
           "            pass\n        return _meet(book, live_ask"),
    Mutant("told of no pair", "trades.py", "            if working.direct:\n", "            if False:\n"),
    Mutant("remnant stays", "trades.py", "    if working.direct:\n        book.remove(ask)", "    pass"),
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
