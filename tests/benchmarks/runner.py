"""Runs benchmarks by name, one JSON line a figure: what `exchange bench` and `make bench` start."""

import sys
from collections.abc import Callable, Iterable

from tests.benchmarks import (
    abuse,
    audit,
    console,
    core,
    feed,
    growth,
    http,
    ledger,
    market,
    overhead,
    oversight,
    replay,
    scale,
)
from tests.benchmarks.result import BenchResult, progress

BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {
    **abuse.BENCHES,
    **audit.BENCHES,
    **console.BENCHES,
    **core.BENCHES,
    **feed.BENCHES,
    **growth.BENCHES,
    **http.BENCHES,
    **ledger.BENCHES,
    **market.BENCHES,
    **oversight.BENCHES,
    **overhead.BENCHES,
    **replay.BENCHES,
    **scale.BENCHES,
}
USAGE = 2


def chosen(names: list[str]) -> list[str] | None:
    """Return the benches that the names or prefixes mean, all for none; None where one means nothing."""
    found: dict[str, None] = {}
    for name in names:
        meant = [
            bench for bench in BENCHES if bench == name or bench.startswith(f"{name.removesuffix('.')}.")
        ]
        if not meant:
            progress(f"there is no benchmark {name}; --list names them")
            return None
        found.update(dict.fromkeys(meant))
    return list(found) if names else list(BENCHES)


def main(arguments: list[str]) -> int:
    """Run what the arguments name and return the exit code."""
    if arguments[:1] == ["--list"]:
        print("\n".join(BENCHES))
        return 0
    names = chosen(arguments)
    if names is None:
        return USAGE
    for name in names:
        progress(name)
        for figure in BENCHES[name]():
            print(figure.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
