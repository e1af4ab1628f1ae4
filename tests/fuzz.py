"""Runs the matching properties under the `nightly` profile for a set time, one process a core (`make fuzz`).

A round is one file of tests under a fresh seed, which draws other examples and other tapes than every
round before; Hypothesis also tries again what failed in earlier runs of this checkout. A failure is shrunk
and printed, its tape stays in `.hypothesis/tapes`, and the run ends with 1. How to keep it: `tests.kept`;
a failure of two runs compared is no tape, and is kept as an `@example` of its test. Rounds that have begun
are finished, so a run takes a few minutes more than it is given. Ctrl-C ends the rounds under way.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import count
from pathlib import Path
from threading import Event, Lock
from typing import Final

PYTEST_PASSED: Final = 0
PYTEST_INTERRUPTED: Final = 2
ROOT: Final = Path(__file__).resolve().parents[1]
# Planted faults and the long run draw nothing.
DRAWS_NOTHING: Final = {"test_matching_mutants.py", "test_matching_long_run.py"}
ADVICE: Final = """
To see it again: {command}
To keep it: copy the tape that the failure names to tests/kept_tapes under a name that says what went wrong,
and write in its first line why; a failure without a tape is kept as an @example of its test."""


def main() -> int:
    """Run rounds until the time is over or one fails; return how the process is to end."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Search for faults of the matching core.")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=None, help="of the rounds' seeds; fresh by default")
    options = parser.parse_args()
    paths = sorted((ROOT / "tests" / "property").glob("test_matching_*.py"))
    suites = [path for path in paths if path.name not in DRAWS_NOTHING]
    seed = options.seed if options.seed is not None else random.SystemRandom().getrandbits(32)
    seeds = random.Random(seed)
    until_s = time.monotonic() + options.minutes * 60
    rounds, lock, failed, stopped = count(), Lock(), Event(), Event()
    print(f"{options.minutes:g} minutes, {options.jobs} at a time, seed {seed}", flush=True)

    def work() -> int:
        done = 0
        while time.monotonic() < until_s and not failed.is_set() and not stopped.is_set():
            with lock:
                number, suite, drawn = next(rounds), suites, seeds.getrandbits(32)
            path = suite[number % len(suite)]
            begun_s = time.monotonic()
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
            command += [f"--hypothesis-seed={drawn}", str(path.relative_to(ROOT))]
            environment = {**os.environ, "HYPOTHESIS_PROFILE": "nightly"}
            finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
            took_s = time.monotonic() - begun_s
            # A file that cannot be collected gives the same code, and is no interruption.
            if finished.returncode == PYTEST_INTERRUPTED and "KeyboardInterrupt" in finished.stdout:
                stopped.set()
                break
            with lock:
                done += 1
                result = "passed"
                if finished.returncode != PYTEST_PASSED:
                    failed.set()
                    result = "FAILED"
                    again = f"HYPOTHESIS_PROFILE=nightly .venv/bin/python {' '.join(command[1:])}"
                    print(finished.stdout + finished.stderr)
                    print(ADVICE.format(command=again))
                print(
                    f"round {number + 1}: {path.stem}, seed {drawn}, {result} in {took_s:.0f} s", flush=True
                )
        return done

    with ThreadPoolExecutor(options.jobs) as pool:
        workers = [pool.submit(work) for _ in range(options.jobs)]
        try:
            wait(workers)
        except KeyboardInterrupt:
            stopped.set()
    done = sum(worker.result() for worker in workers)
    ending = "a fault was found" if failed.is_set() else "no fault found"
    print(f"{done} rounds, {ending}{', stopped early' if stopped.is_set() else ''}")
    return 1 if failed.is_set() else 0


if __name__ == "__main__":
    sys.exit(main())
