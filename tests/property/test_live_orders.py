"""Goal: the live orders of a participant are found without those of others, and are never others.

Method: orders come and go at random beside a plain dict, in which everything is found by walking it; then
mass cancels of a whole exchange whose live orders refuse to be walked.
"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.orders.models import LiveOrder, OrderTerms
from exchange.orders.partition import LiveOrders
from exchange.participants.models import ParticipantKind
from matching.order import Side
from tests.market_world import open_market, sequencers

OWNERS = 3
STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 11)), max_size=40)


def order(order_id: int) -> LiveOrder:
    """Return an order; whose it is, its id says."""
    return LiveOrder(
        order_id=order_id,
        participant_id=order_id % OWNERS,
        key_id=1,
        trade_group_id=0,
        client_order_id=f"{order_id}",
        fingerprint=b"",
        product_id="p",
        side=Side.SELL,
        quantity_gpus=1,
        starts_hour=0,
        ends_hour=1,
        hours=1,
        price_ticks=1,
        terms=OrderTerms(),
        created_at_us=0,
        updated_at_us=0,
    )


@given(first=st.sets(st.integers(0, 11)), steps=STEPS)
def test_what_a_participant_has_is_what_a_walk_finds(first: set[int], steps: list[tuple[bool, int]]) -> None:
    plain = {order_id: order(order_id) for order_id in first}
    live = LiveOrders(plain.values())
    for comes, order_id in steps:
        if comes:
            plain[order_id] = live[order_id] = plain.get(order_id) or order(order_id)
        elif order_id in plain:
            del plain[order_id], live[order_id]
        else:
            with pytest.raises(KeyError):
                del live[order_id]
        assert list(live) == list(plain)
        assert dict(live) == plain
        assert live.get(order_id) is plain.get(order_id)
        for owner in range(OWNERS):
            own = [each for each in plain.values() if each.participant_id == owner]
            assert list(live.of(owner)) == own
    for order_id in list(plain):
        del live[order_id]
    assert live._of == {}, "who has left is forgotten"


async def test_a_mass_cancel_does_not_look_at_the_orders_of_others(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_market(database_url, tmp_path) as world:
        provider, buyer = await world.traders(10**6)
        stranger = await world.join(ParticipantKind.PROVIDER)
        await world.bid(buyer, world.product(), price=90)
        ask = await world.ask(provider, world.product())

        def refuse(_: LiveOrders) -> None:
            raise AssertionError("all live orders are walked")

        with monkeypatch.context() as patched:
            patched.setattr(LiveOrders, "__iter__", refuse)
            assert await world.exchange.orders.cancel_all(stranger) == []
            [withdrawn] = await world.exchange.orders.cancel_all(provider)
        [sequencer] = sequencers(world.exchange).values()
        assert withdrawn.order.client_order_id == ask.client_order_id
        assert sequencer.meters.failures == {}
        assert len(sequencer._led().live) == 1
