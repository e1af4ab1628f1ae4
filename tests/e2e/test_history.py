"""Goal: every answer that a caller ever gets fits one order of events, the journal's, and the order of time.

Method: eight participants on sixteen connections do everything that can be done with orders, while the server
and they themselves cut connections at random and hours pass; every request and answer is put on record.
Then the journal is carried out again by the reference book, and each answer held against that, as
`tests.history` says.
The checker is tried on histories with planted lies, because one that finds nothing proves nothing.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from random import Random

import msgspec
import pytest

from exchange.kit.fields import format_hour
from matching.commands import CancelOrder, PlaceOrder, ReduceOrder
from tests.e2e.served import Served, served
from tests.history.check import check_history
from tests.history.journal import Journal, Unfit, read_journal
from tests.history.record import Asked, History
from tests.history.stage import Operator
from tests.history.traffic import Traffic, Worker
from tests.hypothesis_profiles import NIGHTLY_FACTOR, is_long, sampled
from tests.plain_http import Line

SEED = 20261128
HOURS = 4
ANSWERS_AN_HOUR = 350


async def cut_connections(house: Served, rng: Random) -> None:
    """Cut one connection after another at the server's end, for ever."""
    while True:
        await asyncio.sleep(rng.uniform(0.01, 0.1))
        if connections := list(house.wire.connections):
            rng.choice(connections).transport.abort()


async def recorded(house: Served) -> History:
    """Let everybody trade for some hours, and return what was asked and told."""
    history, http = History(), house.http.base_url

    def line() -> Line:
        return Line(http.host, http.port or 0)

    with Operator(line(), house.operator.key) as operator:
        traders, products = await operator.traders(), await operator.products()
    traffic = Traffic(history, traders, line, lambda: house.clock.hour() + 1, products, seed=SEED)
    hours = HOURS * (NIGHTLY_FACTOR if is_long() else 1)
    async with traffic.running():
        cutting = asyncio.create_task(cut_connections(house, Random(SEED)))
        for _ in range(hours):
            await traffic.until(ANSWERS_AN_HOUR)
            house.pass_hours(1)
        cutting.cancel()
    await _reduce_one(history, traffic, line())
    return history


async def _reduce_one(history: History, traffic: Traffic, line: Line) -> None:
    """Make an ask smaller that nothing happens to any more, and place another after it."""
    provider = next(each for each in traffic.traders if not each.is_buyer)
    worker = Worker(traffic, provider, line, Random(SEED), "last")
    # Beyond all that others bid for.
    begins = traffic.first_hour() + 100
    window = {"starts_at": format_hour(begins), "ends_at": format_hour(begins + 2)}
    rests = window | {"quantity_gpus": 6, "time_in_force": "gtc", "post_only": True}
    placed = await history.ask(line, provider, "place", sent=worker.order() | rests)
    assert placed.status == 201
    reduced = await history.ask(
        line,
        provider,
        "amend",
        fields={"order_id": placed.told["id"]},
        sent={"quantity_gpus": 2},
        once_key="last",
    )
    assert reduced.status == 200
    later = await history.ask(line, provider, "place", sent=worker.order() | rests)
    assert later.status == 201
    line.cut()


class Recorded(msgspec.Struct):
    """A history and the journal beside it."""

    history: History
    journal: Journal


@pytest.fixture(scope="module")
async def kept(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recorded]:
    async with served(module_database_url, tmp_path_factory.mktemp("history")) as house:
        history = await recorded(house)
        await house.exchange.orders.verify()
        yield Recorded(history, await read_journal(house.exchange.database))


