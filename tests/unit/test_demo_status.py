"""Goal: the demo goes on, and says why its line stands still, while its database does not answer."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from exchange.cli.demo.status import status_line
from exchange.kit.clock import ManualClock, parse_rfc3339
from exchange.kit.database import ConnectionLost, StatementTimeout

NOW_US = parse_rfc3339("2026-11-30T09:30:00Z")


@pytest.mark.parametrize("error", [ConnectionLost("gone", outcome="not_applied"), StatementTimeout("slow")])
async def test_a_database_that_does_not_answer_is_told(error: Exception) -> None:
    def connection() -> Any:
        raise error

    assert NOW_US is not None
    exchange: Any = SimpleNamespace(
        database=SimpleNamespace(connection=connection), clock=ManualClock(NOW_US)
    )
    line = await status_line(exchange, Counter())
    assert line == "venue 2026-11-30T09:00:00Z · the database does not answer"
