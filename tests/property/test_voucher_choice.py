"""Shares and choices for any vouchers: what no hand-made case would think of. Pure, no database."""

from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from exchange.vouchers.models import UsableVoucher, VoucherStatus
from exchange.vouchers.programme_models import BASIS_POINTS, RequiredOrigin
from exchange.vouchers.rules import choose, programme_mask, share_fen, unusable_because

NOW_US = 1_000
BUYER_ID = 5

notionals_fen = st.integers(0, 10**15)
rates_bps = st.integers(1, BASIS_POINTS)
origins = st.sampled_from(["domestic", "foreign"])


@st.composite
def wallets(draw: st.DrawFn) -> list[UsableVoucher]:
    """Return the vouchers of one buyer: few programmes and times, so that ties and mixtures are common."""
    rate_of = {(programme, version): draw(rates_bps) for programme in (1, 2) for version in (1, 2)}
    ids = draw(st.lists(st.integers(1, 50), max_size=8, unique=True))
    wallet = []
    for voucher_id in ids:
        programme, version = draw(st.sampled_from(sorted(rate_of)))
        wallet.append(
            UsableVoucher(
                voucher_id=voucher_id,
                programme_id=programme,
                programme_version=version,
                buyer_id=BUYER_ID,
                rate_bps=rate_of[programme, version],
                mask=programme_mask(programme),
                origin_required=draw(st.sampled_from(RequiredOrigin))
                if programme == 1
                else RequiredOrigin.ANY,
                status=draw(st.sampled_from([VoucherStatus.ACTIVE, *VoucherStatus])),
                expires_at_us=draw(st.integers(NOW_US - 1, NOW_US + 3)),
                account_id=voucher_id,
                escrow_account_id=100 + voucher_id,
                available_fen=draw(st.integers(0, 3)),
            )
        )
    return wallet


@given(notionals_fen, rates_bps)
def test_a_share_is_the_largest_whole_part_not_above_the_rate(notional_fen: int, rate_bps: int) -> None:
    share = share_fen(notional_fen, rate_bps)
    assert share * BASIS_POINTS <= notional_fen * rate_bps < (share + 1) * BASIS_POINTS
    own = notional_fen - share
    assert own + share == notional_fen
    assert own >= 0


@given(st.lists(notionals_fen, max_size=6), rates_bps)
def test_fills_taken_apart_never_get_more_than_taken_together(parts: list[int], rate_bps: int) -> None:
    together = share_fen(sum(parts), rate_bps)
    apart = sum(share_fen(part, rate_bps) for part in parts)
    assert together - len(parts) <= apart <= together


@given(notionals_fen, notionals_fen, rates_bps)
def test_a_larger_bill_never_has_a_smaller_share_or_a_smaller_rest(
    one: int, other: int, rate_bps: int
) -> None:
    small, large = sorted((one, other))
    assert share_fen(small, rate_bps) <= share_fen(large, rate_bps)
    assert small - share_fen(small, rate_bps) <= large - share_fen(large, rate_bps)


def assert_well_chosen(chosen: Sequence[UsableVoucher], origin: str) -> None:
    """Check what holds of any chosen vouchers: usable, of one version of one programme, in spending order."""
    assert all(unusable_because(each, origin, NOW_US) is None for each in chosen)
    assert len({(each.programme_id, each.programme_version) for each in chosen}) <= 1
    order = [(each.expires_at_us, each.voucher_id) for each in chosen]
    assert order == sorted(order)


@given(wallets(), origins)
def test_auto_spends_first_what_expires_first_and_leaves_nothing_usable_of_its_programme(
    wallet: list[UsableVoucher], origin: str
) -> None:
    choice = choose(wallet, "auto", origin, NOW_US)
    assert not choice.refusals
    assert_well_chosen(choice.vouchers, origin)
    usable = [each for each in wallet if unusable_because(each, origin, NOW_US) is None]
    assert bool(choice.vouchers) == bool(usable)
    if not usable:
        assert (choice.programme_id, choice.programme_version, choice.mask, choice.rate_bps) == (
            None,
            None,
            0,
            0,
        )
        return
    first = min(usable, key=lambda each: (each.expires_at_us, each.voucher_id))
    assert choice.vouchers[0] is first
    version = first.programme_id, first.programme_version
    assert (choice.programme_id, choice.programme_version) == version
    assert (choice.mask, choice.rate_bps) == (first.mask, first.rate_bps)
    assert set(choice.vouchers) == {
        each for each in usable if (each.programme_id, each.programme_version) == version
    }


@st.composite
def wallets_and_wishes(draw: st.DrawFn) -> tuple[list[UsableVoucher], tuple[int, ...]]:
    """Return a wallet and some vouchers named out of it, or out of nowhere."""
    wallet = draw(wallets())
    own = st.sampled_from([each.voucher_id for each in wallet] or [1])
    numbers = draw(
        st.one_of(own, st.integers(1, 50)).flatmap(lambda one: st.lists(own).map(lambda some: [one, *some]))
    )
    return wallet, tuple(numbers)


@given(wallets_and_wishes(), origins)
def test_named_vouchers_are_all_spent_or_refused(
    wallet_and_wish: tuple[list[UsableVoucher], tuple[int, ...]], origin: str
) -> None:
    wallet, wish = wallet_and_wish
    choice = choose(wallet, wish, origin, NOW_US)
    assert_well_chosen(choice.vouchers, origin)
    if choice.refusals:
        assert (choice.vouchers, choice.programme_id, choice.mask) == ((), None, 0)
        refused = [each.voucher_id for each in choice.refusals]
        assert len(set(refused)) == len(refused)
        assert set(refused) <= set(wish)
        usable = {each.voucher_id for each in wallet if unusable_because(each, origin, NOW_US) is None}
        assert all(
            each.voucher_id not in usable or each.code == "voucher_of_another_programme"
            for each in choice.refusals
        )
        assert usable.isdisjoint(refused) or usable >= set(wish)
    else:
        assert {each.voucher_id for each in choice.vouchers} == set(wish)


@given(wallets(), origins, st.randoms(use_true_random=False))
def test_the_order_in_which_vouchers_are_read_does_not_matter(
    wallet: list[UsableVoucher], origin: str, random: Random
) -> None:
    shuffled = list(wallet)
    random.shuffle(shuffled)
    assert choose(shuffled, "auto", origin, NOW_US) == choose(wallet, "auto", origin, NOW_US)
