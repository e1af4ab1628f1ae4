"""Goal: a run-length profile equals a dictionary of hours. Method: the same changes on both."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.profile import Profile
from matching.units import BookCorrupt

START, END = 100, 112
changes = st.lists(
    st.one_of(
        st.tuples(st.just("carve"), st.integers(START, END - 1), st.integers(1, 12), st.integers(1, 4)),
        st.tuples(st.just("withdraw"), st.integers(1, 3)),
        st.tuples(st.just("trim"), st.integers(START, END)),
    ),
    max_size=12,
)


@given(changes)
def test_a_profile_is_a_dictionary_of_hours(drawn: list[tuple[str, int, int, int]]) -> None:
    profile = Profile.flat(START, END, 9)
    hours = dict.fromkeys(range(START, END), 9)
    for kind, *numbers in drawn:
        if kind == "carve":
            starts_hour, length, quantity = numbers
            window = range(starts_hour, starts_hour + length)
            room = min(hours.get(hour, 0) for hour in window)
            assert profile.room(window.start, window.stop) == room
            if room < quantity:
                with pytest.raises(BookCorrupt):
                    profile.carve(window.start, window.stop, quantity)
                continue
            sold_out = profile.carve(window.start, window.stop, quantity)
            for hour in window:
                hours[hour] -= quantity
            assert sold_out is any(not hours[hour] for hour in window)
        elif kind == "withdraw":
            profile.withdraw(numbers[0])
            hours = {hour: max(free - numbers[0], 0) for hour, free in hours.items()}
        else:
            before = sum(free for hour, free in hours.items() if hour < numbers[0])
            assert profile.before(numbers[0]) == before
            profile.trim(numbers[0])
            hours = {hour: free for hour, free in hours.items() if hour >= numbers[0]}
        flat = {hour: gpus for starts, ends, gpus in profile.runs() for hour in range(starts, ends)}
        assert flat == hours
        assert profile.gpu_hours == sum(hours.values())
        assert profile.greatest() == max(hours.values(), default=0)
        free_hours = [hour for starts, ends in profile.stretches() for hour in range(starts, ends)]
        assert free_hours == [hour for hour, free in hours.items() if free]
        assert all(a[1] < b[0] for a, b in pairwise(profile.stretches()))
        assert profile.mask(START) == sum(1 << (hour - START) for hour, free in hours.items() if free)
        assert all(a != b for a, b in zip(profile.free, profile.free[1:], strict=False))


def test_a_copy_is_independent() -> None:
    profile = Profile.flat(START, END, 8)
    twin = profile.copy()
    twin.carve(START, START + 2, 8)
    assert profile.runs() == [(START, END, 8)]
    assert twin.runs() == [(START, START + 2, 0), (START + 2, END, 8)]
