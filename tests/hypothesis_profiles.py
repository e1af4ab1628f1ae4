"""Hypothesis profiles: `ci` (default) keeps the matching properties near a minute, `nightly` runs long.

Chosen by HYPOTHESIS_PROFILE. No deadlines: the machines that run this are shared.
"""

import os

from hypothesis import HealthCheck, settings

_UNHURRIED = [HealthCheck.too_slow, HealthCheck.data_too_large]


def load() -> None:
    """Register the profiles and choose one."""
    common = settings(deadline=None, print_blob=True, suppress_health_check=_UNHURRIED)
    settings.register_profile("ci", common, derandomize=True)
    settings.register_profile("nightly", common, max_examples=20_000)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def is_long() -> bool:
    """Whether the chosen profile may take as long as it takes."""
    return settings.get_current_profile_name() == "nightly"
