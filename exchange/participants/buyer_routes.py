"""Buyers over HTTP, as those who issue vouchers to them find them.

Needs `database` (kit.database.Database) and `clock` (kit.clock.Clock) in the application's state.
"""

from typing import Annotated

import msgspec
from litestar import Controller, get

from exchange.kit.auth import Scope
from exchange.kit.clock import Clock
from exchange.kit.database import Database
from exchange.kit.fields import exact
from exchange.kit.http_auth import requires
from exchange.kit.http_pages import CursorText, Limit, Page, page_of
from exchange.kit.http_request import ApiRequest
from exchange.kit.ids import encode_id
from exchange.participants import rules, service
from exchange.participants.models import BuyerView, Participant

FOUND_DEFAULT = 20

SearchText = Annotated[
    str,
    msgspec.Meta(
        pattern=exact(r"[^\s\x00-\x1f].{0,198}[^\s\x00-\x1f]"),
        description="2 to 200 characters of the name in any case, without blanks around them, or a par_ id",
        examples=["智算"],
    ),
]


class FindBuyers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Query of buyers."""

    search: SearchText
    limit: Limit = FOUND_DEFAULT
    cursor: CursorText | None = None


class BuyersController(Controller):
    """Buyers, for those who issue vouchers."""

    path = "/v1/buyers"
    tags = ("Participants",)
    opt = requires(Scope.ISSUE)

    @get("", opt=requires(Scope.ISSUE, query=FindBuyers), summary="Find buyers")
    async def find(self, request: ApiRequest) -> Page[BuyerView]:
        """Find the buyers that a voucher can be issued to, by a part of their name or by their id.

        Only those that are active: with a key that was not revoked and has not expired over 90 days ago.
        There is no list of them all, and an answer tells no more than an issuer needs.
        """
        query, after_id = request.listed(FindBuyers, "buyers", otherwise=0)
        clock: Clock = request.app.state.clock
        database: Database = request.app.state.database
        async with database.connection() as connection:
            found = await service.find_buyers(
                connection, query.search, after_id=after_id, limit=query.limit + 1
            )
        now_us = clock.now_us()
        return page_of(
            "buyers", found, query.limit, lambda each: (each.id,), lambda each: _view(each, now_us)
        )


def _view(buyer: Participant, now_us: int) -> BuyerView:
    if buyer.region is None or buyer.size_class is None:
        raise TypeError("a buyer has a region and a size class")
    return BuyerView(
        id=encode_id("par", buyer.id),
        name=buyer.name,
        region=buyer.region,
        size_class=buyer.size_class,
        is_startup=rules.is_startup(buyer, now_us),
    )
