"""What each caller asked and was told, and when by the one clock of all callers.

A request that got no answer stays on record: it may have had its effect, once. One that was told `unknown` is
the same. Times are of the callers' process: `sent_ns` before the first byte left, `answered_ns` after the
last one of the answer was read; so of two requests the one answered before the other was sent came first.
"""

import time
from typing import Any, Literal

import msgspec

from exchange.kit.ids import decode_id
from tests.plain_http import Line, Lost

Kind = Literal["place", "batch", "cancel", "cancel_all", "amend", "get"]
PATHS: dict[Kind, tuple[str, str]] = {
    "place": ("POST", "/v1/orders"),
    "batch": ("POST", "/v1/orders/batch"),
    "cancel": ("DELETE", "/v1/orders/{order_id}"),
    "cancel_all": ("DELETE", "/v1/orders{query}"),
    "amend": ("PATCH", "/v1/orders/{order_id}"),
    "get": ("GET", "/v1/orders/{order_id}"),
}


class Trader(msgspec.Struct, frozen=True, kw_only=True):
    """A participant that trades: its numeric id, its key, and the money it was given."""

    participant_id: int
    key: str
    is_buyer: bool
    deposit_fen: int = 0


class Asked(msgspec.Struct, kw_only=True):
    """A request, and its answer once there is one. `fields` are those of its path, `sent` its body."""

    trader: Trader
    kind: Kind
    sent_ns: int
    fields: dict[str, str] = {}
    sent: Any = None
    once_key: str = ""
    answered_ns: int | None = None
    status: int | None = None
    replayed: bool = False
    told: Any = None

    @property
    def order_id(self) -> int:
        """The order that the path names."""
        return order_number(self.fields["order_id"])

    @property
    def may_be_done(self) -> bool:
        """Whether what came of it is not told: no answer, or one that says unknown, or done and no more."""
        if self.status is None:
            return True
        return self.status >= 500 and self.told["outcome"] != "not_applied"


class History:
    """Everything that was asked, in the order in which it was sent."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    async def ask(
        self,
        line: Line,
        trader: Trader,
        kind: Kind,
        *,
        fields: dict[str, str] | None = None,
        sent: Any = None,
        once_key: str = "",
    ) -> Asked:
        """Send a request on a line and put it on record with what is answered; a lost one too."""
        asked = Asked(
            trader=trader, kind=kind, fields=fields or {}, sent=sent, once_key=once_key, sent_ns=now_ns()
        )
        self.asked.append(asked)
        method, path = PATHS[kind]
        headers = {"Content-Type": "application/json"} if sent is not None else {}
        if once_key:
            headers["Idempotency-Key"] = once_key
        try:
            answer = await line.send(
                method, path.format(**asked.fields), key=trader.key, body=sent, headers=headers
            )
        except Lost:
            return asked
        asked.answered_ns = now_ns()
        asked.told = answer.json()
        asked.replayed = answer.headers.get("idempotent-replayed") == "true"
        asked.status = answer.status
        return asked


def now_ns() -> int:
    """The callers' clock."""
    return time.monotonic_ns()


def order_number(text: str) -> int:
    """The number of an order's id."""
    number = decode_id("ord", text)
    assert number is not None, f"{text} is no order's id"
    return number
