"""Breaks an exchange of several processes again and again, and checks all of it after each (`make faults`).

A round is one kind of fault on a new database, injected several times under load; in turn, and the leader
killed -9 every second round (with `--kills-only` in every one), until it was killed COUNT times and MINUTES
have passed, whichever comes last. A line a round on standard error, and in the end one JSON object on
standard output: rounds, faults, requests, effects, takeovers by kind. Whatever is lost, done twice, of a
stale term, or not exact in the ledger ends the run with 1, and so does a takeover that took longer than 5 s;
the folder of that round is kept, and named.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

from exchange.kit.embedded_postgres import EmbeddedPostgres
from tests.databases import Administrator
from tests.history import scenarios
from tests.history.scenarios import Around, Outcome
from tests.history.trading import SEED
from tests.redis_servers import RedisServer

TAKEOVER_S: Final = 5.0
PAUSE_S: Final = 10.0
KILLS: Final = 20
TIMES: Final = 3

Scenario = Callable[[Around], Awaitable[Outcome]]
KILLED: Final = "leader killed"
OTHERS: Final[dict[str, Scenario]] = {
    "leader stopped": lambda around: scenarios.leader_stopped(around, TIMES, pause_s=PAUSE_S),
    "Redis lost": lambda around: scenarios.redis_lost(around, TIMES),
    "gateways cut off from Redis": lambda around: scenarios.redis_cut_off(
        around, TIMES, pause_s=PAUSE_S, whom="gateways"
    ),
    "engines cut off from Redis": lambda around: scenarios.redis_cut_off(
        around, TIMES, pause_s=PAUSE_S, whom="engines"
    ),
    "requests disordered": lambda around: scenarios.requests_disordered(around, TIMES),
}


def scenario_of(number: int, kills_left: int, *, kills_only: bool = False) -> tuple[str, Scenario]:
    """Return what a round does: kills and something else by turns, while there is to be killed."""
    names = list(OTHERS)
    if kills_left > 0 and (kills_only or number % 2 == 0):
        return KILLED, lambda around: scenarios.leader_killed(around, min(KILLS, kills_left))
    name = names[number // 2 % len(names)]
    return name, OTHERS[name]


def summary_of(outcomes: dict[str, list[Outcome]], *, seconds: float, failed: str) -> dict[str, Any]:
    """Sum the rounds up, kind by kind."""
    kinds = {}
    for kind, rounds in outcomes.items():
        took_s = [each for outcome in rounds for each in outcome.takeovers_s]
        summed: dict[str, float] = {
            "rounds": len(rounds),
            "faults": sum(outcome.injected for outcome in rounds),
            "requests": sum(outcome.requests for outcome in rounds),
            "unanswered": sum(outcome.unanswered for outcome in rounds),
            "effects": sum(outcome.effects for outcome in rounds),
            "epochs": sum(outcome.epochs for outcome in rounds),
        }
        if took_s:
            summed |= {
                "takeover_s_median": round(statistics.median(took_s), 2),
                "takeover_s_max": round(max(took_s), 2),
                "takeovers_over_5_s": sum(each > TAKEOVER_S for each in took_s),
            }
        kinds[kind] = summed
    return {"seconds": round(seconds), "failed": failed, "kinds": kinds}


def main() -> int:
    """Run rounds; return how the process is to end."""
    parser = argparse.ArgumentParser(
        prog="make faults", description="Break an exchange of several processes."
    )
    parser.add_argument("--count", type=int, default=1000, help="how often the leader is killed at least")
    parser.add_argument("--minutes", type=float, default=0, help="how long to go on at least")
    parser.add_argument("--kills-only", action="store_true", help="break nothing but the leader")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    begun_s, kills, failed = time.monotonic(), 0, ""
    outcomes: dict[str, list[Outcome]] = defaultdict(list)
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    with EmbeddedPostgres(folder / "postgres") as postgres, RedisServer(folder) as redis:
        administrator = Administrator(postgres)
        template = administrator.make_template()
        for number in count():
            is_time_over = time.monotonic() - begun_s >= options.minutes * 60
            if kills >= options.count and is_time_over:
                break
            kills_left = max(options.count - kills, 0 if is_time_over else KILLS)
            kind, scenario = scenario_of(number, kills_left, kills_only=options.kills_only)
            own = folder / f"round-{number + 1}"
            round_s = time.monotonic()
            with administrator.new_database(template) as url:
                try:
                    outcome = asyncio.run(_done(scenario, Around(url, redis, own, options.seed + number)))
                except KeyboardInterrupt:
                    failed = "interrupted"
                    break
                except BaseException:  # noqa: BLE001 - whatever it was, it is what this run looks for
                    traceback.print_exc()
                    failed = f"round {number + 1} ({kind}), seed {options.seed + number}: see {own}"
                    break
            outcomes[kind].append(outcome)
            kills += outcome.injected if kind == KILLED else 0
            print(
                _line(number + 1, kind, outcome, time.monotonic() - round_s, kills),
                file=sys.stderr,
                flush=True,
            )
            shutil.rmtree(own, ignore_errors=True)
        administrator.close()
    summary = summary_of(outcomes, seconds=time.monotonic() - begun_s, failed=failed)
    print(json.dumps(summary))
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)
    late = sum(kind.get("takeovers_over_5_s", 0) for kind in summary["kinds"].values())
    return 1 if failed or late else 0


async def _done(scenario: Scenario, around: Around) -> Outcome:
    return await scenario(around)


def _line(number: int, kind: str, outcome: Outcome, seconds: float, kills: int) -> str:
    took = ""
    if outcome.takeovers_s:
        median_s, most_s = statistics.median(outcome.takeovers_s), max(outcome.takeovers_s)
        took = f"; trading again after {median_s:.2f} s, {most_s:.2f} at most"
    return (
        f"round {number}: {kind}, {outcome.injected} faults, {outcome.requests} requests of which"
        f" {outcome.unanswered} without an answer, {outcome.effects} effects, {outcome.epochs} terms{took};"
        f" nothing lost, doubled or stale; {seconds:.0f} s ({kills} kills so far)"
    )


if __name__ == "__main__":
    sys.exit(main())