async def test_every_answer_fits_the_journal_in_an_order_of_time_that_can_be(kept: Recorded) -> None:
    check_history(kept.history, deepcopy(kept.journal))
    done = {(asked.kind, asked.status) for asked in kept.history.asked}
    for kind, status in (
        *(("place", 201), ("place", 402), ("place", 409), ("place", 422), ("batch", 200), ("get", 200)),
        *(("cancel", 200), ("cancel", 404), ("cancel", 409), ("cancel_all", 200), ("amend", 200)),
        *(("place", None), ("cancel", None), ("amend", None), ("amend", 409)),
    ):
        assert (kind, status) in done, f"{kind} never came to {status}"
    assert any(asked.replayed for asked in kept.history.asked)
    assert len(kept.journal.trades) > 50


def _first(history: History, kind: str, status: int, *, last: bool = False) -> Asked:
    found = [each for each in history.asked if (each.kind, each.status) == (kind, status)]
    return found[-1] if last else next(each for each in found if not each.replayed)


def another_status(history: History, _: Journal) -> None:
    _first(history, "place", 201).told["status"] = "expired"


def another_fill(history: History, _: Journal) -> None:
    fills = (each.told.get("fills") for each in history.asked if each.status == 201)
    next(fill for fill in fills if fill)[0]["quantity_gpus"] += 1


def done_twice(history: History, _: Journal) -> None:
    history.asked.append(deepcopy(_first(history, "place", 201)))


def refused_and_done(history: History, _: Journal) -> None:
    asked = _first(history, "place", 201)
    name = asked.sent["client_order_id"]
    others = [each for each in history.asked if each is not asked and each.kind == "place"]
    history.asked = [asked, *(each for each in others if each.sent["client_order_id"] != name)]
    asked.status, asked.told = 422, {"outcome": "not_applied", "code": "invalid_body"}


def placed_by_nobody(history: History, _: Journal) -> None:
    name = _first(history, "place", 201).sent["client_order_id"]
    history.asked = [
        each
        for each in history.asked
        if each.kind not in {"place", "batch"}
        or name not in {order["client_order_id"] for order in each.sent.get("orders", [each.sent])}
    ]


def cancelled_by_nobody(history: History, _: Journal) -> None:
    order_id = _first(history, "cancel", 200).fields["order_id"]
    history.asked = [
        each for each in history.asked if each.kind != "cancel" or each.fields["order_id"] != order_id
    ]


def one_withdrawn_less(history: History, _: Journal) -> None:
    asked = [each for each in history.asked if each.kind == "cancel_all" and each.status == 200]
    max(asked, key=lambda each: len(each.told["data"])).told["data"].pop()


def poorer_than_told(history: History, _: Journal) -> None:
    asked = _first(history, "place", 402)
    asked.told["detail"] = asked.told["detail"].replace("CNY, of which ", "CNY, of which 1")


def own_order_not_found(history: History, _: Journal) -> None:
    _first(history, "get", 200).status = 404


def answered_before_it_was_done(history: History, _: Journal) -> None:
    first, last = _first(history, "place", 201), _first(history, "place", 201, last=True)
    last.sent_ns, last.answered_ns = first.sent_ns - 2, first.sent_ns - 1


def told_what_was_long_ago(history: History, _: Journal) -> None:
    cancelled = {each.told["id"] for each in history.asked if (each.kind, each.status) == ("cancel", 200)}
    placed = next(
        each
        for each in history.asked
        if each.status == 201 and each.told["id"] in cancelled and each.told["status"] == "resting"
    )
    end_ns = max(each.answered_ns or each.sent_ns for each in history.asked) + 1
    history.asked.append(
        Asked(
            trader=placed.trader,
            kind="get",
            fields={"order_id": placed.told["id"]},
            sent_ns=end_ns,
            answered_ns=end_ns + 1,
            status=200,
            told=placed.told,
        )
    )


