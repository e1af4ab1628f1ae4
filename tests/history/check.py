"""Whether what callers were told is what the journal says, in an order of time that can be.

For every request there must be a moment, a sequence, at which its answer was right; and where one was
answered before another was sent, its moment is not after that of the other (linearizability). A request with
an effect has its commands' sequences for a moment. One that only looked, or was refused, has any sequence
between those that were known before it was sent and those of requests sent after it was answered. Whoever
was told that the outcome is unknown was not answered in this sense: the effect may come after that.

What has no answer may have had its effect, at most once; what was refused has none; and there is no effect
that nobody asked for. Where several lost requests may have had one effect, the first counts, which never
makes a right history look wrong. Raises `Unfit`, naming the request.
"""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import accumulate, pairwise
from typing import Any, Final

from matching.commands import CancelAll, CancelOrder, PlaceOrder, ReduceOrder, ReplaceOrder
from matching.events import OrderCancelled, OrderRejected
from tests.history.journal import LIVE, Entry, Journal, Story, Unfit
from tests.history.record import Asked, History, Trader, order_number
from tests.history.views import asked_for, held_fen, view_of_state

FOR_EVER: Final = 2**62
_FREE: Final = re.compile(r"of which ([0-9.]+) CNY are free")
_ASKED_BY: Final[dict[type, str]] = {
    CancelOrder: "cancel",
    ReduceOrder: "amend",
    ReplaceOrder: "amend",
    CancelAll: "cancel_all",
}
Name = tuple[int, str]
"""A participant and its client order id."""


class Moments:
    """Sequences that are known from a time on, or that happen only after one."""

    def __init__(self, points: Iterable[tuple[int, int]], *, until: bool) -> None:
        """Take (time, sequence) pairs: the greatest up to a time, or with `until` the least after one."""
        ordered = sorted(points)
        self._times = [at for at, _ in ordered]
        values = [sequence for _, sequence in ordered]
        self._until = until
        self._values = (
            list(accumulate(reversed(values), min))[::-1] if until else list(accumulate(values, max))
        )

    def at(self, time_ns: int) -> int:
        """The sequence that bounds what happens at a time."""
        if self._until:
            place = bisect_right(self._times, time_ns)
            return self._values[place] if place < len(self._values) else FOR_EVER
        place = bisect_left(self._times, time_ns)
        return self._values[place - 1] if place else 0


