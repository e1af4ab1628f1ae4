"""Goal: every line of a trace becomes exactly the order that the documented rule says, or one counted reason.

Method: generated nodes and jobs; each property is the rule read off the resulting plan.
"""

from hypothesis import assume, given
from hypothesis import strategies as st

from exchange.kit.clock import US_PER_HOUR, hour_of
from exchange.replay.models import Refused, TraceBid, TraceOffer
from exchange.replay.plan import (
    PATIENCE_HOURS_MIN,
    Horizon,
    ModelMap,
    PlannedBid,
    Supply,
    bids_by_hour,
    plan_bid,
    plan_supply,
)

FIRST = 400_000
MODELS = ModelMap(
    accelerator_of_model={"T4": "t4", "T4 old": "t4", "V": "v100", "W": "unlisted"},
    product_of_accelerator={"t4": "t4.here.pcie", "v100": "v100.here.nvlink"},
)
QUOTES = {"t4": [100, 200, 300], "v100": [900]}
HORIZON = Horizon(starts_hour=FIRST + 1, ends_hour=FIRST + 101)
OFFERS = st.lists(
    st.builds(
        TraceOffer,
        line=st.just(2),
        offer_id=st.from_regex(r"n[0-9]{1,4}", fullmatch=True),
        provider=st.sampled_from(["p", "q"]),
        model=st.sampled_from(["T4", "V", "W", "X"]),
        quantity_gpus=st.integers(1, 8),
    ),
    unique_by=lambda offer: offer.offer_id,
    max_size=40,
)
BIDS = st.builds(
    TraceBid,
    line=st.just(2),
    order_id=st.from_regex(r"j[0-9]{1,5}", fullmatch=True),
    submitted_at_us=st.integers((FIRST - 10) * US_PER_HOUR, (FIRST + 99) * US_PER_HOUR),
    buyer=st.just("b"),
    models=st.lists(st.sampled_from(["T4", "T4 old", "V", "W", "X"]), unique=True, max_size=4).map(tuple),
    quantity_gpus=st.integers(1, 64),
    gpu_milli=st.sampled_from([500, 1000, 1000, 1000]),
    hours=st.integers(1, 120),
    interruptible=st.booleans(),
)


def supply_of(offers: list[TraceOffer], gpus: int = 30) -> Supply:
    return plan_supply(5, offers, QUOTES, MODELS, gpus)


@given(OFFERS, st.integers(1, 200))
def test_supply_stops_at_the_first_node_that_reaches_the_wanted_gpus(
    offers: list[TraceOffer], gpus: int
) -> None:
    supply = supply_of(offers, gpus)
    total = sum(ask.quantity_gpus for ask in supply.asks)
    usable = [offer for offer in offers if offer.model in {"T4", "V"}]
    assert total - (supply.asks[-1].quantity_gpus if supply.asks else 0) < gpus
    assert total >= min(gpus, sum(offer.quantity_gpus for offer in usable))
    assert sum(supply.gpus.values()) == total
    assert supply.refused.get(Refused.MODEL_UNKNOWN, 0) == len(offers) - len(usable)


@given(OFFERS)
def test_the_order_of_reading_does_not_choose_the_supply(offers: list[TraceOffer]) -> None:
    assert supply_of(offers).asks == supply_of(offers[::-1]).asks


@given(OFFERS)
def test_asks_are_priced_by_a_quote_of_their_accelerator(offers: list[TraceOffer]) -> None:
    for ask in supply_of(offers).asks:
        assert ask.price_ticks in QUOTES[ask.accelerator]
        assert ask.product_id == MODELS.product_of_accelerator[ask.accelerator]


@given(OFFERS, BIDS)
def test_a_job_becomes_a_bid_for_its_whole_run_with_room_to_wait(
    offers: list[TraceOffer], bid: TraceBid
) -> None:
    supply = supply_of(offers)
    assume(supply.gpus)
    planned = plan_bid(5, bid, supply, MODELS, HORIZON)
    if not isinstance(planned, PlannedBid):
        return
    assert planned.earliest_hour == hour_of(bid.submitted_at_us) + 1
    room_hours = planned.latest_hour - planned.earliest_hour - bid.hours
    assert 0 <= room_hours <= max(PATIENCE_HOURS_MIN, bid.hours)
    if planned.latest_hour < HORIZON.ends_hour:
        assert room_hours == max(PATIENCE_HOURS_MIN, bid.hours)
    products = [alternative.product_id for alternative in planned.alternatives]
    assert len(products) == len(set(products)) > 0
    accelerators = {product: name for name, product in MODELS.product_of_accelerator.items()}
    for alternative in planned.alternatives:
        accelerator = accelerators[alternative.product_id]
        assert accelerator in supply.gpus
        low, high = supply.ranges[accelerator].low_ticks, supply.ranges[accelerator].high_ticks
        if bid.interruptible:
            low, high = max(1, low * 3 // 10), max(1, high * 3 // 10)
        assert low <= alternative.limit_ticks <= high


@given(OFFERS, BIDS)
def test_what_becomes_no_bid_has_the_reason_that_is_true(offers: list[TraceOffer], bid: TraceBid) -> None:
    supply = supply_of(offers)
    assume(supply.gpus)
    planned = plan_bid(5, bid, supply, MODELS, HORIZON)
    traded = {MODELS.accelerator_of_model[model] for model in bid.models if model in {"T4", "T4 old", "V"}}
    holds = {
        Refused.BEFORE_FROM: bid.submitted_at_us < FIRST * US_PER_HOUR,
        Refused.PART_OF_GPU: bid.gpu_milli < 1000,
        Refused.MODEL_UNKNOWN: bool(bid.models) and not traded,
        Refused.MODEL_NOT_SUPPLIED: bool(traded) and not traded & supply.gpus.keys(),
        Refused.BEYOND_HORIZON: hour_of(bid.submitted_at_us) + 1 + bid.hours > HORIZON.ends_hour,
    }
    expected = next((reason for reason, true in holds.items() if true), None)
    assert (planned if isinstance(planned, Refused) else None) == expected


@given(st.lists(st.integers(0, 20 * US_PER_HOUR), max_size=50))
def test_bids_are_grouped_by_the_hour_of_their_submission(moments: list[int]) -> None:
    bids = [
        PlannedBid(
            order_id=f"j{number}",
            buyer="b",
            submitted_at_us=moment,
            quantity_gpus=1,
            hours=1,
            earliest_hour=1,
            latest_hour=2,
            alternatives=(),
        )
        for number, moment in enumerate(sorted(moments))
    ]
    groups = list(bids_by_hour(bids))
    assert [bid for _, group in groups for bid in group] == bids
    assert [hour for hour, _ in groups] == sorted({hour_of(moment) for moment in moments})
    assert all(hour_of(bid.submitted_at_us) == hour for hour, group in groups for bid in group)
