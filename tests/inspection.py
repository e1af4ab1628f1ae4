"""One book under commands, and everything it is compared with after each of them.

`Inspection.step` names the properties that a command broke, so that a planted fault can be told by who
sees it; `inspect` fails with the first of them and leaves the tape behind (see `tests.kept`). The
properties:

engine     the command is carried out, raises nothing, and is refused a second time
decide     deciding changes nothing and says what executing then does
oracle     the reference book tells the same events
auditor    the accounts that are kept from outside hold the promises of `docs/matching.md`
check      the book does not contradict itself and no resting bid could trade
replay     events that went through their encoding give the same book, byte for byte
snapshot   a book that was restored on the way goes on in step
views      calendar, depth, best start and preview say what the reference book holds
"""

from collections.abc import Callable
from typing import Final

from matching.book import OrderBook, apply
from matching.codec import decode_command, decode_events, encode_command, encode_events
from matching.commands import Command, PlaceOrder
from matching.depth import Preview, preview
from matching.engine import decide, execute
from matching.events import Event
from matching.invariants import check_book
from matching.order import Bid
from matching.product import Product
from matching.snapshot import restore, snapshot
from tests import kept
from tests.auditor import Auditor
from tests.reference_book import ReferenceBook
from tests.reference_views import check_preview, check_views

RESTORE_EVERY: Final = 3
VIEWS_EVERY: Final = 4


class Inspection:
    """A book, its oracle, its auditor, and books that were replayed and restored on the way."""

    def __init__(self, product: Product) -> None:
        self.book, self.replayed, self.restored = (OrderBook(product) for _ in range(3))
        self.reference, self.auditor = ReferenceBook(product), Auditor(product)
        self.commands: list[Command] = []

    def step(self, command: Command) -> dict[str, str]:
        """Carry out a command everywhere; return the properties that it broke, and how."""
        self.commands.append(command)
        before = snapshot(self.book)
        broken: dict[str, str] = {}
        decided: list[tuple[Event, ...]] = []
        told: list[tuple[Event, ...]] = []

        def held(name: str, check: Callable[[], None]) -> None:
            try:
                check()
            except Exception as error:  # noqa: BLE001 - a planted fault may raise anything
                broken[name] = f"{type(error).__name__}: {error}"

        seen: list[Preview] = []
        if isinstance(command, PlaceOrder) and isinstance(bid := command.order, Bid):
            held("views", lambda: seen.append(preview(self.book, bid)))
        held("decide", lambda: decided.append(decide(self.book, command)))
        unchanged = snapshot(self.book) == before
        held("engine", lambda: told.append(execute(self.book, command)))
        if not told:
            return broken
        events = told[0]
        if decided != told or not unchanged:
            broken["decide"] = f"changed the book: {not unchanged}; decided {decided}, executed {events}"
        if seen:
            held("views", lambda: check_preview(seen[0], events))
        if events:
            held("engine", lambda: refuses(self.book, command))
        held("oracle", lambda: same(events, self.reference.execute(command)))
        held("auditor", lambda: self.auditor.hear(command, events))
        held("check", lambda: check_book(self.book))
        held("replay", lambda: self._replay(events))
        held("snapshot", lambda: self._go_on(command, events))
        if len(self.commands) % VIEWS_EVERY == 0:
            held("views", lambda: check_views(self.book, self.reference))
        return broken

    def _replay(self, events: tuple[Event, ...]) -> None:
        for event in decode_events(encode_events(events)):
            apply(self.replayed, event)
        assert snapshot(self.replayed) == snapshot(self.book), "replay gave another book"
        check_book(self.replayed, uncrossed=False)

    def _go_on(self, command: Command, events: tuple[Event, ...]) -> None:
        if len(self.commands) % RESTORE_EVERY == 0:
            self.restored = restore(snapshot(self.restored))
        same(execute(self.restored, decode_command(encode_command(command))), events)
        assert snapshot(self.restored) == snapshot(self.book), "the restored book became another one"


def same(events: tuple[Event, ...], others: tuple[Event, ...]) -> None:
    """Compare what two books told."""
    assert events == others, f"\n  {events}\nagainst\n  {others}"


def refuses(book: OrderBook, command: Command) -> None:
    """Carry a command out a second time, which is the caller's fault and must not change anything."""
    try:
        events = execute(book, command)
    except ValueError:
        return
    raise AssertionError(f"carried out twice: {events}")


def first_broken(product: Product, commands: list[Command]) -> tuple[int, dict[str, str]] | None:
    """Return how many commands it took to break a property, and which; None where all hold."""
    inspection = Inspection(product)
    for number, command in enumerate(commands, start=1):
        broken = inspection.step(command)
        if broken:
            return number, broken
    return None


def inspect(name: str, product: Product, commands: list[Command]) -> None:
    """Fail where the commands break a property, and leave the tape as `name`."""
    found = first_broken(product, commands)
    if found is not None:
        number, broken = found
        fault = "; ".join(f"{who}: {how}" for who, how in broken.items())
        raise AssertionError(kept.report(name, product, commands[:number], fault))
