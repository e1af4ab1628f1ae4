"""Orders as they come in, as they live in memory, and as they are shown.

`NewOrder` is the wire form, `PlaceRequest` the same with every field parsed to the integers the book works
in, `LiveOrder` the row of `orders` that a partition keeps in memory while the order can still change,
`OrderView` the answer. Prices are ticks (1 tick = 1 fen) per GPU-hour; hours are whole hours since the Unix
epoch.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from exchange.kit.fields import ClientText, CnyText, SlugText, TimeText, VoucherIdText
from exchange.participants.models import Participant
from exchange.products.models import ProductSpec
from exchange.settlement.models import FundedOrder
from exchange.vouchers.models import Share, VoucherRefusal
from matching.order import Side
from matching.product import Collar, Phase

if TYPE_CHECKING:
    from matching.events import Event


class OrderStatus(StrEnum):
    """Where an order stands. The last four are final."""

    ACCEPTED = "accepted"
    RESTING = "resting"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


LIVE_STATUSES = frozenset({OrderStatus.ACCEPTED, OrderStatus.RESTING, OrderStatus.PARTIALLY_FILLED})


class DenialReason(StrEnum):
    """Why an order never reached the book."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    NO_USABLE_VOUCHER = "no_usable_voucher"


class Denial(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a bid never reached its book; stored with it, so that a replay is answered in the same words."""

    reason: DenialReason
    detail: str
    refusals: tuple[VoucherRefusal, ...] = ()


VoucherIds = Annotated[list[VoucherIdText], msgspec.Meta(min_length=1, max_length=50)]

Priority = Literal["kept", "lost"]
"""What an amendment did to an order's place in its queue."""

REPLACED = "replaced"
"""The reason of an order that ended because an amendment put another in its place."""


class NewOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """An order as a participant sends it.

    A sell order (ask) offers `quantity_gpus` over every hour of `[starts_at, ends_at)`. A buy order (bid)
    wants `quantity_gpus` over `hours` contiguous hours inside `[starts_at, ends_at)`; without `hours`, over
    all of it. A gtd order ends when the venue's clock reaches `expires_at`, a whole hour still to come.
    """

    client_order_id: ClientText
    product: SlugText
    side: Side
    quantity_gpus: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    starts_at: TimeText
    ends_at: TimeText
    price_cny_per_gpu_hour: CnyText
    hours: Annotated[int, msgspec.Meta(ge=1, le=8784)] | None = None
    time_in_force: Literal["gtc", "gtd", "ioc", "fok"] = "gtc"
    expires_at: TimeText | None = None
    post_only: bool = False
    fill: Literal["partial", "all_or_none"] | None = None
    placement: Literal["any", "single_site"] | None = None
    require: Annotated[list[Literal["domestic", "state_owned"]], msgspec.Meta(max_length=2)] | None = None
    vouchers: Literal["auto", "none"] | VoucherIds | None = None
    voucher_policy: Literal["only_eligible", "prefer"] | None = None
    min_hours: Annotated[int, msgspec.Meta(ge=1, le=8784)] | None = None
    reserved_for: Annotated[list[Literal["startup"]], msgspec.Meta(max_length=1)] | None = None


class AmendOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be different about an order; what is not named stays.

    A smaller `quantity_gpus` (the new total, filled part included) keeps the order's priority, unless
    vouchers pay a lower rate of the smaller order and what is set aside cannot follow. Anything else
    puts a new order in its place, for what is not filled yet, which queues behind all others of its price.
    With `expected_filled_gpu_hours` nothing is changed where another amount has been filled meanwhile.
    """

    quantity_gpus: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | msgspec.UnsetType = msgspec.UNSET
    starts_at: TimeText | msgspec.UnsetType = msgspec.UNSET
    ends_at: TimeText | msgspec.UnsetType = msgspec.UNSET
    price_cny_per_gpu_hour: CnyText | msgspec.UnsetType = msgspec.UNSET
    hours: Annotated[int, msgspec.Meta(ge=1, le=8784)] | msgspec.UnsetType = msgspec.UNSET
    time_in_force: Literal["gtc", "gtd", "ioc", "fok"] | msgspec.UnsetType = msgspec.UNSET
    expires_at: TimeText | msgspec.UnsetType = msgspec.UNSET
    post_only: bool | msgspec.UnsetType = msgspec.UNSET
    fill: Literal["partial", "all_or_none"] | msgspec.UnsetType = msgspec.UNSET
    placement: Literal["any", "single_site"] | msgspec.UnsetType = msgspec.UNSET
    require: (
        Annotated[list[Literal["domestic", "state_owned"]], msgspec.Meta(max_length=2)] | msgspec.UnsetType
    ) = msgspec.UNSET
    vouchers: Literal["auto", "none"] | VoucherIds | msgspec.UnsetType = msgspec.UNSET
    voucher_policy: Literal["only_eligible", "prefer"] | msgspec.UnsetType = msgspec.UNSET
    min_hours: Annotated[int, msgspec.Meta(ge=1, le=8784)] | msgspec.UnsetType = msgspec.UNSET
    reserved_for: Annotated[list[Literal["startup"]], msgspec.Meta(max_length=1)] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    expected_filled_gpu_hours: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | msgspec.UnsetType = (
        msgspec.UNSET
    )


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The terms of an order that only it and its book care about; stored as they stand in `orders.terms`.

    `expire_hour` is the hour of the venue's clock at whose start a gtd order ends; its book is told the next.
    `shares` is what voucher programmes pay of a bid, set once its money is.
    """

    time_in_force: str = "gtc"
    expire_hour: int = 0
    post_only: bool = False
    fill: str = "partial"
    placement: str = "any"
    require: tuple[str, ...] = ()
    vouchers: Literal["auto", "none"] | tuple[str, ...] = "none"
    voucher_policy: str = "prefer"
    min_hours: int = 1
    reserved_for: tuple[str, ...] = ()
    list_price_ticks: int | None = None
    """Of an ask: its provider's list price of the product as it stood when the ask was placed."""
    shares: tuple[Share, ...] = ()

    @property
    def only_eligible(self) -> bool:
        """Whether the order trades only with providers that all its voucher programmes admit."""
        return self.voucher_policy == "only_eligible" and self.vouchers != "none"


class PlaceRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A valid order of a known participant, ready for its partition.

    `participant` and `product` are the facts by which rules of programmes judge it. As in all requests,
    `received_at_us` is the venue time at which it came; None where nobody sent it.
    """

    order_id: int
    key_id: int
    trade_group_id: int
    client_order_id: str
    fingerprint: bytes
    participant: Participant
    product: ProductSpec
    side: Side
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    hours: int
    price_ticks: int
    terms: OrderTerms
    is_mask: int
    needs_mask: int
    voucher_ids: tuple[int, ...] = ()
    received_at_us: int | None = None

    @property
    def participant_id(self) -> int:
        """Whose order it is."""
        return self.participant.id

    @property
    def product_id(self) -> str:
        """What it trades."""
        return self.product.id


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A participant's wish to withdraw one of its orders; `cause` as in `CancelAllRequest`."""

    order_id: int
    participant_id: int
    key_id: int
    cause: str = ""
    received_at_us: int | None = None


class CancelAllRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A participant's wish to withdraw all its orders in a partition, of one product or side where given.

    `cause` says what else asked for it, as a `Cause`: it is told as the reason for which the orders ended.
    """

    participant_id: int
    key_id: int
    product_id: str | None = None
    side: Side | None = None
    cause: str = ""
    received_at_us: int | None = None


class AmendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A participant's wish to change one of its orders.

    `replacement_id` is the id of the order that takes its place, where one has to. `once_key` and
    `fingerprint` make the wish one however often it is sent; `is_mask` and `list_price_ticks` are what a
    replacement has by the rules of now.
    """

    order_id: int
    replacement_id: int
    participant: Participant
    key_id: int
    product: ProductSpec
    wish: AmendOrder
    is_mask: int
    list_price_ticks: int | None
    once_key: str
    fingerprint: bytes
    received_at_us: int | None = None

    @property
    def participant_id(self) -> int:
        """Whose order it is."""
        return self.participant.id


class PhaseRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An operator's wish to open, restrict or halt a product."""

    product_id: str
    phase: Phase
    reason: str | None
    participant_id: int
    key_id: int
    received_at_us: int | None = None


Request = PlaceRequest | CancelRequest | CancelAllRequest | AmendRequest | PhaseRequest


class Fill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One fill as both its parties see it."""

    trade_id: int
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    price_ticks: int
    voucher_fen: int
    reimbursable_fen: int


class LiveOrder(msgspec.Struct, kw_only=True, gc=False):
    """An order in a partition's memory: a row of `orders`, and a bid's money. Changes only as events say.

    `eligible_fen`: for each share of its terms, the part of what was filled that it pays of. `amendment`
    counts its replacements; the rows around it are named. `collar`: what was let in as its price was not.
    """

    order_id: int
    participant_id: int
    key_id: int
    trade_group_id: int
    client_order_id: str
    fingerprint: bytes
    product_id: str
    side: Side
    quantity_gpus: int
    starts_hour: int
    ends_hour: int
    hours: int
    price_ticks: int
    terms: OrderTerms
    created_at_us: int
    updated_at_us: int
    is_mask: int = 0
    status: OrderStatus = OrderStatus.ACCEPTED
    sequence: int | None = None
    reason: str = ""
    denial: Denial | None = None
    collar: Collar | None = None
    filled_gpus: int = 0
    filled_gpu_hours: int = 0
    filled_notional_fen: int = 0
    eligible_fen: list[int] = []
    run_starts_hour: int | None = None
    amendment: int = 0
    replaces_id: int | None = None
    replaced_by_id: int | None = None
    funded: FundedOrder | None = None
    fills: list[Fill] = []


class Head(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a partition stands: the row that every commit moves.

    `intake_offset` is how far its stream of requests in Redis has been followed, where it has one: a request
    has its effect in the commit that moves the offset past it.
    """

    epoch: int
    last_sequence: int
    last_hash: bytes
    last_event_at_us: int
    intake_offset: str = ""

    @property
    def place(self) -> tuple[int, str]:
        """What differs after every commit that had a command, or a request of the stream."""
        return self.last_sequence, self.intake_offset


class JournalRow(msgspec.Struct, frozen=True, gc=False):
    """One command to one book, the events it had, and the chain's hash after it."""

    sequence: int
    product_id: str
    event_at_us: int
    command: bytes
    events: bytes
    hash: bytes


class Step(msgspec.Struct, frozen=True, gc=False):
    """A command's events as they are told to the world, and as they stand in the journal.

    What events do not say is told beside them: the client order id of the order that the command brought, if
    it brought one, the ids of its trades, in the order of its `Traded` events, and its `CancelRequest.cause`.
    """

    sequence: int
    product_id: str
    event_at_us: int
    events: tuple[Event, ...]
    encoded: bytes = b""
    client_order_id: str = ""
    trade_ids: tuple[int, ...] = ()
    cause: str = ""


class HeldVoucher(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an order still sets aside of one voucher."""

    voucher_id: str
    held_cny: str


class Held(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an order still sets aside."""

    cash_cny: str
    vouchers: list[HeldVoucher]


class FillView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fill in an order's answer: of its price, `voucher_cny` is paid by vouchers.

    `reimbursable_cny` of the buyer's own part can be claimed once the hours are delivered.
    """

    trade_id: str
    quantity_gpus: int
    starts_at: str
    ends_at: str
    price_cny_per_gpu_hour: str
    voucher_cny: str
    reimbursable_cny: str


class ShareView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a voucher programme pays of a bid, under which version of its rules; in spending order.

    `instant`: a part of the price itself; `reimburse`: claimed by the buyer, who pays the price at first.
    """

    programme_id: str
    programme_version: int
    rate_bps: int
    mode: Literal["instant", "reimburse"]


class OrderView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An order as its owner sees it.

    `filled_gpus` and `remaining_gpus` stand for bids, whose GPUs fill for the whole run; an ask sells in time
    as well, so it is told by `filled_gpu_hours` alone. Nothing remains of an order that is over; its
    `quantity_gpus` is what was wanted last. `shares` name the programmes that pay for a bid, and the rules
    under which its vouchers are held. `list_price_cny_per_gpu_hour` is what the provider of an ask had as its
    list price when it was placed. An order that was replaced is over, with its own fills; the one that it
    names in `replaced_by` goes on for it. `priority` stands in the answer to an amendment.
    """

    id: str
    client_order_id: str
    product: str
    side: Side
    status: OrderStatus
    reason: str
    quantity_gpus: int
    starts_at: str
    ends_at: str
    hours: int
    price_cny_per_gpu_hour: str
    time_in_force: str
    filled_gpu_hours: int
    created_at: str
    updated_at: str
    post_only: bool
    sequence: int | None = None
    expires_at: str | None = None
    filled_gpus: int | None = None
    remaining_gpus: int | None = None
    average_price_cny_per_gpu_hour: str | None = None
    run_starts_at: str | None = None
    fill: str | None = None
    placement: str | None = None
    require: tuple[str, ...] | None = None
    vouchers: Literal["auto", "none"] | tuple[str, ...] | None = None
    voucher_policy: str | None = None
    shares: list[ShareView] | None = None
    min_hours: int | None = None
    reserved_for: tuple[str, ...] | None = None
    list_price_cny_per_gpu_hour: str | None = None
    held: Held | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    priority: Priority | None = None
    fills: list[FillView] = []


class PlacedOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What came of placing or amending an order, and whether this was a replay of an earlier answer."""

    view: OrderView
    replayed: bool
