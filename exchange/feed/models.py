"""Market data as it is kept and as it is told. Nobody is named in public data.

`TapeTrade` and `MinuteVolume` are what memory keeps. The `*View` structs are REST answers. What follows them
is the stream: per channel and partition a `Snapshot`, then deltas that each name the sequence they follow.
Prices are decimal CNY per GPU-hour; null means that there is none.
"""

import msgspec

STREAM_PATH = "/v1/stream"
CHANNELS_MAX = 200
ORDERS_CHANNEL = "orders"
TRADES_CHANNEL = "trades:"


class TapeTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A trade as the public sees it; `number` counts from 1 within its sequence."""

    partition_id: int
    sequence: int
    number: int
    traded_at_us: int
    price_ticks: int
    quantity_gpus: int
    starts_hour: int
    hours: int
    aggressor: str

    @property
    def gpu_hours(self) -> int:
        """The trade's volume."""
        return self.quantity_gpus * self.hours


class MinuteVolume(msgspec.Struct, kw_only=True, gc=False):
    """What traded in one minute of venue time."""

    minute: int
    trades: int = 0
    gpu_hours: int = 0
    notional_fen: int = 0
    low_ticks: int = 0
    high_ticks: int = 0
    open_ticks: int = 0


class CalendarHourView(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery hour: cheapest ask, dearest bid that could use it, and the GPUs free at any price."""

    starts_at: str
    ask_cny_per_gpu_hour: str | None
    bid_cny_per_gpu_hour: str | None
    free_gpus: int


class CalendarView(msgspec.Struct, frozen=True, kw_only=True):
    """Prices hour by hour; `sequence` is that of the book's last event."""

    product: str
    sequence: int
    starts_at: str
    ends_at: str
    hours: list[CalendarHourView]


class DepthLevelView(msgspec.Struct, frozen=True, kw_only=True):
    """GPUs at one price, and with all cheaper ones, for the whole run."""

    price_cny_per_gpu_hour: str
    quantity_gpus: int
    cumulative_gpus: int
    cumulative_cny: str


class DepthView(msgspec.Struct, frozen=True, kw_only=True):
    """What a bid of nobody in particular would fill now; without fills the run is the start of the window."""

    product: str
    sequence: int
    starts_at: str
    ends_at: str
    hours: int
    filled_gpus: int
    average_price_cny_per_gpu_hour: str | None
    notional_cny: str
    levels: list[DepthLevelView]


class TradeView(msgspec.Struct, frozen=True, kw_only=True):
    """A trade on the tape; (sequence, number) is its place in the product's history."""

    sequence: int
    number: int
    traded_at: str
    price_cny_per_gpu_hour: str
    quantity_gpus: int
    starts_at: str
    ends_at: str
    gpu_hours: int
    aggressor: str


class TapeView(msgspec.Struct, frozen=True, kw_only=True):
    """The latest trades, newest first."""

    product: str
    data: list[TradeView]


class SummaryView(msgspec.Struct, frozen=True, kw_only=True):
    """A product's market in one line.

    The best prices are those of the next 24 delivery hours; figures named `_24h` are of the last 24 hours of
    trading, to the minute: the change is from their first price, `open_24h`, to the last one, and `vwap_24h`
    is their volume-weighted average price.
    """

    product: str
    accelerator: str
    origin: str
    hub: str
    phase: str
    last_price_cny_per_gpu_hour: str | None
    last_traded_at: str | None
    best_ask_cny_per_gpu_hour: str | None
    best_bid_cny_per_gpu_hour: str | None
    low_24h_cny_per_gpu_hour: str | None
    high_24h_cny_per_gpu_hour: str | None
    open_24h_cny_per_gpu_hour: str | None
    change_24h_cny_per_gpu_hour: str | None
    change_24h_percent: str | None
    vwap_24h_cny_per_gpu_hour: str | None
    trades_24h: int
    gpu_hours_24h: int
    notional_24h_cny: str


class TickerView(SummaryView, frozen=True, kw_only=True):
    """A product's market, with the next 24 delivery hours one by one."""

    next_hours: list[CalendarHourView]


class MarketView(msgspec.Struct, frozen=True, kw_only=True):
    """Every product that has orders or has traded."""

    data: list[SummaryView]


class OwnOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the reader's live orders, in a snapshot; `filled_gpus` is of bids."""

    order_id: str
    client_order_id: str
    product: str
    side: str
    status: str
    quantity_gpus: int
    starts_at: str
    ends_at: str
    hours: int
    price_cny_per_gpu_hour: str
    filled_gpu_hours: int
    filled_gpus: int | None = None


class OrderNews(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to one of the reader's orders, by the command of a sequence.

    `kind` is accepted, rested, traded, reduced, replaced, cancelled, expired, rejected or
    self_trade_prevented. A trade tells a bid's `remaining_gpus` and an ask's `remaining_gpu_hours`; an order
    has ended when a trade leaves it nothing, or with replaced, cancelled or expired. Rejected is an order
    that never came into the book, or an amendment of one that stays as it was. `client_order_id` comes
    with accepted, `trade_id` with traded.
    """

    order_id: str
    kind: str
    sequence: int
    product: str
    at: str
    client_order_id: str | None = None
    trade_id: str | None = None
    side: str | None = None
    reason: str | None = None
    replacement_order_id: str | None = None
    quantity_gpus: int | None = None
    price_cny_per_gpu_hour: str | None = None
    starts_at: str | None = None
    ends_at: str | None = None
    hours: int | None = None
    remaining_gpus: int | None = None
    remaining_gpu_hours: int | None = None


class PartitionOrders(msgspec.Struct, frozen=True, kw_only=True):
    """A participant's live orders in one partition, as of a sequence.

    `not_resumed` says why they are told although the reader asked for what came after a sequence.
    """

    partition_id: int
    sequence: int
    orders: list[OwnOrder]
    is_complete: bool
    not_resumed: str | None = None


class PartitionNews(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a participant's orders in one partition after one sequence and through another."""

    partition_id: int
    after: int
    sequence: int
    news: list[OrderNews]


class Snapshot(
    msgspec.Struct, frozen=True, kw_only=True, tag="snapshot", tag_field="event", omit_defaults=True
):
    """A channel as of a sequence of a partition; `trades` or `orders`.

    `not_resumed` stands in one that is given instead of what came after a sequence: ahead, where the
    partition has not reached that yet, or too_many, where too much has come since.
    """

    channel: str
    partition: int
    sequence: int
    trades: list[TradeView] | None = None
    orders: list[OwnOrder] | None = None
    is_complete: bool | None = None
    not_resumed: str | None = None


class Delta(msgspec.Struct, frozen=True, kw_only=True, tag="delta", tag_field="event", omit_defaults=True):
    """What was added to a channel after `prev_sequence` of a partition and through `sequence`."""

    channel: str
    partition: int
    prev_sequence: int
    sequence: int
    trades: list[TradeView] | None = None
    orders: list[OrderNews] | None = None


class Resumed(msgspec.Struct, frozen=True, kw_only=True, tag="resumed", tag_field="event"):
    """The reader has everything of a channel through this sequence of a partition, and goes on from there."""

    channel: str
    partition: int
    sequence: int


class Unsubscribed(
    msgspec.Struct, frozen=True, kw_only=True, tag="unsubscribed", tag_field="event", omit_defaults=True
):
    """These channels will say nothing more."""

    channels: list[str]
    id: str | None = None


class Pong(msgspec.Struct, frozen=True, kw_only=True, tag="pong", tag_field="event", omit_defaults=True):
    """The answer to a ping."""

    id: str | None = None


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, tag="heartbeat", tag_field="event"):
    """There was nothing else to say."""


class ServerShutdown(msgspec.Struct, frozen=True, kw_only=True, tag="server_shutdown", tag_field="event"):
    """The exchange stops; connect again."""
