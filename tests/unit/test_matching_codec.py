"""Goal: bytes of commands, events and snapshots survive, are stable, and bad bytes are refused by name."""

import msgspec
import pytest

from matching.book import OrderBook
from matching.codec import decode_command, decode_events, encode_command, encode_events, encode_step
from matching.commands import AdvanceHour, CancelAll, Command, PlaceOrder, ReplaceOrder, SetPhase
from matching.engine import execute
from matching.order import Ask, Bid, FillPolicy, Placement, Side, TimeInForce
from matching.product import Phase, Product
from matching.snapshot import SnapshotError, restore, snapshot

HUGE = 1 << 300 | 5
ASK = Ask(
    order_id=2**62,
    participant=2**62 + 1,
    trade_group=7,
    product="p",
    quantity_gpus=8,
    starts_hour=10,
    ends_hour=20,
    price_ticks=3,
    min_hours=2,
    time_in_force=TimeInForce.GTD,
    expire_hour=15,
    post_only=True,
    is_mask=HUGE,
    needs_mask=1,
)
BID = Bid(
    order_id=4,
    participant=9,
    trade_group=0,
    product="p",
    quantity_gpus=16,
    hours=4,
    earliest_hour=10,
    latest_hour=20,
    limit_ticks=5,
    fill=FillPolicy.ALL_OR_NONE,
    placement=Placement.SINGLE_SITE,
    needs_mask=HUGE,
)


@pytest.mark.parametrize(
    "command",
    [
        PlaceOrder(sequence=1, order=ASK),
        PlaceOrder(sequence=2**62, order=BID),
        ReplaceOrder(sequence=3, order_id=4, participant=9, order=BID),
        CancelAll(sequence=4, participant=9, side=Side.SELL),
        CancelAll(sequence=4, participant=9),
        SetPhase(sequence=5, phase=Phase.CANCEL_ONLY),
        AdvanceHour(sequence=6, hour=9),
    ],
)
def test_a_command_comes_back(command: Command) -> None:
    data = encode_command(command)
    assert decode_command(data) == command
    assert encode_command(decode_command(data)) == data


def test_events_come_back_with_masks_of_any_size() -> None:
    book = OrderBook(Product("p", 8, 0, 1), 5)
    for command in (PlaceOrder(sequence=1, order=ASK), PlaceOrder(sequence=2, order=BID)):
        events = execute(book, command)
        data = encode_events(events)
        assert decode_events(data) == events
        assert encode_events(decode_events(data)) == data


def test_a_step_is_encoded_as_its_command_and_its_events_are() -> None:
    book = OrderBook(Product("p", 8, 0, 1), 5)
    unfit = msgspec.structs.replace(BID, order_id=77, quantity_gpus=7)
    commands: tuple[Command, ...] = (
        PlaceOrder(sequence=1, order=ASK),
        PlaceOrder(sequence=2, order=BID),
        PlaceOrder(sequence=3, order=unfit),
        CancelAll(sequence=4, participant=ASK.participant),
        AdvanceHour(sequence=5, hour=9),
    )
    for command in commands:
        told = execute(book, command)
        assert encode_step(command, told) == (encode_command(command), encode_events(told))


def test_the_bytes_of_events_are_fixed() -> None:
    # A change of these bytes is a change of every journal ever written: it needs a new version.
    book = OrderBook(Product("p", 8, 0, 1), 5)
    data = encode_events(execute(book, SetPhase(sequence=1, phase=Phase.HALTED)))
    assert data == b"\x91\x83\xa4type\xacPhaseChanged\xa8sequence\x01\xa5phase\xa6halted"


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"\x81\xa4type\xa4Nope"])
def test_bad_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_command(data)
    with pytest.raises(msgspec.DecodeError):
        decode_events(data)
    with pytest.raises(SnapshotError):
        restore(data)


def test_a_negative_mask_has_no_encoding() -> None:
    with pytest.raises(ValueError, match="mask"):
        encode_command(PlaceOrder(sequence=1, order=msgspec.structs.replace(BID, is_mask=-1)))


def test_a_snapshot_of_another_version_is_refused() -> None:
    data = snapshot(OrderBook(Product("p", 8, 0, 1), 5))
    other = data.replace(b"\xa7version\x01", b"\xa7version\x02")
    assert other != data
    with pytest.raises(SnapshotError, match="version 2"):
        restore(other)
