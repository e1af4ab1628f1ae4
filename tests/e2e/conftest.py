"""What tests of commands share: an exchange that runs as users run it."""

from collections.abc import Iterator

import pytest

from tests.benchmarks.venue import Venue, served_venue


@pytest.fixture(scope="module")
def venue() -> Iterator[Venue]:
    """Serve an exchange in a process of its own, with a provider and one buyer; a module's tests share it."""
    with served_venue() as served:
        served.furnish(1)
        yield served
