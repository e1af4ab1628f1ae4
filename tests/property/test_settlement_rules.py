"""Goal: a bid's money is exact at every moment of its life, and a lease's at every hour.

Method: random bids filled in random pieces at random better prices, by eligible and other providers, against
the plain statements of what must hold; no model is needed, because the statements are the contract with the
buyer.
"""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from exchange.settlement.models import LeaseFunding, Terms
from exchange.settlement.rules import apportion, fee_fen, hour_parts, spread_in_order, targets
from exchange.vouchers.rules import capped

PRICES = st.integers(1, 10**9)


@st.composite
def filled_bids(draw: st.DrawFn) -> tuple[Terms, int, int, list[tuple[int, int, bool]]]:
    """A bid's terms, its quantity, what its vouchers offer, and its fills: (gpus, price, eligible)."""
    only_eligible = draw(st.booleans())
    terms = Terms(
        limit_ticks=draw(PRICES),
        hours=draw(st.integers(1, 2000)),
        rate_bps=draw(st.integers(0, 10_000)),
        price_cap_ticks=draw(st.none() | PRICES),
        only_eligible=only_eligible,
    )
    quantity = draw(st.integers(1, 64))
    fills: list[tuple[int, int, bool]] = []
    open_gpus = quantity
    while open_gpus and draw(st.booleans()):
        gpus = draw(st.integers(1, open_gpus))
        open_gpus -= gpus
        price = draw(st.integers(1, terms.limit_ticks))
        fills.append((gpus, price, only_eligible or draw(st.booleans())))
    most = terms.limit_ticks * terms.hours * quantity * terms.rate_bps // 10_000
    return terms, quantity, draw(st.integers(0, most)), fills


@given(filled_bids())
def test_holds_cover_the_rest_and_commits_sum_to_what_was_filled(
    bid: tuple[Terms, int, int, list[tuple[int, int, bool]]],
) -> None:
    terms, quantity, voucher_placed, fills = bid
    filled = eligible = 0
    open_gpus = quantity
    before = targets(
        terms,
        voucher_placed_fen=voucher_placed,
        filled_notional_fen=0,
        eligible_notional_fen=0,
        open_gpus=open_gpus,
    )
    assert before.cash_committed_fen == before.voucher_committed_fen == 0
    for gpus, price, is_eligible in fills:
        notional = gpus * price * terms.hours
        filled += notional
        eligible += gpus * capped(price, terms.price_cap_ticks) * terms.hours if is_eligible else 0
        open_gpus -= gpus
        after = targets(
            terms,
            voucher_placed_fen=voucher_placed,
            filled_notional_fen=filled,
            eligible_notional_fen=eligible,
            open_gpus=open_gpus,
        )
        # Every fill is paid exactly, and nothing that was committed comes back.
        assert after.cash_committed_fen + after.voucher_committed_fen == filled
        assert after.cash_committed_fen >= before.cash_committed_fen
        assert after.voucher_committed_fen >= before.voucher_committed_fen
        # Vouchers pay at most their share of what they may pay for, and never more than was set aside.
        assert after.voucher_committed_fen * 10_000 <= eligible * terms.rate_bps
        assert after.voucher_kept_fen <= voucher_placed
        # What stays set aside only shrinks, and covers the most that the rest can cost.
        assert after.cash_kept_fen <= before.cash_kept_fen
        assert after.voucher_kept_fen <= before.voucher_kept_fen
        open_notional = open_gpus * terms.limit_ticks * terms.hours
        open_cash = after.cash_kept_fen - after.cash_committed_fen
        open_vouchers = after.voucher_kept_fen - after.voucher_committed_fen
        assert open_cash >= 0
        assert open_vouchers >= 0
        assert open_cash == open_notional - (open_vouchers if terms.only_eligible else 0)
        before = after
    closed = targets(
        terms,
        voucher_placed_fen=voucher_placed,
        filled_notional_fen=filled,
        eligible_notional_fen=eligible,
        open_gpus=0,
    )
    assert closed.cash_kept_fen == closed.cash_committed_fen
    assert closed.voucher_kept_fen == closed.voucher_committed_fen


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**11), max_size=6))
def test_spreading_in_order_empties_each_before_the_next(total: int, placed: list[int]) -> None:
    parts = spread_in_order(total, placed)
    assert sum(parts) == min(total, sum(placed))
    assert all(0 <= part <= available for part, available in zip(parts, placed, strict=True))
    first_partial = next((index for index, part in enumerate(parts) if part < placed[index]), len(parts))
    assert not any(parts[first_partial + 1 :])


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=6).filter(any), st.data())
def test_apportioned_parts_are_proportional_and_sum_exactly(weights: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(weights)))
    parts = apportion(total, weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert 0 <= part <= weight
        # Within one fen of the exact quota.
        assert abs(part * sum(weights) - total * weight) < sum(weights)


@given(
    price=st.integers(1, 10**6),
    gpus=st.integers(1, 64),
    hours=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 10_000), max_size=3),
    failed=st.sets(st.integers(0, 39)),
)
def test_the_hours_of_a_lease_sum_to_its_funding(
    price: int, gpus: int, hours: int, cuts: list[int], failed: set[int]
) -> None:
    notional = price * gpus * hours
    marks = [0, *sorted(notional * cut // 10_000 for cut in cuts), notional]
    amounts = [end - start for start, end in pairwise(marks)]
    funding = [
        LeaseFunding(
            lease_id=1,
            voucher_id=index,
            asset="CNY",
            source_account_id=1,
            escrow_account_id=2,
            committed_fen=amount,
        )
        for index, amount in enumerate(amounts)
    ]
    captured = [0] * len(funding)
    for hour in range(hours):
        parts = hour_parts(price, gpus, funding)
        assert sum(part.amount_fen for part in parts) == price * gpus
        for index, part in enumerate(parts):
            key = "returned_fen" if hour in failed else "captured_fen"
            captured[index] += 0 if hour in failed else part.amount_fen
            moved = {key: getattr(funding[index], key) + part.amount_fen}
            funding[index] = LeaseFunding(
                **{name: getattr(funding[index], name) for name in LeaseFunding.__struct_fields__} | moved
            )
            assert funding[index].open_fen >= 0
    assert all(part.open_fen == 0 for part in funding)
    assert sum(captured) == price * gpus * (hours - len([hour for hour in failed if hour < hours]))


@given(st.integers(1, 10**12), st.integers(0, 10_000), st.integers(0, 10**12))
def test_the_fee_never_exceeds_its_rate_nor_the_cash_it_is_taken_from(
    price: int, bps: int, cash: int
) -> None:
    fee = fee_fen(price, bps, cash)
    assert 0 <= fee <= cash
    assert fee * 10_000 <= price * bps