class Checker:
    """One history beside one journal, of which `tell` has been called."""

    def __init__(self, history: History, journal: Journal) -> None:
        self.history, self.journal = history, journal
        self.effects: list[tuple[Asked, int, int]] = []
        """Requests with the first and the last sequence of what they did."""
        self._known: list[tuple[int, int]] = []
        """When a caller was told of an effect, and the last sequence of that."""
        self.looks: list[tuple[Asked, list[tuple[int, int]]]] = []
        """Requests with the spans of sequences, ends included, at one of which their answer was right."""
        self._commands: dict[tuple[type, int], list[Entry]] = defaultdict(list)
        self._used: set[int] = set()
        self._names: dict[Name, int] = {
            (row["participant_id"], row["client_order_id"]): order_id
            for order_id, row in journal.orders.items()
            if not row["amendment"]
        }
        for entry in journal.entries:
            command = entry.command
            if isinstance(command, CancelAll):
                self._commands[CancelAll, command.participant].append(entry)
            elif isinstance(command, CancelOrder | ReduceOrder | ReplaceOrder):
                self._commands[type(command), command.order_id].append(entry)

    def check(self) -> None:
        """Check everything."""
        self._check_places()
        for asked in self.history.asked:
            if asked.status is not None and asked.kind not in {"place", "batch"}:
                self._ANSWERED[asked.kind](self, asked)
        self._check_unasked()
        self._check_time()

    # -- orders that were placed -----------------------------------------------------------------------------

    def _check_places(self) -> None:
        attempts: dict[Name, list[tuple[Asked, Any, Any]]] = defaultdict(list)
        for asked in self.history.asked:
            for order, outcome in placed_by(asked):
                name = (asked.trader.participant_id, order["client_order_id"])
                attempts[name].append((asked, order, outcome))
        for name, tries in attempts.items():
            self._check_name(self._names.get(name), tries)
        phantoms = self._names.keys() - attempts.keys()
        if phantoms:
            raise Unfit(f"nobody placed {sorted(phantoms)[:3]}")

    def _check_name(self, order_id: int | None, tries: list[tuple[Asked, Any, Any]]) -> None:
        story = None if order_id is None else self.journal.stories.get(order_id)
        firsts = [asked for asked, _, told in tries if told is not None and _is_first(told)]
        if len(firsts) > 1:
            raise Unfit(f"done more than once: {firsts[:2]}")
        for asked, order, told in tries:
            if told is not None:
                self._check_placed(asked, order, told, order_id, story)
        if order_id is None:
            return
        doers = firsts or [asked for asked, _, told in tries if told is None or _is_unknown(told)]
        if not doers:
            raise Unfit(f"order {order_id} stands, and every try was refused: {tries}")
        if story is not None:
            self._did(doers[0], story.sequence, story.sequence, is_told=bool(firsts))
            asks = [asked_for(order, asked.trader) for asked, order, _ in tries]
            if asked_for(story.order, None) not in asks:
                raise Unfit(f"{story.order} is none of {asks}")

    def _check_placed(
        self, asked: Asked, order: Any, told: Any, order_id: int | None, story: Story | None
    ) -> None:
        status, view, problem = told["status"], told["order"], told["problem"]
        if view is not None:
            if order_id is None or story is None or order_number(view["id"]) != order_id:
                raise Unfit(f"{view['id']} is told, and {order_id} stands: {asked}")
            self._look(asked, story, view, since=story.sequence)
        elif problem["outcome"] == "applied":
            self._check_refused(asked, told, order_id, story)
        elif status == 422 and problem["code"] == "client_order_id_reused" and order_id is None:
            raise Unfit(f"no other order stands under {order['client_order_id']}: {asked}")

    def _check_refused(self, asked: Asked, told: Any, order_id: int | None, story: Story | None) -> None:
        """A rejected order stands on record, by the book with its reason, or before it without a sequence."""
        problem = told["problem"]
        if order_id is None or self.journal.orders[order_id]["status"] != "rejected":
            raise Unfit(f"told to be on record as rejected, and is not: {asked}")
        if (problem["code"] == "order_rejected") != (story is not None):
            raise Unfit(f"rejected by another than told: {asked}")
        if story is not None:
            if story.last.reason != problem["errors"][0]["code"]:
                raise Unfit(f"rejected for {story.last.reason}: {asked}")
            self.looks.append((asked, [(story.sequence, FOR_EVER)]))
        elif not told["replayed"] and (free := _FREE.search(problem["detail"])):
            free_fen = int(free[1].replace(".", ""))
            self.looks.append((asked, self._spans_of_cash(asked.trader, free_fen)))

    def _spans_of_cash(self, trader: Trader, free_fen: int) -> list[tuple[int, int]]:
        """The spans of sequences in which a buyer had so much that was neither spent nor set aside."""
        changes: dict[int, int] = defaultdict(int)
        for story in self.journal.stories.values():
            if story.order.participant == trader.participant_id:
                taken_fen = 0
                for sequence, state in story.states:
                    now_fen = state.notional_fen + held_fen(story, state)
                    changes[sequence] += now_fen - taken_fen
                    taken_fen = now_fen
        points = [0, *sorted(changes), FOR_EVER]
        taken = accumulate(changes[sequence] for sequence in points)
        return [
            (begins, ends - 1)
            for (begins, ends), taken_fen in zip(pairwise(points), taken, strict=False)
            if trader.deposit_fen - taken_fen == free_fen
        ]

    # -- what was done to orders -----------------------------------------------------------------------------

    def _check_cancel(self, asked: Asked) -> None:
        story = self._own_story(asked)
        if story is None:
            return
        if asked.status == 200:
            entry = self._take(asked, CancelOrder, asked.order_id, lambda _: True)
            self._look(asked, story, asked.told, since=entry.sequence)
        elif asked.told["outcome"] == "applied":
            self._take(asked, CancelOrder, asked.order_id, lambda _: True)
        elif asked.told["code"] == "order_not_live":
            self._look_at_end(asked, story)

    def _check_amend(self, asked: Asked) -> None:
        story = self._own_story(asked)
        if story is None:
            return
        if asked.status != 200:
            if asked.told["code"] == "order_not_live":
                self._look_at_end(asked, story)
            return
        view = {name: value for name, value in asked.told.items() if name != "priority"}
        new_id = order_number(view["id"])
        if asked.told["priority"] == "kept":
            wanted = asked.sent.get("quantity_gpus")
            if new_id != asked.order_id:
                raise Unfit(f"another order goes on, though it kept its place: {asked}")
            self._find_reduction(asked, wanted)
            self._look(asked, story, view, since=story.sequence)
            return
        if new_id not in self.journal.stories:
            raise Unfit(f"the order that goes on is in no journal: {asked}")
        replacement = self.journal.stories[new_id]
        if replacement.replaces != asked.order_id:
            raise Unfit(f"{view['id']} replaces {replacement.replaces}: {asked}")
        if not asked.replayed:
            self._take(asked, ReplaceOrder, asked.order_id, lambda entry: _replaced_by(entry) == new_id)
        self._look(asked, replacement, view, since=replacement.sequence)

    def _find_reduction(self, asked: Asked, wanted: int | None) -> None:
        """Take the reduction to a quantity; there is none where the order had that quantity already.

        So where one that was lost had asked for the same before, under another key, it is left to that: under
        its own key what was done before is told as a replay.
        """
        if any(
            other.kind == "amend"
            and other.may_be_done
            and other.sent_ns < asked.sent_ns
            and other.once_key != asked.once_key
            and (other.order_id, other.sent.get("quantity_gpus")) == (asked.order_id, wanted)
            for other in self.history.asked
        ):
            return
        found = [
            entry
            for entry in self._commands[ReduceOrder, asked.order_id]
            if entry.command.quantity_gpus == wanted  # type: ignore[union-attr]  # they are reductions
        ]
        if found and not asked.replayed and found[0].sequence not in self._used:
            self._take(asked, ReduceOrder, asked.order_id, lambda entry: entry is found[0])

    def _check_get(self, asked: Asked) -> None:
        story = self._own_story(asked)
        if story is not None and asked.status == 200:
            self._look(asked, story, asked.told, since=story.sequence)

    def _own_story(self, asked: Asked) -> Story | None:
        """The order that a request names; None where it is refused as it must be, or was before the book."""
        row = self.journal.orders.get(asked.order_id)
        is_own = row is not None and row["participant_id"] == asked.trader.participant_id
        if asked.status is None or asked.status >= 500:
            return self.journal.stories.get(asked.order_id) if is_own else None
        if is_own == (asked.status == 404):
            raise Unfit(f"{'own' if is_own else 'foreign'} order: {asked}")
        return self.journal.stories.get(asked.order_id) if is_own else None

    def _check_cancel_all(self, asked: Asked) -> None:
        if asked.status != 200:
            return
        told = [(order_number(each["id"]), each["cancelled_gpu_hours"]) for each in asked.told["data"]]
        participant_id = asked.trader.participant_id
        if not told:
            self.looks.append((asked, self._spans_without_orders(asked)))
            return
        entries = [
            entry
            for entry in self._commands[CancelAll, participant_id]
            if entry.sequence not in self._used and set(_withdrawn(entry)) <= set(told)
        ]
        done = [each for entry in entries for each in _withdrawn(entry)]
        if done != told:
            raise Unfit(f"withdrawn were {done}: {asked}")
        self._used |= {entry.sequence for entry in entries}
        self._did(asked, entries[0].sequence, entries[-1].sequence, is_told=True)

    def _spans_without_orders(self, asked: Asked) -> list[tuple[int, int]]:
        """The spans of sequences in which a participant had no live order of the kinds it named."""
        product, side = asked.fields.get("product"), asked.fields.get("side")
        live: list[tuple[int, int]] = []
        for story in self.journal.stories.values():
            is_named = product in {None, story.product_id} and side in {None, _side_of(story)}
            if is_named and story.order.participant == asked.trader.participant_id:
                ended = FOR_EVER if story.ended_at is None else story.ended_at
                live.append((story.sequence, ended - 1))
        spans, begins = [], 0
        for first, last in sorted(live):
            if first > begins:
                spans.append((begins, first - 1))
            begins = max(begins, last + 1)
        return [*spans, (begins, FOR_EVER)]

    # -- what nobody asked for, and time ---------------------------------------------------------------------

    def _take(self, asked: Asked, kind: type, order_id: int, fits: Callable[[Entry], bool]) -> Entry:
        """Find the one command of the journal that a request had; it can have no other."""
        for entry in self._commands[kind, order_id]:
            if not _is_refused(entry) and entry.sequence not in self._used and fits(entry):
                self._used.add(entry.sequence)
                self._did(asked, entry.sequence, entry.sequence, is_told=True)
                return entry
        raise Unfit(f"told to be done, and no command of the journal did it: {asked}")

    def _did(self, asked: Asked, first: int, last: int, *, is_told: bool) -> None:
        """Note what a request did. Told that nobody knows, its caller may see it done later than that."""
        self.effects.append((asked, first, last))
        if is_told:
            assert asked.answered_ns is not None
            self._known.append((asked.answered_ns, last))

    def _check_unasked(self) -> None:
        """Whatever no answer tells of must have been asked for by a request without one."""
        lost: dict[tuple[str, int], list[Asked]] = defaultdict(list)
        for asked in self.history.asked:
            if asked.may_be_done and asked.kind not in {"place", "batch"}:
                whose = asked.trader.participant_id if asked.kind == "cancel_all" else asked.order_id
                lost[asked.kind, whose].append(asked)
        for (kind, whose), entries in self._commands.items():
            for entry in entries:
                if entry.sequence in self._used or _is_refused(entry):
                    continue
                askers = lost[_ASKED_BY[kind], whose]
                if not askers:
                    raise Unfit(f"nobody asked for {entry.command}")
                self._did(askers[0], entry.sequence, entry.sequence, is_told=False)

    def _look(self, asked: Asked, story: Story, view: Any, *, since: int) -> None:
        """An order was told: note when it stood so, not before a sequence."""
        ends = [sequence - 1 for sequence, _ in story.states[1:]] + [FOR_EVER]
        row = self.journal.orders[story.order.order_id]
        spans = [
            (max(begins, since), end)
            for (begins, state), end in zip(story.states, ends, strict=True)
            if end >= since and view_of_state(story, state, row) == _comparable(view)
        ]
        if not spans:
            raise Unfit(f"the order never stood so: {asked}, but {story.states}")
        self.looks.append((asked, spans))

    def _look_at_end(self, asked: Asked, story: Story) -> None:
        if story.ended_at is None:
            raise Unfit(f"the order is live to the end: {asked}")
        self.looks.append((asked, [(story.ended_at, FOR_EVER)]))

    def _check_time(self) -> None:
        """Hold the order of moments against the order of time."""
        later = Moments(((asked.sent_ns, first) for asked, first, _ in self.effects), until=True)
        ranks = Moments(self._known, until=False)
        for asked, first, _ in self.effects:
            if first <= ranks.at(asked.sent_ns):
                raise Unfit(f"{first} came before what was answered before it was sent: {asked}")
        for asked, spans in sorted(self.looks, key=lambda each: each[0].answered_ns or 0):
            assert asked.answered_ns is not None
            at_least, before = ranks.at(asked.sent_ns), later.at(asked.answered_ns)
            fitting = [max(first, at_least) for first, last in spans if max(first, at_least) <= last]
            if not fitting or fitting[0] >= before:
                raise Unfit(f"right in {spans}, and asked between {at_least} and {before}: {asked}")

    _ANSWERED: Final = {
        "cancel": _check_cancel,
        "amend": _check_amend,
        "get": _check_get,
        "cancel_all": _check_cancel_all,
    }


