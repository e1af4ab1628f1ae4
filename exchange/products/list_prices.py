"""Providers' list prices: published, listed, known in memory. Use cases run in the caller's transaction.

`ListPrices` is what the order path asks, without a round trip. Invariant: of each provider and product it
keeps the highest number it was ever told, and prices are never changed; so whoever has awaited `refresh`, or
called `learn` after its commit, finds at least that, however many do so at a time and in whatever order their
answers come.

Known limit: a price that another process has published, or whose commit was lost from sight, though it held,
is known to the order path once the database has told of it (channel `list_price`): some milliseconds later.
"""

from collections.abc import Iterable

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Principal
from exchange.kit.database import Connection
from exchange.kit.errors import Faults, Forbidden
from exchange.participants.models import ParticipantKind
from exchange.products import rules, store
from exchange.products.list_price_models import ListPrice, NewListPrice
from exchange.products.service import get_product


class ListPrices:
    """The list price of every provider for every product, as last told."""

    def __init__(self) -> None:
        self._prices: dict[tuple[int, str], ListPrice] = {}

    async def refresh(self, connection: Connection, product_id: str | None = None) -> None:
        """Read all list prices, or those of a product: call at start-up and after one was published."""
        self.learn(await store.present_list_prices(connection, product_id=product_id))

    def learn(self, prices: Iterable[ListPrice]) -> None:
        """Take in committed list prices; one that is older than what is known changes nothing."""
        for price in prices:
            key = price.provider_id, price.product_id
            known = self._prices.get(key)
            if known is None or known.number < price.number:
                self._prices[key] = price

    def of(self, provider_id: int, product_id: str) -> int | None:
        """Return a provider's list price of a product in ticks, or None where it has published none."""
        price = self._prices.get((provider_id, product_id))
        return None if price is None else price.price_ticks


async def publish_list_price(
    connection: Connection,
    principal: Principal,
    product_id: str,
    new: NewListPrice,
    now_us: int,
    faults: Faults | None = None,
) -> ListPrice:
    """Publish a provider's list price of a product and return it; one that stands already adds nothing.

    `faults` are those already found while the body was read. Raises `NotFound` for an unknown product,
    `Forbidden` (wrong_role) for anyone but a provider, and `InvalidInput` with every fault.
    """
    await get_product(connection, product_id)
    if principal.kind != ParticipantKind.PROVIDER:
        raise Forbidden("wrong_role", "only a provider has list prices")
    faults = Faults() if faults is None else faults
    price_ticks = rules.read_price_ticks(faults, "/price_cny_per_gpu_hour", new.price_cny_per_gpu_hour)
    if faults or price_ticks is None:
        raise faults.refusal()
    provider_id = principal.participant_id
    await store.lock_list_price(connection, provider_id, product_id)
    latest = await store.latest_list_price(connection, provider_id, product_id)
    if latest is not None and latest.price_ticks == price_ticks:
        return latest
    price = ListPrice(
        provider_id=provider_id,
        product_id=product_id,
        number=1 if latest is None else latest.number + 1,
        price_ticks=price_ticks,
        # Two that were sent at once wait for each other; the second may have looked at the clock first.
        listed_at_us=now_us if latest is None else max(now_us, latest.listed_at_us),
    )
    await store.insert_list_price(connection, price)
    record = AuditRecord(
        code="LPRC",
        event_at_us=price.listed_at_us,
        actor_participant_id=provider_id,
        key_id=principal.key_id,
        participant_id=provider_id,
        trade_group_id=principal.trade_group_id,
        product_id=product_id,
        detail={"number": price.number, "price_ticks": price_ticks},
    )
    await insert_audit_records(connection, [record])
    return price


async def list_present(
    connection: Connection, product_id: str, *, after_provider_id: int = 0, limit: int
) -> list[ListPrice]:
    """Return the present list prices of a product in the order of their providers' ids; raises `NotFound`."""
    await get_product(connection, product_id)
    return await store.present_list_prices(
        connection, product_id=product_id, after_provider_id=after_provider_id, limit=limit
    )


async def list_history(
    connection: Connection,
    product_id: str,
    *,
    provider_id: int | None = None,
    before: tuple[int, int, int] | None = None,
    limit: int,
) -> list[ListPrice]:
    """Return what was ever published for a product, by all or one provider, newest first.

    `before` is the (time in microseconds, provider id, number) of the last one of the page before. Raises
    `NotFound` for an unknown product.
    """
    await get_product(connection, product_id)
    return await store.list_prices_before(
        connection, product_id, provider_id=provider_id, before=before, limit=limit
    )
