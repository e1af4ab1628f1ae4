"""Goal: each detector speaks at its threshold and not one step below it, and names what it rests on.

Method: tapes of exactly as much as the shipped thresholds ask for, and of one piece less.
"""

from collections.abc import Callable

import msgspec
import pytest

from exchange.alerts.detection import KINDS
from exchange.alerts.models import DetectorName, Finding
from exchange.alerts.recorded import CODES, ProgrammeFacts, Spent
from exchange.alerts.thresholds import AlertRules, default_rules
from tests.planted_abuse import PLANTS
from tests.surveillance import (
    DAY,
    HOUR,
    SECOND,
    START_US,
    Party,
    Tape,
    found_by,
    merged,
    new,
    party,
    with_thresholds,
)

RULES = default_rules()
PRODUCT = "t4.a"
PRICE = 1_000
Case = Callable[[Tape, int], None]


def matched_orders(tape: Tape, pieces: int) -> None:
    buyer, provider = party(), party()
    for number in range(pieces):
        delay_us = RULES.matched_orders.delay_max_s * SECOND
        at_us = START_US + number * HOUR
        tape.deal(at_us, buyer, provider, PRODUCT, 2, (1, 3), PRICE, delay_us=delay_us)


def voucher_premium(tape: Tape, pieces: int) -> None:
    for _ in range(RULES.voucher_premium.cash_trades_min):
        tape.deal(START_US, party(), party(), PRODUCT, 2, (1, 3), PRICE)
    provider, dear = party(), PRICE * (10_000 + RULES.voucher_premium.above_min_bps) // 10_000
    for number in range(pieces):
        tape.deal(START_US + number * HOUR + HOUR, party(), provider, PRODUCT, 2, (1, 3), dear, aid_bps=5_000)


def paid_not_run(tape: Tape, pieces: int) -> None:
    provider, payer, aided = party(), party(), party()
    cash = tape.deal(START_US, payer, provider, PRODUCT, 1, (10, 40), PRICE, ask_window=(1, 99))
    paid = tape.deal(START_US, aided, provider, PRODUCT, 1, (10, 40), PRICE, aid_bps=1, ask_window=(1, 99))
    out = [cash.starts_hour + each for each in range(pieces)]
    tape.outage(START_US + HOUR, provider, PRODUCT, cash, out)
    for number in range(30):
        tape.deliver(START_US + (20 + number) * HOUR, provider, PRODUCT, paid, paid.starts_hour + number)


def threshold_splitting(tape: Tape, pieces: int) -> None:
    buyer = party()
    for number in range(pieces):
        tape.place(START_US + number * HOUR, buyer, "buy", PRODUCT, 1, (1, 2), 99_999_999 - number)


def young_group(tape: Tape, pieces: int) -> None:
    group_id, programme = new(), ProgrammeFacts(programme_id=9, budget_fen=10**9, review_from_fen=None)
    for number in range(pieces):
        age_days = RULES.young_group.age_max_days
        tape.issue(START_US + number * DAY, party(group_id), programme, 100, age_days)


