"""What tests of commands share: an exchange that runs as users run it."""

from collections.abc import Iterator

import pytest

from tests.benchmarks.venue import Venue, served_venue


def _furnished() -> Iterator[Venue]:
    """Serve an exchange in a process of its own, with a provider and one buyer."""
    with served_venue() as served:
        served.furnish(1)
        yield served


@pytest.fixture(scope="package")
def venue() -> Iterator[Venue]:
    """Give the exchange that all tests of commands share: a test counts on what it made itself only."""
    yield from _furnished()


@pytest.fixture(scope="module")
def own_venue() -> Iterator[Venue]:
    """Give a module an exchange of its own, on which nobody else trades."""
    yield from _furnished()