def check_history(history: History, journal: Journal) -> Checker:
    """Check a history beside what a database holds; raises `Unfit`."""
    journal.tell()
    checker = Checker(history, journal)
    checker.check()
    return checker


def placed_by(asked: Asked) -> list[tuple[Any, Any]]:
    """The orders that a request would place, each with its outcome as a batch tells it; None: unknown."""
    if asked.kind == "place":
        if asked.status is None:
            return [(asked.sent, None)]
        done = asked.status == 201
        outcome = {
            "status": asked.status,
            "replayed": asked.replayed,
            "order": asked.told if done else None,
            "problem": None if done else asked.told,
        }
        return [(asked.sent, outcome)]
    if asked.kind != "batch":
        return []
    orders = asked.sent["orders"]
    if asked.status is None:
        return [(order, None) for order in orders]
    if asked.status == 200:
        return [
            (order, {"order": None, "problem": None, **each})
            for order, each in zip(orders, asked.told["data"], strict=True)
        ]
    whole = {"status": asked.status, "replayed": False, "order": None, "problem": asked.told}
    return [(order, whole) for order in orders]


def _is_first(told: Any) -> bool:
    """Whether this outcome says that the order has just come to stand, rejected or not."""
    if told["replayed"]:
        return False
    return told["order"] is not None or told["problem"]["outcome"] == "applied"


def _is_unknown(told: Any) -> bool:
    return told["problem"] is not None and told["problem"]["outcome"] == "unknown"


def _is_refused(entry: Entry) -> bool:
    return bool(entry.events) and isinstance(entry.events[0], OrderRejected)


def _replaced_by(entry: Entry) -> int:
    assert isinstance(entry.command, PlaceOrder | ReplaceOrder)
    return entry.command.order.order_id


def _withdrawn(entry: Entry) -> list[tuple[int, int]]:
    return [
        (event.order_id, event.remaining_gpu_hours)
        for event in entry.events
        if isinstance(event, OrderCancelled)
    ]


def _side_of(story: Story) -> str:
    return "buy" if hasattr(story.order, "limit_ticks") else "sell"


def _comparable(view: Any) -> Any:
    fills = [
        {name: fill[name] for name in ("quantity_gpus", "starts_at", "ends_at", "price_cny_per_gpu_hour")}
        for fill in view.get("fills", [])
    ]
    left_out = ("created_at", "updated_at", "priority", "list_price_cny_per_gpu_hour")
    return {**{name: value for name, value in view.items() if name not in left_out}, "fills": fills}


__all__ = ["LIVE", "Checker", "check_history"]
