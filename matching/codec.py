"""Bytes for commands and events: MessagePack maps tagged with the class name, byte-stable.

Eligibility masks are ints of any size and MessagePack ends at 64 bits, so the encoded form writes them as
lower-case hexadecimal text. A fault in the bytes raises `msgspec.DecodeError` (or its subclass
`ValidationError`).
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from matching import commands, events
from matching.order import Ask, AskTerms, Bid, BidTerms, Order

HexMask = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]+$")]


class WireAsk(AskTerms, frozen=True, kw_only=True, gc=False, tag="Ask"):
    """An ask as it is encoded."""

    is_mask: HexMask
    needs_mask: HexMask


class WireBid(BidTerms, frozen=True, kw_only=True, gc=False, tag="Bid"):
    """A bid as it is encoded."""

    is_mask: HexMask
    needs_mask: HexMask


WireOrder = WireAsk | WireBid


class WirePlaceOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="PlaceOrder"):
    """PlaceOrder as it is encoded."""

    sequence: int
    order: WireOrder


class WireReplaceOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="ReplaceOrder"):
    """ReplaceOrder as it is encoded."""

    sequence: int
    order_id: int
    participant: int
    order: WireOrder


class WireOrderAccepted(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="OrderAccepted"):
    """OrderAccepted as it is encoded."""

    sequence: int
    order: WireOrder


class _PlaceOrderOf(msgspec.Struct, frozen=True, gc=False, tag="PlaceOrder"):
    """PlaceOrder with an order that is encoded already."""

    sequence: int
    order: msgspec.Raw


class _OrderAcceptedOf(msgspec.Struct, frozen=True, gc=False, tag="OrderAccepted"):
    """OrderAccepted with an order that is encoded already."""

    sequence: int
    order: msgspec.Raw


_WireCommand = (
    WirePlaceOrder
    | WireReplaceOrder
    | commands.CancelOrder
    | commands.ReduceOrder
    | commands.CancelAll
    | commands.AdvanceHour
    | commands.SetPhase
)
_WireEvent = (
    WireOrderAccepted
    | events.OrderRested
    | events.Traded
    | events.OrderReduced
    | events.OrderReplaced
    | events.OrderCancelled
    | events.OrderExpired
    | events.OrderRejected
    | events.SelfTradePrevented
    | events.HourAdvanced
    | events.PhaseChanged
)
_ENCODER = msgspec.msgpack.Encoder()
_COMMAND_DECODER: msgspec.msgpack.Decoder[_WireCommand] = msgspec.msgpack.Decoder(_WireCommand)
_EVENTS_DECODER: msgspec.msgpack.Decoder[list[_WireEvent]] = msgspec.msgpack.Decoder(list[_WireEvent])


def to_wire(order: Order) -> WireOrder:
    """Return the form of an order that is encoded."""
    if isinstance(order, Ask):
        return WireAsk(
            order_id=order.order_id,
            participant=order.participant,
            trade_group=order.trade_group,
            product=order.product,
            quantity_gpus=order.quantity_gpus,
            starts_hour=order.starts_hour,
            ends_hour=order.ends_hour,
            price_ticks=order.price_ticks,
            min_hours=order.min_hours,
            time_in_force=order.time_in_force,
            expire_hour=order.expire_hour,
            post_only=order.post_only,
            is_mask=f"{order.is_mask:x}",
            needs_mask=f"{order.needs_mask:x}",
        )
    return WireBid(
        order_id=order.order_id,
        participant=order.participant,
        trade_group=order.trade_group,
        product=order.product,
        quantity_gpus=order.quantity_gpus,
        hours=order.hours,
        earliest_hour=order.earliest_hour,
        latest_hour=order.latest_hour,
        limit_ticks=order.limit_ticks,
        fill=order.fill,
        placement=order.placement,
        time_in_force=order.time_in_force,
        expire_hour=order.expire_hour,
        post_only=order.post_only,
        is_mask=f"{order.is_mask:x}",
        needs_mask=f"{order.needs_mask:x}",
    )


def from_wire(wire: WireOrder) -> Order:
    """Return the order that `to_wire` was given."""
    is_mask = int(wire.is_mask, 16)
    needs_mask = int(wire.needs_mask, 16)
    if isinstance(wire, WireAsk):
        return Ask(
            order_id=wire.order_id,
            participant=wire.participant,
            trade_group=wire.trade_group,
            product=wire.product,
            quantity_gpus=wire.quantity_gpus,
            starts_hour=wire.starts_hour,
            ends_hour=wire.ends_hour,
            price_ticks=wire.price_ticks,
            min_hours=wire.min_hours,
            time_in_force=wire.time_in_force,
            expire_hour=wire.expire_hour,
            post_only=wire.post_only,
            is_mask=is_mask,
            needs_mask=needs_mask,
        )
    return Bid(
        order_id=wire.order_id,
        participant=wire.participant,
        trade_group=wire.trade_group,
        product=wire.product,
        quantity_gpus=wire.quantity_gpus,
        hours=wire.hours,
        earliest_hour=wire.earliest_hour,
        latest_hour=wire.latest_hour,
        limit_ticks=wire.limit_ticks,
        fill=wire.fill,
        placement=wire.placement,
        time_in_force=wire.time_in_force,
        expire_hour=wire.expire_hour,
        post_only=wire.post_only,
        is_mask=is_mask,
        needs_mask=needs_mask,
    )


def encode_command(command: commands.Command) -> bytes:
    """Return the bytes of one command; negative masks, which no book accepts, raise ValueError."""
    if isinstance(command, commands.PlaceOrder):
        return _ENCODER.encode(WirePlaceOrder(sequence=command.sequence, order=_checked(command.order)))
    if isinstance(command, commands.ReplaceOrder):
        return _ENCODER.encode(
            WireReplaceOrder(
                sequence=command.sequence,
                order_id=command.order_id,
                participant=command.participant,
                order=_checked(command.order),
            )
        )
    return _ENCODER.encode(command)


def decode_command(data: bytes) -> commands.Command:
    """Return the command that `encode_command` was given."""
    wire = _COMMAND_DECODER.decode(data)
    if isinstance(wire, WirePlaceOrder):
        return commands.PlaceOrder(sequence=wire.sequence, order=from_wire(wire.order))
    if isinstance(wire, WireReplaceOrder):
        return commands.ReplaceOrder(
            sequence=wire.sequence,
            order_id=wire.order_id,
            participant=wire.participant,
            order=from_wire(wire.order),
        )
    return wire


def encode_events(sequence_of_events: Sequence[events.Event]) -> bytes:
    """Return the bytes of a command's events, in order."""
    return _ENCODER.encode(
        [
            WireOrderAccepted(sequence=event.sequence, order=to_wire(event.order))
            if isinstance(event, events.OrderAccepted)
            else event
            for event in sequence_of_events
        ]
    )


def encode_step(command: commands.Command, told: Sequence[events.Event]) -> tuple[bytes, bytes]:
    """Return the bytes of a command and of its events, as the two functions above do.

    An order that the command brings and its first event tells of is encoded once.
    """
    if type(command) is commands.PlaceOrder and type(told[0]) is events.OrderAccepted:
        order = command.order
        if told[0].order is order:
            raw = msgspec.Raw(_ENCODER.encode(_checked(order)))
            accepted = _OrderAcceptedOf(told[0].sequence, raw)
            return (
                _ENCODER.encode(_PlaceOrderOf(command.sequence, raw)),
                _ENCODER.encode([accepted, *told[1:]]),
            )
    return encode_command(command), encode_events(told)


def decode_events(data: bytes) -> tuple[events.Event, ...]:
    """Return the events that `encode_events` was given."""
    return tuple(
        events.OrderAccepted(sequence=wire.sequence, order=from_wire(wire.order))
        if isinstance(wire, WireOrderAccepted)
        else wire
        for wire in _EVENTS_DECODER.decode(data)
    )


def _checked(order: Order) -> WireOrder:
    if order.is_mask < 0 or order.needs_mask < 0:
        raise ValueError("a mask is not negative")
    return to_wire(order)
