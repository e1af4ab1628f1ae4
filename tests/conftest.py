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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a long run take the limit of time from every test; else leave out those that are for it alone."""
    if hypothesis_profiles.is_long():
        for item in items:
            item.add_marker(pytest.mark.timeout(0), append=False)
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    # Who names a test wants it.
    if left_out and not any("::" in argument for argument in config.args):
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
