"""Everything a machine over vouchers knows: programmes, vouchers, bids, leases, claims, plain as can be.

`take_...` brings in what the exchange answered or stored, and asserts that the rules allow it; the rest says
what must be so. `tests.plain_vouchers` and `tests.plain_market` have the parts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor

import msgspec

from exchange.kit.auth import Principal
from exchange.kit.errors import Refusal
from exchange.kit.ids import encode_id
from exchange.orders.models import LIVE_STATUSES, OrderView
from exchange.vouchers.models import Capture
from tests.plain_claim import PlainClaim, line_order
from tests.plain_market import CASH, PlainAsk, PlainBid, PlainLease, PlainShare, SeenLease
from tests.plain_vouchers import BPS, PlainAid, PlainProgramme, PlainVoucher, shares_of
from tests.voucher_market import fen_of, number_of

MovedHours = Mapping[tuple[int, int, bool], Mapping[int, int]]


class WantedBid(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer asks for; `reference` is the reference price of the product."""

    buyer_id: int
    limit: int
    hours: int
    gpus: int
    reference: int
    vouchers: str | tuple[int, ...]
    policy: str

    @property
    def only_eligible(self) -> bool:
        """Whether it trades with admitted providers only."""
        return self.policy == "only_eligible" and self.vouchers != "none"


