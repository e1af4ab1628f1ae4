"""`exchange` without its audit record of orders, to be measured beside `unfollowed`; nothing else is it for.

No setting of the product does this: the process that runs this module takes the record out of the order path,
both the rows in memory and their statement, before it starts.
"""

from collections.abc import Sequence
from typing import Any

from exchange.cli.main import main
from exchange.kit.audit import AuditRecord
from exchange.kit.bundle import Writer
from exchange.orders import execution
from tests.benchmarks.unfollowed import stop_following


def _record_nothing(*_: Any, **__: Any) -> None:
    """Stand for `Execution._record`."""


async def _insert_nothing(_connection: Writer, _records: Sequence[AuditRecord]) -> None:
    """Stand for the statement that writes records."""


if __name__ == "__main__":
    stop_following()
    execution.Execution._record = _record_nothing  # type: ignore[method-assign]
    vars(execution).update(insert_audit_records=_insert_nothing)
    main()
