"""What every test session needs; databases for tests are fixtures of `tests.databases`."""

import signal
from typing import NoReturn

import pytest

from tests import hypothesis_profiles

hypothesis_profiles.load()


def pytest_sessionstart(session: pytest.Session) -> None:
    """End on SIGTERM as on Ctrl-C: with what was found so far, and with every server and folder gone."""

    def end(_number: int, _frame: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the second must not cut the cleaning up short
        session.shouldstop = "ended by SIGTERM"  # a server that a test runs may swallow the interrupt
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Take the limit of time from tests that are to run long."""
    if hypothesis_profiles.is_long():
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)
