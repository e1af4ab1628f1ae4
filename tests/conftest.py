"""What every test session needs; databases for tests are fixtures of `tests.databases`."""

import pytest

from tests import hypothesis_profiles

hypothesis_profiles.load()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take the limit of time from tests that are to run long."""
    if hypothesis_profiles.is_long():
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)
