"""The whole life of an order, a trade or a voucher, read at one moment."""

from exchange.kit.database import Database
from exchange.kit.errors import NotFound
from exchange.kit.http_pages import encode_cursor
from exchange.oversight import life_views, rules, store
from exchange.oversight.life_models import OrderLife, TradeLife, VoucherLife

MOVEMENTS = "oversight-voucher-movements"


class Lives:
    """Tells lives from a database that may be a replica."""

    def __init__(self, *, reads: Database) -> None:
        """Answer from `reads`."""
        self._reads = reads

    async def order(self, order_id: int) -> OrderLife:
        """Return an order with every step it took and its trades; raises `NotFound`."""
        async with self._reads.snapshot() as connection:
            order = await store.order_by_id(connection, order_id)
            if order is None:
                raise NotFound(detail="no such order")
            steps = await store.steps_of_order(connection, order_id, order["created_at"])
            return OrderLife(
                order=life_views.order_facts(order),
                steps=[life_views.order_step(row) for row in steps],
                trades=[rules.trade_row(row) for row in await store.trades_of_order(connection, order_id)],
            )

    async def trade(self, trade_id: int) -> TradeLife:
        """Return a trade with its steps, its money and its hours; raises `NotFound`."""
        async with self._reads.snapshot() as connection:
            trade = await store.trade_by_id(connection, trade_id)
            if trade is None:
                raise NotFound(detail="no such trade")
            return life_views.trade_life(
                trade,
                await store.steps_of_trade(connection, trade_id, trade["traded_at"]),
                await store.funding_of_trade(connection, trade_id),
                await store.outages_of_trade(connection, trade_id),
                await store.captures_of_trade(connection, trade_id),
            )

    async def voucher(self, voucher_id: int, after_id: int, limit: int) -> VoucherLife:
        """Return a voucher with its steps and a page of its movements, oldest first; raises `NotFound`."""
        async with self._reads.snapshot() as connection:
            voucher = await store.voucher_by_id(connection, voucher_id)
            if voucher is None:
                raise NotFound(detail="no such voucher")
            steps = await store.steps_of_voucher(connection, voucher_id)
            accounts = [voucher["account_id"], voucher["escrow_account_id"]]
            moved = await store.movements_of_voucher(connection, accounts, after_id, limit + 1)
        page = moved[:limit]
        return VoucherLife(
            voucher=life_views.voucher_facts(voucher),
            steps=[life_views.voucher_change(row) for row in steps],
            movements=[life_views.voucher_movement(row) for row in page],
            next_cursor=encode_cursor(MOVEMENTS, page[-1]["id"]) if len(moved) > limit else None,
        )
