"""Goal: the worked example of docs/vouchers.md is what the exchange does, to the fen.

Method: the functions that fund, settle and deliver real orders, on the example's figures, which were worked
out by hand.
"""

from typing import Final

from exchange.programmes.models import CapacityRule, RateTier, RequiredOrigin
from exchange.settlement.models import CASH_VOUCHER_ID, LeaseFunding, Terms
from exchange.settlement.rules import hour_parts, targets
from exchange.vouchers.choice import choose
from tests.voucher_facts import facts, rules_of, usable

CITY: Final = rules_of(stacking="ceiling", rate_tiers=(RateTier(bps=3_000),))
NATION: Final = rules_of(
    stacking="ceiling",
    stacking_ceiling_bps=5_000,
    rate_tiers=(RateTier(bps=2_000),),
    capacity=CapacityRule(origin=RequiredOrigin.DOMESTIC),
)
ORDER: Final = facts("domestic", quantity_gpus=24, hours=2, price_ticks=350)


def test_the_worked_example_of_two_programmes_on_one_order() -> None:
    wallet = [usable(1, CITY, available_fen=100_000), usable(2, NATION, available_fen=100_000)]
    shares = choose(wallet, "auto", ORDER).shares
    assert [(each.share.rate_bps, each.placed_fen) for each in shares] == [(3_000, 5_040), (2_000, 3_360)]
    terms = {
        only_eligible: Terms(
            limit_ticks=350,
            hours=2,
            shares=tuple(each.share for each in shares),
            only_eligible=only_eligible,
        )
        for only_eligible in (True, False)
    }

    def kept(filled_fen: int, open_gpus: int, *, only_eligible: bool) -> tuple[int, ...]:
        """Return the cash kept and what is committed of each share, all fills being eligible."""
        found = targets(
            terms[only_eligible],
            placed_fen=[5_040, 3_360],
            filled_notional_fen=filled_fen,
            eligible_fen=[filled_fen] * 2,
            open_gpus=open_gpus,
        )
        return (found.cash_kept_fen, *found.committed_fen)

    # 24 x 2 x 3.50 are 168.00; only_eligible sets its own half aside, and a fen for a second rounding.
    assert kept(0, 24, only_eligible=False) == (16_800, 0, 0)
    assert kept(0, 24, only_eligible=True) == (8_401, 0, 0)
    # 8 x 2 x 2.51 are 40.16: 12.048 and 8.032, and 20.09 in cash, beside 16 x 2 x 3.50 that stay open.
    assert kept(4_016, 16, only_eligible=False) == (2_009 + 11_200, 1_204, 803)
    # 16 x 2 x 2.57 more are 122.40 in all: 36.72 and 24.48, and 61.20 in cash.
    for only_eligible in (True, False):
        assert kept(4_016 + 8_224, 0, only_eligible=only_eligible)[1:] == (3_672, 2_448)
    assert kept(12_240, 0, only_eligible=False)[0] == 6_120


def test_the_hours_of_the_worked_example() -> None:
    def part(voucher_id: int, committed_fen: int, captured_fen: int = 0) -> LeaseFunding:
        return LeaseFunding(
            lease_id=1,
            voucher_id=voucher_id,
            asset="",
            source_account_id=0,
            escrow_account_id=0,
            committed_fen=committed_fen,
            captured_fen=captured_fen,
        )

    first = hour_parts(251, 8, [part(CASH_VOUCHER_ID, 2_009), part(1, 1_204), part(2, 803)], delivered=True)
    assert [each.amount_fen for each in first] == [1_005, 602, 401]
    second = hour_parts(
        251, 8, [part(CASH_VOUCHER_ID, 2_009, 1_005), part(1, 1_204, 602), part(2, 803, 401)], delivered=True
    )
    assert [each.amount_fen for each in second] == [1_004, 602, 402]
