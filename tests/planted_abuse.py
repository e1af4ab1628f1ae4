"""Abuse to be planted into honest records: each function writes one case, its parameters drawn at random.

A case is written by participants of its own, whose ids it returns: whatever names one of them is no false
alert. What is drawn stays within what the shipped thresholds mean to see; docs/alerts.md tells what does not.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from exchange.alerts.recorded import ProgrammeFacts, Spent
from exchange.kit.clock import US_PER_SECOND
from tests.surveillance import DAY, HOUR, SECOND, Party, Tape, new, party

Plant = Callable[[Tape, Random, int, str, int], set[int]]
"""Writes a case: tape, random numbers, first moment, product, and the product's fair price in fen."""
MINUTE: Final = 60 * US_PER_SECOND


def _ids(*parties: Party) -> set[int]:
    return {each.id for each in parties}


def affiliated_trade(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """Two that trade and are registered as one group afterwards, or have been by the time of the trade."""
    buyer, provider, group_id = party(), party(), new()
    if rng.random() < 0.5:
        buyer, provider = Party(buyer.id, group_id), Party(provider.id, group_id)
    for number in range(rng.randint(1, 4)):
        window = (10 + number, 12 + number)
        tape.deal(at_us + number * HOUR, buyer, provider, product, rng.randint(1, 64), window, price)
    later_us = at_us + rng.randint(1, 600) * HOUR
    for each in (buyer, provider):
        tape.cash(later_us, Party(each.id, group_id), "deposit", rng.randint(1, 10**7))
    return _ids(buyer, provider)


def matched_orders(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """Two that nothing links, and that trade by appointment."""
    buyer, provider = party(), party()
    for number in range(rng.randint(3, 8)):
        window = (200 + number, 200 + number + rng.randint(1, 12))
        agreed = price * rng.randint(80, 130) // 100
        moment_us = at_us + number * rng.randint(1, 15) * HOUR
        delay_us = rng.randint(0, 119) * SECOND
        tape.deal(moment_us, buyer, provider, product, rng.randint(1, 64), window, agreed, delay_us=delay_us)
    return _ids(buyer, provider)


def round_trip(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """A ring of 2 to 5 groups: each buys from the next one, by companies of their own."""
    groups = [new() for _ in range(rng.randint(2, 5))]
    sides = [(party(group), party(group)) for group in groups]
    quantity, hours = rng.randint(4, 40), rng.randint(5, 48)
    legs = list(range(len(groups)))
    rng.shuffle(legs)
    for number, leg in enumerate(legs):
        buyer, provider = sides[leg][0], sides[(leg + 1) % len(groups)][1]
        start = rng.randint(1, 200)
        window = (start, start + max(1, hours * rng.randint(93, 107) // 100))
        moment_us = at_us + number * rng.randint(1, 30) * HOUR
        wider = (window[0], window[1] + rng.randint(0, hours * 3 // 4))
        tape.deal(moment_us, buyer, provider, product, quantity, window, price, ask_window=wider)
    return {each.id for pair in sides for each in pair}


def own_share_refunded(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """A provider that gives its aided buyer back, by bank, what the buyer paid itself."""
    buyer, provider = party(), party()
    own_fen = 0
    for number in range(rng.randint(1, 5)):
        aid_bps = rng.randint(1_000, 8_000)
        moment_us = at_us + number * 20 * HOUR
        trade = tape.deal(moment_us, buyer, provider, product, 64, (300, 324), price, aid_bps=aid_bps)
        own_fen += trade.notional_fen - trade.aid_fen
    back_fen = own_fen * rng.randint(55, 100) // 100
    out_us = at_us + rng.randint(100, 200) * HOUR
    tape.cash(out_us, provider, "withdrawal", back_fen)
    fee_fen = back_fen * rng.randint(0, 150) // 10_000
    tape.cash(out_us + rng.randint(1, 300) * HOUR, buyer, "deposit", back_fen - fee_fen)
    return _ids(buyer, provider)


def voucher_premium(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """A provider that takes more from those who pay with vouchers."""
    provider = party()
    buyers = [party() for _ in range(rng.randint(1, 4))]
    for number in range(rng.randint(5, 12)):
        dear = price * rng.randint(140, 220) // 100
        buyer = rng.choice(buyers)
        window = (300, 300 + rng.randint(2, 10))
        moment_us = at_us + 40 * HOUR + number * rng.randint(1, 15) * HOUR
        tape.deal(moment_us, buyer, provider, product, rng.randint(1, 16), window, dear, aid_bps=5_000)
    return _ids(provider, *buyers)


def paid_not_run(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """A provider whose machines are out for who pays cash, and run for who pays with vouchers."""
    provider, payer, aided = party(), party(), party()
    hours = rng.randint(3, 12)
    window = (48, 48 + hours)
    ask_window = (24, 100)
    cash = tape.deal(at_us, payer, provider, product, 4, window, price, ask_window=ask_window)
    paid = tape.deal(at_us, aided, provider, product, 8, window, price, aid_bps=6_000, ask_window=ask_window)
    out = list(range(cash.starts_hour, cash.ends_hour))
    tape.outage(at_us + 10 * HOUR, provider, product, cash, out)
    for number, hour in enumerate(out):
        tape.deliver(at_us + (50 + number) * HOUR, provider, product, paid, hour)
    return _ids(provider, payer, aided)


def subsidised_resale(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """A company that buys with vouchers, and an affiliate that sells the same hours."""
    group_id = new()
    buyer, seller, source, customer = party(group_id), party(group_id), party(), party()
    start, hours = rng.randint(200, 300), rng.randint(6, 72)
    quantity = rng.randint(2, 32)
    tape.deal(at_us, buyer, source, product, quantity, (start, start + hours), price, aid_bps=7_000)
    first = start + rng.randint(0, 3)
    window = (first, first + rng.randint(1, hours - 3))
    moment_us = at_us + rng.randint(2, 150) * HOUR
    resold = max(1, quantity * rng.randint(30, 100) // 100)
    tape.deal(moment_us, customer, seller, product, resold, window, price * rng.randint(60, 120) // 100)
    return _ids(buyer, seller, source, customer)


def threshold_splitting(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """One purchase as many bids below a million, or one wish as many applications below the committee's."""
    buyer = party()
    pieces = rng.randint(4, 10)
    programme = ProgrammeFacts(
        programme_id=new(), budget_fen=10**12, review_from_fen=rng.randint(10**6, 10**8)
    )
    applies = rng.random() < 0.3
    for number in range(pieces):
        moment_us = at_us + number * rng.randint(1, 300) * MINUTE
        share = rng.randint(8_600, 9_990)
        if applies:
            amount_fen = (programme.review_from_fen or 0) * share // 10_000
            tape.apply(moment_us, buyer, programme, amount_fen)
        else:
            quantity = 10**8 * share // 10_000 // (100 * price)
            tape.place(moment_us, buyer, "buy", product, quantity, (200, 300), price)
    return _ids(buyer)


def young_group(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """One group founds companies, each of which is issued vouchers."""
    del product, price
    group_id = new()
    companies = [party(group_id) for _ in range(rng.randint(3, 8))]
    programme = ProgrammeFacts(programme_id=new(), budget_fen=10**12, review_from_fen=None)
    for number, each in enumerate(companies):
        moment_us = at_us + number * rng.randint(1, 200) * HOUR
        tape.issue(moment_us, each, programme, rng.randint(10**5, 10**8), rng.randint(5, 300))
    return _ids(*companies)


def expiry_burst(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """A voucher nobody used, spent whole on the last days; the provider sells up to twice as often beside."""
    buyer, provider = party(), party()
    expires_us = at_us + 100 * HOUR
    pieces = rng.randint(1, 8)
    face_fen = rng.randint(10**6, 10**8)
    used_fen = face_fen * rng.randint(65, 100) // 100
    for number in range(pieces):
        left_us = rng.randint(1, 70) * HOUR
        spent = Spent(buyer.id, 7, used_fen // pieces + number % 2, face_fen, expires_us)
        moment_us = expires_us - left_us
        tape.deal(moment_us, buyer, provider, product, 4, (300, 310), price, aid_bps=5_000, spent=(spent,))
    for _ in range(rng.randint(0, 2 * pieces)):
        moment_us = expires_us - rng.randint(1, 140) * HOUR
        tape.deal(moment_us, party(), provider, product, 4, (300, 310), price)
    return _ids(buyer, provider)


def hoarding(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """A group that buys most of what a scarce product has for some days, in pieces."""
    scarce = f"{product}.scarce-{new()}"
    group_id = new() if rng.random() < 0.5 else None
    buyers = [party(group_id) for _ in range(rng.randint(1, 3) if group_id else 1)]
    providers = [party() for _ in range(rng.randint(2, 5))]
    days = rng.randint(1, 5)
    window = (240, 240 + days * 24)
    asks = [tape.place(at_us, each, "sell", scarce, 64, window, price) for each in providers]
    wanted = -(-64 * len(asks) * rng.randint(48, 90) // 100)
    moment_us = at_us
    while wanted > 0:
        piece = min(wanted, rng.randint(8, 64))
        moment_us += rng.randint(1, 120) * MINUTE
        bid = tape.place(moment_us, rng.choice(buyers), "buy", scarce, piece, window, price)
        tape.fill(moment_us, bid, rng.choice(asks), ask_is_done=False)
        wanted -= piece
    return _ids(*buyers, *providers)


def withholding(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """A provider that pulls what it offers and comes back dearer, in rounds or in parallel."""
    provider = party()
    asked = price
    for number in range(rng.randint(3, 6)):
        moment_us = at_us + number * rng.randint(1, 12) * HOUR
        ask = tape.place(moment_us, provider, "sell", product, rng.randint(8, 64), (200, 248), asked)
        tape.cancel(moment_us + rng.randint(5, 600) * SECOND, ask)
        asked = asked * rng.randint(112, 130) // 100 + 1
        back_us = moment_us + rng.randint(11, 59) * MINUTE
        again = tape.place(back_us, provider, "sell", product, ask.quantity, (200, 248), asked)
        tape.cancel(back_us + MINUTE, again, "expired")
    return _ids(provider)


def quick_cancels(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """Orders placed to be seen: withdrawn within the minute, by the dozen."""
    trader = party()
    side = rng.choice(["buy", "sell"])
    for number in range(rng.randint(26, 60)):
        moment_us = at_us + number * rng.randint(20, 55) * SECOND
        quoted = price * rng.randint(70, 130) // 100
        order = tape.place(moment_us, trader, side, product, rng.randint(1, 64), (200, 224), quoted)
        if rng.random() < 0.95:
            tape.cancel(moment_us + rng.randint(1, 55) * SECOND, order)
    return _ids(trader)


def layering(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """A group that shows depth on one side at many prices, trades on the other, and takes the depth away."""
    group_id = new()
    buyer, seller, other = party(group_id), party(group_id), party()
    shows_asks = rng.random() < 0.5
    shower = seller if shows_asks else buyer
    shown = [
        tape.place(
            at_us + number * rng.randint(1, 10) * SECOND,
            shower,
            "sell" if shows_asks else "buy",
            product,
            rng.randint(8, 64),
            (200, 224),
            price + (number + 1) * (3 if shows_asks else -3),
        )
        for number in range(rng.randint(4, 10))
    ]
    traded_us = at_us + rng.randint(101, 200) * SECOND
    sides = (buyer, other) if shows_asks else (other, seller)
    tape.deal(traded_us, *sides, product, rng.randint(1, 8), (200, 210), price, delay_us=30 * MINUTE)
    for each in shown:
        tape.cancel(traded_us + rng.randint(1, 300) * SECOND, each)
    return _ids(buyer, seller, other)


def self_match(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """A group whose bids run into its own asks."""
    group_id = new()
    buyer, seller = party(group_id), party(group_id)
    for number in range(rng.randint(3, 8)):
        moment_us = at_us + number * rng.randint(1, 170) * MINUTE
        ask = tape.place(moment_us, seller, "sell", product, 8, (200, 210), price)
        bid = tape.place(moment_us + SECOND, buyer, "buy", product, 8, (200, 210), price)
        tape.meet_own(moment_us + SECOND, bid, ask)
    return _ids(buyer, seller)


def budget_use(tape: Tape, rng: Random, at_us: int, product: str, price: int) -> set[int]:
    """A programme that is issued to its end."""
    del product, price
    budget_fen = rng.randint(10**6, 10**10)
    programme = ProgrammeFacts(programme_id=new(), budget_fen=budget_fen, review_from_fen=None)
    issued_fen, companies = 0, []
    while issued_fen < budget_fen * 4 // 5:
        face_fen = min(budget_fen - issued_fen, budget_fen * rng.randint(5, 40) // 100)
        companies.append(party())
        tape.issue(at_us + len(companies) * DAY // 8, companies[-1], programme, face_fen)
        issued_fen += face_fen
    return _ids(*companies)


PLANTS: Final[Mapping[str, Plant]] = {
    each.__name__: each
    for each in (
        affiliated_trade,
        matched_orders,
        round_trip,
        own_share_refunded,
        voucher_premium,
        paid_not_run,
        subsidised_resale,
        threshold_splitting,
        young_group,
        expiry_burst,
        hoarding,
        withholding,
        quick_cancels,
        layering,
        self_match,
        budget_use,
    )
}
"""How each kind of abuse is planted, by the detector that should see it."""
