"""Where an order is traded: by the books in memory, which have every order that is live, or by the tables.

Whoever cancels or amends names an order by its id alone, and its partition must be known before the request
can be queued. An order never changes its product, so what a book says stays true; one that no book has may
still be anybody's, and the tables know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exchange.kit.errors import NotFound, Unavailable
from exchange.orders import store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exchange.kit.database import Database
    from exchange.orders.leader import Leader
    from exchange.products.models import ProductSpec


class OrderPlaces:
    """Finds the partitions and products of orders."""

    def __init__(
        self, database: Database, products: Mapping[str, ProductSpec], leaders: Mapping[int, Leader]
    ) -> None:
        self._database = database
        self._products = products
        self._leaders = leaders

    async def of(self, participant_id: int, order_id: int) -> tuple[int, str]:
        """(partition, product) of an order of the participant; raises `NotFound`.

        Asks the database, and so lets others go first, only where no book has the order.
        """
        for product_id, product in self._products.items():
            try:
                resting = self._leaders[product.partition_id].book(product_id).orders.get(order_id)
            except Unavailable:
                continue  # it is being rebuilt, here or elsewhere
            if resting is not None and resting.participant == participant_id:
                return product.partition_id, product_id
        async with self._database.connection() as connection:
            place = await store.place_of_order(connection, order_id, participant_id)
        if place is None:
            raise NotFound(detail="no such order")
        return place
