"""Goal: the limiter lets through exactly what its policies say, and forgets who is silent.

Method: against a slow model that keeps every grant for ever, in exact fractions: a bucket of quota q that
drains q / w a second, and takes a request where it fits.
"""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from exchange.kit.clock import US_PER_SECOND
from exchange.kit.rates import Claim, MemoryLimiter, Policy

Grants = dict[tuple[str, str | int], list[tuple[int, int]]]


class SlowModel:
    """All that was ever granted, and what follows from it."""

    def __init__(self) -> None:
        self.grants: Grants = {}

    def level(self, policy: Policy, caller: str | int, now_us: int) -> Fraction:
        """Return how full the caller's bucket is, in requests."""
        level, last_us = Fraction(0), 0
        for at_us, cost in self.grants.get((policy.name, caller), []):
            drained = Fraction((at_us - last_us) * policy.quota, policy.window_s * US_PER_SECOND)
            level, last_us = max(Fraction(0), level - drained) + cost, at_us
        drained = Fraction((now_us - last_us) * policy.quota, policy.window_s * US_PER_SECOND)
        return max(Fraction(0), level - drained)

    def fits(self, claims: list[Claim], cost: int, now_us: int) -> bool:
        """Tell whether a request may come in; a cost of 0 asks whether one of 1 would."""
        return all(
            self.level(policy, caller, now_us) + max(cost, 1) <= policy.quota for policy, caller in claims
        )

    def grant(self, claims: list[Claim], cost: int, now_us: int) -> None:
        """Note that it came in."""
        for policy, caller in claims:
            self.grants.setdefault((policy.name, caller), []).append((now_us, cost))


policies = st.builds(Policy, st.just(""), st.integers(1, 12), st.integers(1, 5))
steps = st.lists(
    st.tuples(
        st.integers(0, 4 * US_PER_SECOND) | st.integers(0, 300_000),
        st.integers(0, 14),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=60,
)


@given(first=policies, second=policies, steps=steps)
def test_what_comes_in_is_what_a_model_without_forgetting_lets_in(
    first: Policy, second: Policy, steps: list[tuple[int, int, int, bool]]
) -> None:
    pair = first._replace(name="key"), second._replace(name="participant")
    now = [1_000_000]
    limiter, model = MemoryLimiter(lambda: now[0]), SlowModel()
    for passed_us, cost, caller, both in steps:
        now[0] += passed_us
        claims: list[Claim] = [(pair[0], caller)]
        if both:
            claims.append((pair[1], f"owner {caller // 2}"))
        decision = limiter.take_now(claims, cost)
        fits = model.fits(claims, cost, now[0])
        assert (decision.refused_by is None) == fits
        if fits:
            model.grant(claims, cost, now[0])
        for (policy, who), debt in zip(claims, decision.debts, strict=True):
            level = model.level(policy, who, now[0])
            assert Fraction(debt, policy.window_s * US_PER_SECOND) == level
        if decision.refused_by is not None and decision.retry_after_s is not None:
            after = [
                model.level(policy, who, now[0] + decision.retry_after_s * US_PER_SECOND) + max(cost, 1)
                <= policy.quota
                for policy, who in claims
                if policy is decision.refused_by
            ]
            assert all(after)
        elif decision.refused_by is not None:
            assert cost > decision.refused_by.quota


@given(
    quota=st.integers(1, 50),
    window_s=st.integers(1, 5),
    waits_us=st.lists(st.integers(0, 200_000), min_size=1, max_size=300),
)
def test_no_span_of_time_sees_more_than_the_quota_and_its_share(
    quota: int, window_s: int, waits_us: list[int]
) -> None:
    now = [0]
    limiter = MemoryLimiter(lambda: now[0])
    granted = []
    for wait_us in waits_us:
        now[0] += wait_us
        if limiter.take_now([(Policy("key", quota, window_s), 1)]).refused_by is None:
            granted.append(now[0])
    for place, begin_us in enumerate(granted):
        for count, end_us in enumerate(granted[place:], 1):
            assert count <= quota + Fraction((end_us - begin_us) * quota, window_s * US_PER_SECOND)


def test_who_is_silent_is_forgotten_and_a_crowd_takes_bounded_memory() -> None:
    now = [0]
    limiter = MemoryLimiter(lambda: now[0], callers_max=100)
    policy = Policy("address", 5, 1)
    for number in range(1_000):
        now[0] += 100
        limiter.take_now([(policy, number)])
    assert limiter.callers <= 101
    # The crowd shares one quota, so to come under ever new names gains nothing.
    granted = sum(limiter.take_now([(policy, f"new {n}")]).refused_by is None for n in range(1_000))
    assert granted <= 5
    for _ in range(2):
        now[0] += US_PER_SECOND
        limiter.take_now([(policy, "one")])
    assert limiter.callers <= 2


def test_a_limit_that_is_used_up_by_one_claim_costs_the_other_nothing() -> None:
    limiter = MemoryLimiter(lambda: 0)
    wide, narrow = Policy("key", 10, 1), Policy("participant", 1, 1)
    assert limiter.take_now([(wide, 1), (narrow, 7)]).refused_by is None
    for _ in range(20):
        assert limiter.take_now([(wide, 1), (narrow, 7)]).refused_by is narrow
    assert limiter.take_now([(wide, 1)], 9).refused_by is None
    assert limiter.take_now([(wide, 1)]).refused_by is wide


@given(
    policy=policies,
    steps=st.lists(st.tuples(st.integers(0, 4 * US_PER_SECOND), st.integers(0, 14)), max_size=40),
)
def test_what_is_given_back_was_never_taken(policy: Policy, steps: list[tuple[int, int]]) -> None:
    now = [1_000_000]
    plain, tried = MemoryLimiter(lambda: now[0]), MemoryLimiter(lambda: now[0])
    claims: list[Claim] = [(policy, "caller")]
    for passed_us, cost in steps:
        now[0] += passed_us
        if tried.take_now(claims).refused_by is None:
            tried.give_back(claims)
        assert tried.take_now(claims, cost) == plain.take_now(claims, cost)
