"""Hypothesis profiles: `ci` (default) keeps the matching properties near a minute, `nightly` runs long.

Chosen by HYPOTHESIS_PROFILE. `ci` draws the same examples every time, `nightly` new ones; `make fuzz` runs
rounds of `nightly`, each with a seed of its own. No deadlines: the machines that run this are shared.
"""

import os
from collections.abc import Iterable
from typing import Final, TypeVar

from hypothesis import HealthCheck, settings

Case = TypeVar("Case")

NIGHTLY_FACTOR: Final = 10
"""A round of `nightly` draws so many times the examples of `ci`: a few minutes on one core."""

_UNHURRIED = [HealthCheck.too_slow, HealthCheck.data_too_large]


def load() -> None:
    """Register the profiles and choose one."""
    common = settings(deadline=None, print_blob=True, suppress_health_check=_UNHURRIED)
    settings.register_profile("ci", common, derandomize=True)
    settings.register_profile("nightly", common, max_examples=100 * NIGHTLY_FACTOR)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def is_long() -> bool:
    """Whether the chosen profile may take as long as it takes."""
    return settings.get_current_profile_name() == "nightly"


def sampled(cases: Iterable[Case], *, first: int = 12) -> list[Case]:
    """Return the first of many cases that are much alike, and of the others each fourth; all in `nightly`."""
    every = list(cases)
    return every if is_long() else every[:first] + every[first::4]


def examples(number: int, *, steps: int | None = None) -> settings:
    """Return the settings of a test that draws `number` examples, of `steps` for a machine.

    In `ci` a third of them, so that all tests together end within its time; in `nightly` ten times as many.
    """
    count = number * NIGHTLY_FACTOR if is_long() else -(-number // 3)
    if steps is None:
        return settings(max_examples=count)
    return settings(max_examples=count, stateful_step_count=steps)
