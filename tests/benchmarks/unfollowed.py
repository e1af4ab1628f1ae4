"""`exchange` whose audit record nobody follows: no summaries, no alerts, no seals. To be measured.

No setting of the product does this: the process that runs this module takes them out before it starts.
"""

from exchange.alerts.watch import AlertWatch
from exchange.cli.main import main
from exchange.oversight.summaries import Summaries
from exchange.transparency.sealer import Sealer


def _start_nothing(_follower: object) -> None:
    """Stand for a follower's `start`."""


def stop_following() -> None:
    """Let nothing in this process follow the record."""
    AlertWatch.start = _start_nothing  # type: ignore[method-assign,assignment]
    Sealer.start = _start_nothing  # type: ignore[method-assign,assignment]
    Summaries.start = _start_nothing  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    stop_following()
    main()
