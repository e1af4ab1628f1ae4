"""What a client sends over the stream, and what it is answered; docs/stream.md tells the whole of it.

What it is told unasked (snapshots, deltas) is in `models`. Orders, changes and filters are those of HTTP, and
so are answers: a request's `Result` has the body that HTTP would have given, or the same problem.
"""

from typing import Annotated, Literal

import msgspec

from exchange.feed.models import CHANNELS_MAX
from exchange.kit.fields import ClientText, OrderIdText, SlugText, exact
from exchange.kit.http_problems import Problem
from exchange.kit.http_request import IDEMPOTENCY_KEY_PATTERN
from exchange.orders.many import OrderOutcome
from exchange.orders.many_models import NewOrders, NewSwitch, SwitchView, WithdrawnView
from exchange.orders.models import AmendOrder, NewOrder, OrderView
from matching.order import Side

MESSAGE_BYTES_MAX = 65_536
BATCH_BYTES_MAX = 1024 * 1024
"""Of a message that places a batch."""
INTERVAL_S_MIN = 5
INTERVAL_S_MAX = 60
PARTITIONS_MAX = 100

Channel = Annotated[
    str, msgspec.Meta(max_length=160, description="orders, trades:<product> or book:<product>")
]
PartitionText = Annotated[
    str, msgspec.Meta(pattern=exact(r"[1-9][0-9]{0,8}"), description="the number of a partition")
]
Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
OnceText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(IDEMPOTENCY_KEY_PATTERN),
        description="1 to 200 printable ASCII characters without spaces",
    ),
]


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that may be sent with an `id`, which its answer then has."""

    id: ClientText | None = None


class Follow(Named, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a reader wants to read. `after`, by partition, is where it had got to on these channels."""

    op: Literal["subscribe", "unsubscribe", "resync", "checksum", "ping"]
    channels: Annotated[list[Channel], msgspec.Meta(max_length=CHANNELS_MAX)] = []
    after: Annotated[dict[PartitionText, Sequence], msgspec.Meta(max_length=PARTITIONS_MAX)] = {}


class Beat(Named, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often both sides say something; 0 for no such promise."""

    op: Literal["heartbeat"]
    interval_s: Annotated[int, msgspec.Meta(ge=0, le=INTERVAL_S_MAX)]


class CancelOnDisconnect(Named, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the orders that were placed over this connection are withdrawn when it ends."""

    op: Literal["cancel_on_disconnect"]
    enabled: bool


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to be done about orders; `id` is the client's, and its answer has it."""

    id: ClientText


class Place(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/orders."""

    op: Literal["place"]
    order: NewOrder


class PlaceBatch(NewOrders, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/orders/batch."""

    id: ClientText
    op: Literal["place_batch"]


class Amend(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PATCH /v1/orders/{id}."""

    op: Literal["amend"]
    order_id: OrderIdText
    changes: AmendOrder
    idempotency_key: OnceText


class Cancel(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """DELETE /v1/orders/{id}."""

    op: Literal["cancel"]
    order_id: OrderIdText


class CancelAll(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """DELETE /v1/orders?product=&side=."""

    op: Literal["cancel_all"]
    product: SlugText | None = None
    side: Side | None = None


class CancelAllAfter(NewSwitch, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /v1/orders/cancel-all-after."""

    id: ClientText
    op: Literal["cancel_all_after"]


class Result(msgspec.Struct, frozen=True, kw_only=True, tag="result", tag_field="event", omit_defaults=True):
    """What came of a request: what it would have been answered over HTTP, under which status.

    `rate_limit` and its policy are the headers of that name; of a refusal, `retry_after_s` says when to come
    back.
    """

    status: int
    id: str | None = None
    replayed: bool | msgspec.UnsetType = msgspec.UNSET
    order: OrderView | None = None
    outcomes: list[OrderOutcome] | None = None
    withdrawn: list[WithdrawnView] | None = None
    switch: SwitchView | None = None
    cancel_on_disconnect: bool | msgspec.UnsetType = msgspec.UNSET
    interval_s: int | None = None
    problem: Problem | None = None
    rate_limit: str | None = None
    rate_limit_policy: str | None = None
    retry_after_s: int | None = None


class ErrorMessage(
    msgspec.Struct, frozen=True, kw_only=True, tag="error", tag_field="event", omit_defaults=True
):
    """Why a message was refused that is no request, or why the connection ends."""

    problem: Problem
    id: str | None = None