def withholding(tape: Tape, pieces: int) -> None:
    provider, price = party(), PRICE
    for number in range(pieces):
        at_us = START_US + number * HOUR
        ask = tape.place(at_us, provider, "sell", PRODUCT, 50, (1, 3), price)
        tape.cancel(at_us + SECOND, ask)
        price = -(-price * 11 // 10)
        again = tape.place(at_us + 2 * SECOND, provider, "sell", PRODUCT, 50, (1, 3), price)
        tape.cancel(at_us + 3 * SECOND, again, "expired")


def quick_cancels(tape: Tape, pieces: int) -> None:
    trader = party()
    for number in range(pieces):
        at_us = START_US + number * 61 * SECOND
        order = tape.place(at_us, trader, "buy", PRODUCT, 1, (1, 2), PRICE)
        tape.cancel(at_us + RULES.quick_cancels.lifetime_max_s * SECOND, order)


def layering(tape: Tape, pieces: int) -> None:
    group_id = new()
    buyer, seller = party(group_id), party(group_id)
    shown = [
        tape.place(START_US + number, seller, "sell", PRODUCT, 8, (1, 9), PRICE + number)
        for number in range(pieces)
    ]
    tape.deal(START_US + 60 * SECOND, buyer, party(), PRODUCT, 1, (1, 2), PRICE - 1)
    for each in shown:
        tape.cancel(START_US + 90 * SECOND, each)


def self_match(tape: Tape, pieces: int) -> None:
    group_id = new()
    buyer, seller = party(group_id), party(group_id)
    ask = tape.place(START_US, seller, "sell", PRODUCT, 8, (1, 9), PRICE)
    for number in range(pieces):
        at_us = START_US + number * HOUR + HOUR
        tape.meet_own(at_us, tape.place(at_us, buyer, "buy", PRODUCT, 1, (1, 9), PRICE), ask)


COUNTED: dict[str, tuple[Case, int]] = {
    "matched_orders": (matched_orders, RULES.matched_orders.trades_min),
    "voucher_premium": (voucher_premium, RULES.voucher_premium.aided_trades_min),
    "paid_not_run": (paid_not_run, RULES.paid_not_run.hours_min),
    "threshold_splitting": (threshold_splitting, RULES.threshold_splitting.count_min),
    "young_group": (young_group, RULES.young_group.companies_min),
    "withholding": (withholding, RULES.withholding.times_min),
    "quick_cancels": (quick_cancels, RULES.quick_cancels.orders_min),
    "layering": (layering, RULES.layering.levels_min),
    "self_match": (self_match, RULES.self_match.pairs_min),
}
"""Detectors that count pieces: how the pieces are written, and how many are asked for."""


@pytest.mark.parametrize("detector", COUNTED)
def test_it_speaks_at_its_count_and_not_one_below(detector: str) -> None:
    case, least = COUNTED[detector]
    below, at = Tape(), Tape()
    case(below, least - 1)
    case(at, least)
    assert found_by(detector, below) == []
    [found] = found_by(detector, at)
    assert found.severity == getattr(RULES, detector).severity
    assert any(figure.value == figure.threshold == least for figure in found.figures)
    whose = {each.record_id: each.participant_id for each in merged(at.steps)}
    assert set(found.participant_ids) >= {whose[each] for each in found.record_ids}


@pytest.mark.parametrize("detector", COUNTED)
def test_the_same_facts_do_not_speak_twice_and_switched_off_is_silent(detector: str) -> None:
    case, least = COUNTED[detector]
    tape = Tape()
    case(tape, 2 * least - 1)
    found = found_by(detector, tape)
    assert len({each.fingerprint for each in found}) == len(found)
    counted = [set(each.record_ids) for each in found]
    assert (
        all(not first & second for first in counted for second in counted if first is not second)
        or detector == "paid_not_run"
    )  # one outage stands behind several hours
    assert found_by(detector, tape, with_thresholds(detector, enabled=False)) == []


@pytest.mark.parametrize("gap_s, speaks", [(120, True), (121, False)])
def test_orders_match_by_appointment_within_a_delay(*, gap_s: int, speaks: bool) -> None:
    tape, buyer, provider = Tape(), party(), party()
    for number in range(3):
        tape.deal(
            START_US + number * HOUR, buyer, provider, PRODUCT, 2, (1, 3), PRICE, delay_us=gap_s * SECOND
        )
    assert bool(found_by("matched_orders", tape)) is speaks


@pytest.mark.parametrize("parties", [2, 3, 4, 5, 6])
def test_a_ring_is_seen_up_to_five_parties(parties: int) -> None:
    tape = Tape()
    groups = [new() for _ in range(parties)]
    for leg in range(parties):
        buyer, provider = party(groups[leg]), party(groups[(leg + 1) % parties])
        tape.deal(START_US + leg * HOUR, buyer, provider, PRODUCT, 2, (1, 9), PRICE)
    found = found_by("round_trip", tape)
    assert len(found) == (parties <= 5)
    assert all(set(each.trade_group_ids) == set(groups) for each in found)


@pytest.mark.parametrize("hours, speaks", [(12, True), (13, False)])
def test_a_ring_of_unlike_trades_is_none(*, hours: int, speaks: bool) -> None:
    tape, first, second = Tape(), new(), new()
    tape.deal(START_US, party(first), party(second), PRODUCT, 1, (1, 11), PRICE)
    tape.deal(START_US + HOUR, party(second), party(first), PRODUCT, 1, (1, 1 + hours), PRICE)
    assert bool(found_by("round_trip", tape)) is speaks


@pytest.mark.parametrize("hours, speaks", [(719, True), (721, False)])
def test_who_joins_an_affiliate_later_is_found_by_what_they_traded(*, hours: int, speaks: bool) -> None:
    tape, buyer, provider, group_id = Tape(), party(), party(), new()
    tape.deal(START_US, buyer, provider, PRODUCT, 1, (1, 2), PRICE)
    for each in (buyer, provider):
        tape.cash(START_US + hours * HOUR, Party(each.id, group_id), "deposit", 1)
    found = found_by("affiliated_trade", tape)
    assert bool(found) is speaks
    assert all(set(each.participant_ids) == {buyer.id, provider.id} for each in found)


@pytest.mark.parametrize("back_fen, speaks", [(600_000, True), (599_999, False)])
def test_a_deposit_of_half_of_the_own_share_is_a_refund(*, back_fen: int, speaks: bool) -> None:
    tape, buyer, provider = Tape(), party(), party()
    tape.deal(START_US, buyer, provider, PRODUCT, 100, (1, 25), PRICE, aid_bps=5_000)
    tape.cash(START_US + HOUR, provider, "withdrawal", back_fen)
    tape.cash(START_US + 2 * HOUR, buyer, "deposit", back_fen)
    assert bool(found_by("own_share_refunded", tape)) is speaks


@pytest.mark.parametrize("price, speaks", [(1_250, True), (1_249, False)])
def test_a_premium_is_a_quarter_above_the_cash_price(*, price: int, speaks: bool) -> None:
    tape, provider = Tape(), party()
    for number in range(5):
        tape.deal(START_US, party(), party(), PRODUCT, 1, (1, 2), PRICE)
        tape.deal(START_US + (number + 1) * HOUR, party(), provider, PRODUCT, 1, (1, 2), price, aid_bps=5_000)
    assert bool(found_by("voucher_premium", tape)) is speaks


def test_who_is_dear_for_everybody_takes_no_premium() -> None:
    tape, provider = Tape(), party()
    for number in range(5):
        tape.deal(START_US, party(), party(), PRODUCT, 1, (1, 2), PRICE)
        tape.deal(START_US, party(), provider, PRODUCT, 1, (1, 2), 2 * PRICE)
        aided_us = START_US + (number + 1) * HOUR
        tape.deal(aided_us, party(), provider, PRODUCT, 1, (1, 2), 2 * PRICE, aid_bps=5_000)
    assert found_by("voucher_premium", tape) == []


@pytest.mark.parametrize("quantity, speaks", [(4, True), (5, False)])
def test_resale_is_of_no_more_than_was_bought(*, quantity: int, speaks: bool) -> None:
    tape, group_id = Tape(), new()
    tape.deal(START_US, party(group_id), party(), PRODUCT, 4, (20, 30), PRICE, aid_bps=5_000)
    tape.deal(START_US + 2 * HOUR, party(), party(group_id), PRODUCT, quantity, (22, 30), PRICE)
    assert bool(found_by("subsidised_resale", tape)) is speaks


@pytest.mark.parametrize("fen, speaks", [(6_000_000, True), (5_999_999, False)])
@pytest.mark.parametrize("left_hours", [72, 73])
def test_a_burst_is_most_of_a_voucher_in_its_last_hours(*, fen: int, speaks: bool, left_hours: int) -> None:
    tape = Tape()
    spent = Spent(1, 7, fen, 10_000_000, START_US + left_hours * HOUR)
    tape.deal(START_US, party(), party(), PRODUCT, 1, (1, 2), PRICE, aid_bps=5_000, spent=(spent,))
    assert bool(found_by("expiry_burst", tape)) is (speaks and left_hours == 72)


@pytest.mark.parametrize("gpus, speaks", [(40, True), (39, False)])
def test_hoarding_is_a_share_of_what_was_offered_for_a_day(*, gpus: int, speaks: bool) -> None:
    tape, buyer = Tape(), party()
    start = 24 - (START_US // HOUR + 1) % 24  # a whole day, UTC
    ask = tape.place(START_US, party(), "sell", PRODUCT, 100, (start, start + 24), PRICE)
    bid = tape.place(START_US + HOUR, buyer, "buy", PRODUCT, gpus, (start, start + 24), PRICE)
    tape.fill(START_US + HOUR, bid, ask, ask_is_done=False)
    assert bool(found_by("hoarding", tape)) is speaks


def test_a_budget_speaks_once_a_level_and_again_after_it_fell() -> None:
    tape, programme = Tape(), ProgrammeFacts(programme_id=9, budget_fen=10_000, review_from_fen=None)
    company = party()
    for number, face_fen in enumerate((7_999, 1, 1_499, 1, 500)):
        tape.issue(START_US + number * HOUR, company, programme, face_fen)
    detail = {"programme_id": 9, "returned_fen": 1_000}
    tape.write("VREV", START_US + 6 * HOUR, company, detail=detail, programme=programme)
    tape.issue(START_US + 7 * HOUR, company, programme, 600)
    levels = [each.figures[0].threshold for each in found_by("budget_use", tape)]
    assert levels == [8_000, 9_500, 10_000, 9_500]


def test_applications_below_the_committees_amount_are_split_as_well() -> None:
    tape, company = Tape(), party()
    programme = ProgrammeFacts(programme_id=9, budget_fen=10**9, review_from_fen=1_000)
    for number, amount_fen in enumerate((999, 850, 849, 1_000, 900)):
        tape.apply(START_US + number * HOUR, company, programme, amount_fen)
    assert found_by("threshold_splitting", tape) == []
    tape.apply(START_US + 9 * HOUR, company, programme, 998)
    [found] = found_by("threshold_splitting", tape)
    assert found.programme_id == 9
    assert len(found.record_ids) == 4


def test_every_detector_has_a_name_thresholds_and_a_plant() -> None:
    names = set(AlertRules.__struct_fields__)
    assert {each.value for each in DetectorName} == names
    assert {kind.name for kind in KINDS} | {"record_break"} == names
    assert set(PLANTS) | {"record_break"} == names
    assert {code for kind in KINDS for code in kind.codes} <= set(CODES)
    shipped = msgspec.json.decode(msgspec.json.encode(default_rules()), type=AlertRules)
    assert shipped == default_rules()


def test_a_fingerprint_is_of_the_facts() -> None:
    tape = Tape()
    matched_orders(tape, 3)
    [found] = found_by("matched_orders", tape)
    again = msgspec.structs.replace(found, rules_version=2, severity="low")
    assert isinstance(found, Finding)
    assert again.fingerprint == found.fingerprint
    other = msgspec.structs.replace(found, record_ids=found.record_ids[1:])
    assert other.fingerprint != found.fingerprint