class PlainExchange:
    """The model of one market."""

    def __init__(self, *, groups: Mapping[int, int | None], cash_fen: int, fee_bps: int) -> None:
        """Begin with buyers, their trade groups and their cash; nothing else."""
        self.groups = groups
        self.fee_bps = fee_bps
        self.cash_fen: Counter[int] = Counter(dict.fromkeys(groups, cash_fen))
        self.reimbursed_fen: Counter[int] = Counter()
        self.programmes: dict[int, PlainProgramme] = {}
        self.vouchers: dict[int, PlainVoucher] = {}
        self.asks: dict[int, PlainAsk] = {}
        self.bids: dict[int, PlainBid] = {}
        self.references: dict[int, int] = {}
        self.leases: dict[int, PlainLease] = {}
        self.unclaimed: list[Capture] = []
        self.claims: dict[int, PlainClaim] = {}

    def shares_of(self, wanted: WantedBid, now_us: int, year: int) -> list[PlainShare] | None:
        """Return what pays for a bid beside its buyer; None where what it asks for cannot be."""
        if wanted.vouchers == "none":
            return []
        wallets = self._wallets(wanted, now_us, year)
        aids = []
        for programme_id, wallet in wallets.items():
            programme = self.programmes[programme_id]
            left_fen = self._left_fen(programme, wanted.buyer_id, year)
            free_fen = sum(voucher.parts["available"] for voucher in wallet)
            aids.append(
                PlainAid(
                    programme_id=programme_id,
                    rules=programme.rules,
                    eligible_fen=self._eligible_limit(programme, wanted) * wanted.hours * wanted.gpus,
                    free_fen=free_fen if left_fen is None else min(free_fen, left_fen),
                )
            )
        shares = [self._share(aid, rate, wallets[aid.programme_id], wanted) for aid, rate in shares_of(aids)]
        paying = [share for share in shares if share.placed]
        if wanted.vouchers != "auto":
            usable = {voucher.id for wallet in wallets.values() for voucher in wallet}
            if not set(wanted.vouchers) <= usable or len(paying) < len(wallets):
                return None
        return None if wanted.only_eligible and not paying else paying

    def _wallets(self, wanted: WantedBid, now_us: int, year: int) -> dict[int, list[PlainVoucher]]:
        """Return the vouchers that can pay, soonest-expiring first, by programme in this order."""
        own = [each for each in self.vouchers.values() if each.buyer_id == wanted.buyer_id]
        if isinstance(wanted.vouchers, tuple):
            own = [each for each in own if each.id in wanted.vouchers]
        wallets: dict[int, list[PlainVoucher]] = {}
        for voucher in sorted(own, key=lambda each: (each.expires_at_us, each.id)):
            programme = self.programmes[voucher.programme_id]
            bill_fen = self._eligible_limit(programme, wanted) * wanted.hours * wanted.gpus
            if (
                voucher.is_usable(now_us)
                and floor(programme.rules.rate * bill_fen) > 0
                and self._left_fen(programme, wanted.buyer_id, year) != 0
            ):
                wallets.setdefault(programme.id, []).append(voucher)
        return wallets

    def _left_fen(self, programme: PlainProgramme, buyer_id: int, year: int) -> int | None:
        return programme.cap_left_fen(year, buyer_id, self.groups[buyer_id])

    def _eligible_limit(self, programme: PlainProgramme, wanted: WantedBid) -> int:
        by_reference = programme.rules.price_cap == "reference"
        return min(wanted.limit, wanted.reference) if by_reference else wanted.limit

    def _share(
        self, aid: PlainAid, rate: Fraction, wallet: Sequence[PlainVoucher], wanted: WantedBid
    ) -> PlainShare:
        left_fen = min(floor(rate * aid.eligible_fen), aid.free_fen)
        placed = []
        for voucher in wallet:
            part_fen = min(left_fen, voucher.parts["available"])
            if part_fen:
                placed.append((voucher, part_fen))
                left_fen -= part_fen
        programme = self.programmes[aid.programme_id]
        limit = self._eligible_limit(programme, wanted)
        return PlainShare(programme, rate, limit, placed)

    def take_bid(
        self,
        wanted: WantedBid,
        answer: OrderView | Refusal,
        *,
        free_fen: tuple[int, int],
        now_us: int,
        year: int,
    ) -> int:
        """Take in what came of a bid, of which nothing is filled yet, and return what cash it needed at most.

        `free_fen` says between which amounts the cash was that its buyer had for it.
        """
        shares = self.shares_of(wanted, now_us, year)
        if shares is None:
            assert isinstance(answer, Refusal)
            assert answer.code == "no_usable_voucher"
            return 0
        bid = PlainBid(
            buyer_id=wanted.buyer_id,
            limit=wanted.limit,
            hours=wanted.hours,
            gpus=wanted.gpus,
            shares=shares,
            only_eligible=wanted.only_eligible,
            year=year,
        )
        least_fen, most_fen = bid.cash_bounds()
        if isinstance(answer, Refusal):
            assert answer.code in {"insufficient_funds", "order_rejected"}, answer
            assert answer.code != "insufficient_funds" or most_fen > free_fen[0]
            return 0
        assert least_fen <= free_fen[1]
        told = [(each.programme_id, each.programme_version, each.rate_bps) for each in answer.shares or ()]
        expected = [
            (encode_id("prg", each.programme.id), each.version, int(each.rate * BPS)) for each in shares
        ]
        assert told == expected, "other programmes pay, or at other rates, than the rules say"
        self._judge_shares(shares)
        bid.place()
        self.bids[number_of("ord", answer.id)] = bid
        self.references[number_of("ord", answer.id)] = wanted.reference
        self.count_use()
        return most_fen

    def _judge_shares(self, shares: Sequence[PlainShare]) -> None:
        """Say the rules of stacking once more, of what pays, and not of how it was chosen."""
        assert all(0 < share.rate <= share.rules.rate for share in shares)
        assert sum(share.rate for share in shares) <= min([Fraction(1), *(s.rules.ceiling for s in shares)])
        assert len(shares) < 2 or all(share.rules.stacking == "ceiling" for share in shares)
        firsts = [(share.placed[0][0].expires_at_us, share.placed[0][0].id) for share in shares]
        assert firsts == sorted(firsts), "programmes do not stand soonest-expiring first"

    def take_leases(self, leases: Sequence[SeenLease]) -> None:
        """Take in fills, in the order in which they were made."""
        for seen in leases:
            bid = self.bids[seen.bid_id]
            assert not bid.is_over
            bid.fill(seen, self.asks[seen.ask_id], self.references[seen.bid_id])
            bid.release()
            self.leases[seen.id] = PlainLease(seen, bid)
        self.count_use()

    def take_orders(self, orders: Mapping[int, OrderView]) -> None:
        """Compare bids with what their buyers are told: how much is open, and what is set aside for it."""
        for bid_id, told in orders.items():
            bid = self.bids[bid_id]
            bid.is_over = told.status not in LIVE_STATUSES
            assert told.remaining_gpus == (0 if bid.is_over else bid.open_gpus)
            bid.release()
            assert told.held is not None
            held = {number_of("vch", each.voucher_id): fen_of(each.held_cny) for each in told.held.vouchers}
            expected = {
                voucher: fen for share in bid.shares for voucher, fen in share.held_fen.items() if fen
            }
            assert held == expected, "a bid does not set aside what its vouchers may still pay"
            least_fen, most_fen = bid.cash_bounds()
            assert least_fen <= fen_of(told.held.cash_cny) <= most_fen
        self.count_use()

    def count_use(self) -> None:
        """Count what orders use of each programme that caps it, by the year they were placed in."""
        for programme in self.programmes.values():
            programme.used_fen.clear()
        for bid in self.bids.values():
            for share in bid.shares:
                if share.rules.cap_fen is None or not share.rules.caps_use:
                    continue
                for subject_id in {bid.buyer_id, self.groups[bid.buyer_id]} - {None}:
                    share.programme.used_fen[bid.year, subject_id or 0] += share.used_fen

    def take_hours(self, moved: MovedHours, settled_until_hour: int) -> None:
        """Settle every hour that is due: delivered, or failed where its provider said so."""
        for lease in self.leases.values():
            while lease.hours_left and lease.next_hour < settled_until_hour:
                hour, failed = lease.next_hour, lease.next_hour in lease.failing
                assert (lease.seen.id, hour, failed) not in moved, "what failed is paid, or the other way"
                parts = moved[lease.seen.id, hour, not failed]
                lease.settle(parts)
                self._follow_hour(lease, hour, parts, failed=failed)
        due = {(each.seen.id, hour) for each in self.leases.values() for hour in each.settled_hours}
        assert {(lease_id, hour) for lease_id, hour, _ in moved} == due, "an hour is settled before its time"
        self.count_use()

    def _follow_hour(self, lease: PlainLease, hour: int, parts: Mapping[int, int], *, failed: bool) -> None:
        seen = lease.seen
        for part, fen in parts.items():
            if part == CASH:
                continue
            if failed:
                self.vouchers[part].move("committed", "available", fen)
                lease.share_of(part).returned_fen += fen
                continue
            self.vouchers[part].move("committed", "captured", fen)
            follows = part in lease.follows
            self.unclaimed.append(
                Capture(
                    lease_id=seen.id,
                    delivery_hour=hour,
                    voucher_id=part,
                    programme_id=self.vouchers[part].programme_id,
                    programme_version=lease.share_of(part).version,
                    provider_id=seen.provider_id,
                    claimant_id=seen.buyer_id if follows else seen.provider_id,
                    amount_fen=fen,
                )
            )
        if not failed:
            cash_fen = parts.get(CASH, 0)
            lease.delivered_fen += seen.hour_price_fen
            due_fen = ceil(Fraction(self.fee_bps, BPS) * lease.delivered_fen)
            fee_fen = min(due_fen - lease.fee_fen, cash_fen)
            lease.fee_fen += fee_fen
            self.cash_fen[seen.buyer_id] -= cash_fen
            self.cash_fen[seen.provider_id] += cash_fen - fee_fen

    def take_claim(self, claim_id: int, claimant: Principal, programme_id: int) -> PlainClaim:
        """Take in an open claim of everything that is a claimant's under a programme."""
        lines = self.claimable(claimant, programme_id)
        self.unclaimed = [each for each in self.unclaimed if each not in lines]
        claim = self.claims[claim_id] = PlainClaim(claimant, sorted(lines, key=line_order))
        return claim

    def claimable(self, claimant: Principal, programme_id: int) -> list[Capture]:
        """Return what a claimant can claim under a programme now."""
        mine = claimant.participant_id, programme_id
        return [each for each in self.unclaimed if (each.claimant_id, each.programme_id) == mine]

    def follow_claim(self, claim: PlainClaim, to: str, fen: int | None, issuer_id: int) -> None:
        """Take in a step of a claim that was taken, and what it means for the money."""
        claim.status = to
        claimant_id = claim.claimant.participant_id
        if to == "submitted":
            self._shift(claim, "captured", "claimed")
        elif to == "rejected":
            self._shift(claim, "claimed", "captured")
            self.unclaimed += claim.lines
            claim.lines, claim.left_fen = [], []
        elif to == "reduced" and fen is not None:
            self._shift(claim, "claimed", "reduced", claim.take_off(sum(claim.left_fen) - fen))
        elif to == "paid":
            self._shift(claim, "claimed", "paid")
            self._pay(issuer_id, claimant_id, sum(claim.left_fen))
        elif to == "clawback_open" and fen is not None:
            claim.clawback_fen = fen
        elif to == "recovered":
            self._shift(claim, "paid", "recovered", claim.take_off(claim.clawback_fen))
            self._pay(issuer_id, claimant_id, -claim.clawback_fen)

    def _shift(self, claim: PlainClaim, source: str, target: str, parts: list[int] | None = None) -> None:
        for line, fen in zip(claim.lines, parts or claim.left_fen, strict=True):
            self.vouchers[line.voucher_id].move(source, target, fen)

    def _pay(self, issuer_id: int, claimant_id: int, fen: int) -> None:
        self.cash_fen[issuer_id] -= fen
        self.cash_fen[claimant_id] += fen
        self.reimbursed_fen[claimant_id] += fen

    def sweep(self, now_us: int) -> None:
        """Let an hour begin."""
        for voucher in self.vouchers.values():
            voucher.sweep(now_us)

    @property
    def captures(self) -> dict[tuple[int, int, int], tuple[int, int]]:
        """Return (claimant, fen) of every captured (lease, hour, voucher)."""
        found = {}
        for lease in self.leases.values():
            for (hour, part), fen in lease.captured.items():
                seen = lease.seen
                claimant_id = seen.buyer_id if part in lease.follows else seen.provider_id
                found[seen.id, hour, part] = claimant_id, fen
        return found

    @property
    def uses(self) -> dict[tuple[int, int, int], int]:
        """Return what orders use of each programme that caps it, by (programme, year, company or group)."""
        return {
            (each.id, *key): fen
            for each in self.programmes.values()
            for key, fen in each.used_fen.items()
            if fen
        }
