"""An honest market on tape: what ordinary providers and companies do, some of it close to what is looked for.

Providers list capacity for weeks, reprice it, and fail now and then; companies buy with and without vouchers,
change their minds, and pay in and out; groups have companies on both sides. Prices move about a fair price.
Nobody here means any harm, so every alert is a false one.
"""

from random import Random
from typing import Final

import msgspec

from exchange.alerts.recorded import ProgrammeFacts, Spent, TradeFacts
from tests.surveillance import DAY, HOUR, SECOND, START_HOUR, START_US, Party, Placed, Tape, new, party

PRODUCTS: Final = {"t4.a": 420, "v100.a": 1_150, "a10.b": 690, "h100.b": 2_800, "ascend.c": 980}
"""Products with their fair prices in fen a GPU-hour."""
DAYS: Final = 14


class Voucher(msgspec.Struct):
    """A company's voucher and what is left of it."""

    id: int
    face_fen: int
    left_fen: int
    expires_us: int


class HonestMarket:
    """Writes a market of some orders; the same seed writes the same one."""

    def __init__(self, seed: int, orders: int) -> None:
        self.tape = Tape()
        self.rng = Random(seed)
        self._wanted = orders
        groups = [new() for _ in range(6)]
        self.providers = [party(groups[each] if each < 6 else None) for each in range(16)]
        self.buyers = [party(groups[each % 6] if each < 9 else None) for each in range(70)]
        self.asks: dict[str, list[Placed]] = {each: [] for each in PRODUCTS}
        self.vouchers: dict[int, Voucher] = {}
        self.leases: list[tuple[str, Party, TradeFacts]] = []
        self.small: list[Party] = []

    def write(self) -> Tape:
        """Write everything and return the tape."""
        self._list_capacity()
        self._issue()
        self._keep_regulars()
        self._quote()
        self._spend_late()
        step_us = DAYS * DAY // self._wanted
        at_us = START_US
        while self.tape.orders < self._wanted:
            at_us += self.rng.randint(1, 2 * step_us)
            chance = self.rng.random()
            if chance < 0.03:
                self._reprice(at_us)
            elif chance < 0.05:
                self._move_cash(at_us)
            elif chance < 0.12:
                self._change_mind(at_us)
            else:
                self._buy(at_us)
        self._settle()
        return self.tape

    def _list_capacity(self) -> None:
        for product, fair in PRODUCTS.items():
            for provider in self.rng.sample(self.providers, 8):
                self._offer(START_US, provider, product, fair)

    def _offer(
        self, at_us: int, provider: Party, product: str, fair: int, window: tuple[int, int] = (1, 700)
    ) -> None:
        price = fair * self.rng.randint(92, 112) // 100
        quantity = self.rng.choice([64, 128, 256])
        self.asks[product].append(self.tape.place(at_us, provider, "sell", product, quantity, window, price))

    def _issue(self) -> None:
        programme = ProgrammeFacts(programme_id=new(), budget_fen=10**12, review_from_fen=5 * 10**7)
        for buyer in self.rng.sample(self.buyers, 40):
            face_fen = self.rng.randint(2 * 10**6, 6 * 10**7)
            at_us = START_US + self.rng.randint(0, 2 * DAY)
            if self.rng.random() < 0.3:
                self.tape.apply(at_us, buyer, programme, face_fen)
            self.tape.issue(at_us, buyer, programme, face_fen, self.rng.randint(100, 4_000))
            expires_us = at_us + self.rng.randint(9, 90) * DAY
            self.vouchers[buyer.id] = Voucher(new(), face_fen, face_fen, expires_us)

    def _keep_regulars(self) -> None:
        """Small providers whose steady customers take each day's block whole, now and then at once."""
        for number in range(4):
            product = self.rng.choice(list(PRODUCTS))
            provider, customer = party(), self.buyers[10 + number]
            self.small.append(provider)
            for day in range(DAYS):
                at_us = START_US + day * DAY + self.rng.randint(0, 8 * HOUR // SECOND) * SECOND
                window = (day * 24 + 12, day * 24 + 24)
                price = PRODUCTS[product] * self.rng.randint(95, 105) // 100
                delay_us = int(self.rng.expovariate(1 / 1_200)) * SECOND
                self.tape.deal(
                    at_us + delay_us, customer, provider, product, 8, window, price, delay_us=delay_us
                )

    def _quote(self) -> None:
        """Two that follow the price with a bid: it stands a minute or three, and is placed anew."""
        for trader in (party(), party()):
            at_us, product = START_US + HOUR, self.rng.choice(list(PRODUCTS))
            for _ in range(300):
                price = PRODUCTS[product] * self.rng.randint(70, 85) // 100
                bid = self.tape.place(at_us, trader, "buy", product, 8, (400, 424), price)
                at_us += int(self.rng.lognormvariate(4.6, 0.7) + 1) * SECOND
                self.tape.cancel(at_us, bid)
                at_us += self.rng.randint(1, 60) * SECOND

    def _spend_late(self) -> None:
        """Three companies that had no work before, and use most of a voucher before it expires.

        Two buy where many do, one at a small provider, of which it becomes the largest customer by far.
        """
        for provider in (self.providers[-1], self.small[0], self.providers[-1]):
            buyer = party()
            expires_us = START_US + self.rng.randint(6, 13) * DAY
            for number in range(4):
                spent = Spent(buyer.id, 7, 200_000, 1_000_000, expires_us)
                at_us = expires_us - (4 - number) * self.rng.randint(9, 17) * HOUR
                self.tape.deal(
                    at_us, buyer, provider, "t4.a", 8, (400, 424), 420, aid_bps=2_480, spent=(spent,)
                )

    def _reprice(self, at_us: int) -> None:
        """A provider moves its price, down as often as up."""
        product = self.rng.choice(list(PRODUCTS))
        asks = self.asks[product]
        old = asks.pop(self.rng.randrange(len(asks)))
        self.tape.cancel(at_us, old)
        change = self.rng.choice([-15, -8, -5, -3, 3, 5, 8, 15])
        price = max(1, old.price * (100 + change) // 100)
        fair = PRODUCTS[product]
        price = min(max(price, fair * 80 // 100), fair * 130 // 100)
        window = (1, 700)
        moment_us = at_us + self.rng.randint(1, 60) * SECOND
        asks.append(self.tape.place(moment_us, old.owner, "sell", product, old.quantity, window, price))

    def _move_cash(self, at_us: int) -> None:
        if self.rng.random() < 0.5:
            self.tape.cash(
                at_us, self.rng.choice(self.providers), "withdrawal", self.rng.randint(10**5, 10**8)
            )
        else:
            self.tape.cash(at_us, self.rng.choice(self.buyers), "deposit", self.rng.randint(10**5, 10**8))

    def _change_mind(self, at_us: int) -> None:
        """A company asks for less than the market wants, and gives up after a while, sometimes soon."""
        product = self.rng.choice(list(PRODUCTS))
        price = PRODUCTS[product] * self.rng.randint(60, 90) // 100
        start = (at_us - START_US) // HOUR + self.rng.randint(1, 48)
        buyer = self.rng.choice(self.buyers)
        window = (start, start + self.rng.randint(1, 24))
        bid = self.tape.place(at_us, buyer, "buy", product, self.rng.randint(1, 32), window, price)
        wait_s = int(self.rng.lognormvariate(6.0, 2.0)) + 1
        self.tape.cancel(at_us + min(wait_s, 86_400) * SECOND, bid)

    def _buy(self, at_us: int) -> None:
        product = self.rng.choice(list(PRODUCTS))
        buyer = self.rng.choice(self.buyers)
        asks = [each for each in self.asks[product] if each.at_us < at_us and not _are_one(each.owner, buyer)]
        ask = min(self.rng.sample(asks, min(3, len(asks))), key=lambda each: each.price)
        start = (at_us - START_US) // HOUR + self.rng.randint(1, 72)
        hours = self.rng.choice([1, 1, 2, 4, 8, 24])
        quantity = self.rng.choice([1, 1, 2, 4, 8, 16])
        bid = self.tape.place(at_us, buyer, "buy", product, quantity, (start, start + hours), ask.price)
        spent = self._spend(buyer, quantity * hours * ask.price // 2, at_us)
        aid_bps = 5_000 if spent else 0
        trade = self.tape.fill(at_us, bid, ask, aid_bps=aid_bps, spent=spent, ask_is_done=False)
        self.leases.append((product, ask.owner, trade))

    def _spend(self, buyer: Party, amount_fen: int, at_us: int) -> tuple[Spent, ...]:
        voucher = self.vouchers.get(buyer.id)
        if voucher is None or voucher.left_fen < amount_fen or at_us >= voucher.expires_us:
            return ()
        voucher.left_fen -= amount_fen
        return (Spent(voucher.id, 7, amount_fen, voucher.face_fen, voucher.expires_us),)

    def _settle(self) -> None:
        """Let hours be delivered; an outage takes a provider's whole product out, whoever pays."""
        out: dict[tuple[int, str, int], bool] = {}
        for product, provider, trade in self.leases:
            failed: list[int] = []
            delivered: list[int] = []
            for hour in range(trade.starts_hour, trade.ends_hour):
                key = (provider.id, product, hour)
                (failed if out.setdefault(key, self.rng.random() < 0.004) else delivered).append(hour)
            if failed:
                at_us = (trade.starts_hour - 1) * HOUR + HOUR // 2
                self.tape.outage(max(at_us, START_HOUR * HOUR), provider, product, trade, failed)
            if trade.aid_fen:
                for hour in delivered:
                    self.tape.deliver((hour + 1) * HOUR, provider, product, trade, hour)


def _are_one(first: Party, second: Party) -> bool:
    return first.id == second.id or (first.group_id is not None and first.group_id == second.group_id)
