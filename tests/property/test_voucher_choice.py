"""Shares and choices for any vouchers: what no hand-made case would think of. Pure, no database."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from exchange.programmes.facts import Facts
from exchange.programmes.models import BASIS_POINTS, CapacityRule, RateTier, RequiredOrigin
from exchange.programmes.rules import programme_mask
from exchange.vouchers.choice import VOUCHERS_PER_SHARE, choose, offer_of, unusable_because
from exchange.vouchers.models import UsableVoucher, VoucherChoice, VoucherStatus
from exchange.vouchers.rules import share_fen
from tests.voucher_facts import AT_US, facts, paying, rules_of, usable, version_of

NOW_US = 1_000
BUYER_ID = 5

notionals_fen = st.integers(0, 10**15)
rates_bps = st.integers(1, BASIS_POINTS)
origins = st.sampled_from(["domestic", "foreign"])


@st.composite
def wallets(draw: st.DrawFn) -> list[UsableVoucher]:
    """Return the vouchers of one buyer: few programmes and times, so that ties and mixtures are common."""
    versions = {}
    for programme in (1, 2, 3):
        origin = draw(st.sampled_from(RequiredOrigin)) if programme == 1 else RequiredOrigin.ANY
        stacking = draw(st.sampled_from(["none", "higher_of", "ceiling", "ceiling", "ceiling"]))
        ceiling_bps = draw(st.none() | rates_bps) if stacking == "ceiling" else None
        versions[programme] = tuple(
            version_of(
                rules_of(
                    rate_tiers=(RateTier(bps=draw(rates_bps)),),
                    capacity=CapacityRule(origin=origin),
                    stacking=stacking,
                    stacking_ceiling_bps=ceiling_bps,
                ),
                number,
                ordinal=3 * programme + number,
                effective_from_us=NOW_US - 2 + number,
            )
            for number in (1, 2, 3)
        )
    ids = draw(st.lists(st.integers(1, 50), max_size=8, unique=True))
    wallet = []
    for voucher_id in ids:
        programme = draw(st.sampled_from([1, 2, 3]))
        wallet.append(
            UsableVoucher(
                voucher_id=voucher_id,
                programme_id=programme,
                buyer_id=BUYER_ID,
                versions=versions[programme],
                status=draw(st.sampled_from([VoucherStatus.ACTIVE, *VoucherStatus])),
                expires_at_us=draw(st.integers(NOW_US - 1, NOW_US + 3)),
                account_id=voucher_id,
                escrow_account_id=100 + voucher_id,
                available_fen=draw(st.one_of(st.integers(0, 3), st.integers(0, 20_000))),
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


def is_usable(voucher: UsableVoucher, origin: str) -> bool:
    """Whether nothing speaks against a voucher."""
    offer = offer_of(voucher.programme_id, voucher.versions, order(origin))
    return unusable_because(voucher, offer, NOW_US) is None


def order(origin: str) -> Facts:
    """Return an order of a product of this origin, at the tests' time."""
    return facts(origin, at_us=NOW_US)


def assert_well_chosen(choice: VoucherChoice, origin: str) -> None:
    """Check what holds of any choice: usable vouchers in spending order, shares within rates and ceilings."""
    facts_ = order(origin)
    assert all(is_usable(each, origin) for each in paying(choice))
    programmes = [each.share.programme_id for each in choice.shares]
    assert len(set(programmes)) == len(programmes)
    firsts = [spent_when(each.parts[0][0]) for each in choice.shares]
    assert firsts == sorted(firsts)
    ceilings = [10_000]
    for funded in choice.shares:
        wallet = [voucher for voucher, _ in funded.parts]
        assert {each.programme_id for each in wallet} == {funded.share.programme_id}
        assert wallet == sorted(wallet, key=spent_when)
        assert all(0 < fen <= voucher.available_fen for voucher, fen in funded.parts)
        version = wallet[0].versions[1]  # the second begins now, the third later
        assert funded.share.programme_version == version.number
        assert 0 < funded.share.rate_bps <= version.rules.rate_tiers[0].bps
        assert funded.share.mask == programme_mask(version.ordinal)
        assert funded.placed_fen <= share_fen(facts_.contract_fen, funded.share.rate_bps)
        left = share_fen(facts_.contract_fen, funded.share.rate_bps) - funded.placed_fen
        # Where the share is not covered, the vouchers that pay it are spent.
        assert not left or all(fen == voucher.available_fen for voucher, fen in funded.parts)
        ceilings.append(version.rules.stacking_ceiling_bps or 10_000)
        if version.rules.stacking != "ceiling":
            assert len(choice.shares) == 1
    assert sum(each.share.rate_bps for each in choice.shares) <= min(ceilings)


def spent_when(voucher: UsableVoucher) -> tuple[int, int]:
    """Return what vouchers are spent in order of."""
    return voucher.expires_at_us, voucher.voucher_id


@given(wallets(), origins)
def test_auto_lets_the_programme_pay_whose_voucher_expires_first_unless_another_pays_more(
    wallet: list[UsableVoucher], origin: str
) -> None:
    choice = choose(wallet, "auto", order(origin))
    assert not choice.refusals
    assert_well_chosen(choice, origin)
    usable = [each for each in wallet if is_usable(each, origin)]
    if not usable:
        assert choice.shares == ()
        return
    stackings = {each.versions[1].rules.stacking for each in usable}
    first = min(usable, key=spent_when)
    if "higher_of" not in stackings and first.versions[1].rules.stacking == "none":
        assert [each.share.programme_id for each in choice.shares] == [first.programme_id]
    if "higher_of" not in stackings and len(choice.shares) < len({each.programme_id for each in usable}):
        assert any(each.share.programme_id == first.programme_id for each in choice.shares) or (
            first.available_fen < 10  # what it covers of the order is less than a basis point, or than a fen
        )


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
    choice = choose(wallet, wish, order(origin))
    assert_well_chosen(choice, origin)
    if choice.refusals:
        assert choice.shares == ()
        refused = [each.voucher_id for each in choice.refusals]
        assert len(set(refused)) == len(refused)
        assert set(refused) <= set(wish)
        usable = {each.voucher_id for each in wallet if is_usable(each, origin)}
        assert all(
            each.voucher_id not in usable or each.code == "voucher_not_stackable" for each in choice.refusals
        )
        assert usable.isdisjoint(refused) or usable >= set(wish)
    else:
        named = {each.voucher_id: each.programme_id for each in wallet if each.voucher_id in wish}
        assert set(named) == set(wish)
        assert set(named.values()) == {each.share.programme_id for each in choice.shares}
        assert {each.voucher_id for each in paying(choice)} <= set(wish)


@given(wallets(), origins, st.randoms(use_true_random=False))
def test_the_order_in_which_vouchers_are_read_does_not_matter(
    wallet: list[UsableVoucher], origin: str, random: Random
) -> None:
    shuffled = list(wallet)
    random.shuffle(shuffled)
    assert choose(shuffled, "auto", order(origin)) == choose(wallet, "auto", order(origin))


def test_a_wallet_of_crumbs_spends_the_soonest_expiring_only() -> None:
    crumbs = [
        usable(1, rules_of(), voucher_id=number, available_fen=1, expires_at_us=AT_US + number)
        for number in range(1, 3 * VOUCHERS_PER_SHARE)
    ]
    choice = choose(crumbs[::-1], "auto", facts())
    assert paying(choice) == crumbs[:VOUCHERS_PER_SHARE]
