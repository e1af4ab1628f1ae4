"""Leases over HTTP. Of the application's state: `database`, `clock` and `products`."""

from typing import Annotated

import msgspec
from litestar import Controller, get, post
from litestar.params import FromPath, JSONBody

from exchange.kit.auth import Scope
from exchange.kit.clock import Clock
from exchange.kit.database import Database
from exchange.kit.fields import SlugText
from exchange.kit.http_auth import requires
from exchange.kit.http_pages import LIMIT_DEFAULT, CursorText, Limit, Page, Part, as_it_is, page_of, place_in
from exchange.kit.http_path import id_in_path
from exchange.kit.http_request import ApiRequest
from exchange.products.naming import check_product
from exchange.settlement.leases import get_delivery, get_lease, page_of_leases, report_outage
from exchange.settlement.models import LeaseDelivery, LeaseStatus, LeaseView, NewOutage

_LATEST_ID = 2**63 - 1


class ListLeases(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which leases to list."""

    product: SlugText | None = None
    status: Annotated[list[LeaseStatus], msgspec.Meta(max_length=len(LeaseStatus))] | None = None
    limit: Limit = LIMIT_DEFAULT
    cursor: CursorText | None = None


def _database(request: ApiRequest) -> Database:
    database: Database = request.app.state.database
    return database


def _now_us(request: ApiRequest) -> int:
    clock: Clock = request.app.state.clock
    return clock.now_us()


def _lease_id(text: str) -> int:
    return id_in_path("lse", text, "no such lease")


class LeasesController(Controller):
    """What was bought and sold, hour by hour."""

    path = "/v1/leases"
    tags = ("Leases",)
    opt = requires(Scope.READ)

    @get("", opt=requires(Scope.READ, query=ListLeases), summary="List own leases, newest first")
    async def list_leases(self, request: ApiRequest) -> Page[LeaseView]:
        """Leases in which the caller is buyer or provider: all, or of a product, or of some statuses now."""
        query, faults = request.query_with_holes(ListLeases)
        check_product(faults, request.app.state.products, query.product)
        before_id = place_in("leases", query.cursor, Part.ID, otherwise=_LATEST_ID, faults=faults)
        faults.raise_if_any()
        async with _database(request).connection() as connection:
            leases = await page_of_leases(
                connection,
                request.principal,
                before_id=before_id,
                limit=query.limit + 1,
                now_us=_now_us(request),
                product_id=query.product,
                statuses=query.status,
            )
        return page_of("leases", leases, query.limit, lambda lease: (_lease_id(lease.id),), as_it_is)

    @get("/{lease_id:str}", summary="Get an own lease")
    async def get_lease(self, request: ApiRequest, lease_id: FromPath[str]) -> LeaseView:
        """The lease with what it has paid out and given back so far."""
        async with _database(request).connection() as connection:
            return await get_lease(connection, request.principal, _lease_id(lease_id), _now_us(request))

    @get("/{lease_id:str}/delivery", summary="Get an own lease hour by hour")
    async def get_delivery(self, request: ApiRequest, lease_id: FromPath[str]) -> LeaseDelivery:
        """Each hour: pending until it is settled, then delivered or failed."""
        async with _database(request).connection() as connection:
            return await get_delivery(connection, request.principal, _lease_id(lease_id))

    @post(
        "/{lease_id:str}/outages",
        opt=requires(Scope.LIST_CAPACITY, keep_faults=True),
        summary="Report hours as not delivered",
        status_code=201,
    )
    async def report_outage(
        self, request: ApiRequest, lease_id: FromPath[str], data: JSONBody[NewOutage]
    ) -> LeaseDelivery:
        """The provider's own word: the hours' money goes back to the buyer. An hour reported twice is one."""
        async with _database(request).transaction() as connection:
            return await report_outage(
                connection, request.principal, _lease_id(lease_id), data, _now_us(request), request.faults
            )