def one_row_less(_: History, journal: Journal) -> None:
    del journal.entries[len(journal.entries) // 2]


def an_order_placed_twice(_: History, journal: Journal) -> None:
    place, entry = next(
        (place, entry) for place, entry in enumerate(journal.entries) if isinstance(entry.command, PlaceOrder)
    )
    journal.entries[place + 1] = msgspec.structs.replace(entry, sequence=entry.sequence + 1)


def a_cancel_of_another(_: History, journal: Journal) -> None:
    place, command = next(
        (place, entry.command)
        for place, entry in enumerate(journal.entries)
        if isinstance(entry.command, CancelOrder)
    )
    other = msgspec.structs.replace(command, participant=command.participant + 1)
    journal.entries[place] = msgspec.structs.replace(journal.entries[place], command=other)


def a_row_of_a_stale_epoch(_: History, journal: Journal) -> None:
    place = len(journal.entries) // 2
    journal.entries[place] = msgspec.structs.replace(journal.entries[place], epoch=99)


def a_trade_less(_: History, journal: Journal) -> None:
    journal.trades.pop()


LIES: tuple[Callable[[History, Journal], None], ...] = (
    another_status,
    another_fill,
    done_twice,
    refused_and_done,
    placed_by_nobody,
    cancelled_by_nobody,
    one_withdrawn_less,
    poorer_than_told,
    own_order_not_found,
    answered_before_it_was_done,
    told_what_was_long_ago,
    one_row_less,
    an_order_placed_twice,
    a_cancel_of_another,
    a_row_of_a_stale_epoch,
    a_trade_less,
)


@pytest.mark.parametrize("lie", sampled(LIES, first=2), ids=lambda lie: lie.__name__)
async def test_a_planted_lie_is_found(kept: Recorded, lie: Callable[[History, Journal], None]) -> None:
    history, journal = deepcopy((kept.history, kept.journal))
    lie(history, journal)
    with pytest.raises(Unfit):
        check_history(history, journal)


async def test_what_nobody_knew_may_be_done_later(kept: Recorded) -> None:
    history, journal = deepcopy((kept.history, kept.journal))
    asked = _first(history, "place", 201, last=True)
    answered_before_it_was_done(history, journal)
    asked.status, asked.told = 503, {"outcome": "unknown", "code": "not_committed"}
    check_history(history, journal)


def _found_as_it_wished(kept: Recorded, once_key: str) -> tuple[History, Journal]:
    """Lose the answer of the amendment that changed an order last, and ask for the same in the end."""
    history, journal = deepcopy((kept.history, kept.journal))
    again = deepcopy(journal)
    again.tell()
    reduced_last = {
        (entry.command.order_id, entry.command.quantity_gpus)
        for entry in journal.entries
        if isinstance(entry.command, ReduceOrder)
        and again.stories[entry.command.order_id].states[-1][0] == entry.sequence
    }
    wishes = [
        (each, (each.order_id, each.sent.get("quantity_gpus")))
        for each in history.asked
        if each.kind == "amend"
    ]
    keys = defaultdict(set)
    for each, wish in wishes:
        keys[wish].add(each.once_key)
    did_it = next(
        each
        for each, wish in wishes
        if each.status == 200
        and wish in reduced_last
        and len(keys[wish]) == 1  # nobody else may have done it
        if each.told["priority"] == "kept" and not each.replayed
    )
    end_ns = max(each.answered_ns or each.sent_ns for each in history.asked) + 1
    history.asked.append(
        msgspec.structs.replace(
            did_it, sent_ns=end_ns, answered_ns=end_ns + 1, once_key=once_key or did_it.once_key
        )
    )
    did_it.status = did_it.answered_ns = did_it.told = None
    return history, journal


async def test_a_reduction_may_be_that_of_a_lost_request_for_the_same(kept: Recorded) -> None:
    """The one that was answered found the order as it wished it, and did nothing."""
    check_history(*_found_as_it_wished(kept, "another"))


async def test_under_one_key_what_a_lost_request_did_is_told_as_a_replay(kept: Recorded) -> None:
    with pytest.raises(Unfit):
        check_history(*_found_as_it_wished(kept, ""))
