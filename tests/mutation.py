"""Plants faults in copies of `matching`, and tells which property catches each of them, and how soon.

`python -m tests.mutation` (`make mutants`) prints a line a fault and ends with 1 where one survives. The
copy is inspected in a process of its own: kept tapes first, then seeded ones; after the first command that
breaks a property the inspection ends. What breaks only because the changed file cannot be read or names what
is not there proves nothing, and counts as a fault of the list.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import msgspec

from tests.mutants import MUTANTS, Mutant

ROOT: Final = Path(__file__).resolve().parents[1]
TAPES: Final = 150
NO_PROOF: Final = ("SyntaxError", "NameError", "ImportError", "IndentationError", "UnboundLocalError")


class MutantError(Exception):
    """A planted fault that proves nothing: its text is not there, or the file cannot be run with it."""


class Catch(msgspec.Struct, frozen=True):
    """What the inspection found: the properties that broke first (none: it survives), where and how late."""

    broken: dict[str, str] = {}
    tape: str = ""
    commands: int = 0
    commands_before: int = 0


def search(tapes_max: int) -> Catch:
    """Inspect the book that is on the path, with so many tapes and the kept ones, until a property breaks."""
    from matching import index  # noqa: PLC0415 - the copy is on the path of this process only
    from tests import kept  # noqa: PLC0415
    from tests.inspection import first_broken  # noqa: PLC0415
    from tests.tapes import tape  # noqa: PLC0415

    def tapes() -> Iterator[tuple[str, kept.Tape]]:
        yield from kept.kept().items()
        for seed in range(tapes_max):
            yield f"tape {seed}", kept.Tape("", *tape(seed, 90))

    before = 0
    for number, (name, found) in enumerate(tapes()):
        # Small books fill one block only, so two tapes in three are run on small blocks.
        vars(index)["BLOCK_MAX"] = (64, 4, 2)[number % 3]
        caught = first_broken(found.product, found.commands)
        if caught is not None:
            return Catch(caught[1], name, caught[0], before)
        before += len(found.commands)
    return Catch(commands_before=before)


def plant(mutant: Mutant | None, folder: Path, *, tapes_max: int = TAPES) -> Catch:
    """Search a copy with the fault, or without one."""
    copy = folder / "matching"
    shutil.copytree(ROOT / "matching", copy, ignore=shutil.ignore_patterns("__pycache__"))
    if mutant is not None:
        path = copy / mutant.file
        source = path.read_text(encoding="utf-8")
        if source.count(mutant.text) != 1:
            raise MutantError(f"the text stands {source.count(mutant.text)} times in {mutant.file}")
        path.write_text(source.replace(mutant.text, mutant.fault), encoding="utf-8")
    program = (
        f"import sys, msgspec, matching; assert matching.__file__.startswith({str(folder)!r});"
        "from tests.mutation import search;"
        f"sys.stdout.buffer.write(msgspec.json.encode(search({tapes_max})))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
    )
    if finished.returncode:
        raise MutantError(f"cannot be run: {finished.stderr.decode().splitlines()[-1]}")
    caught = msgspec.json.decode(finished.stdout, type=Catch)
    for how in caught.broken.values():
        if how.startswith(NO_PROOF):
            raise MutantError(f"proves nothing: {how}")
    return caught


def _attempt(mutant: Mutant) -> Catch | MutantError:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return plant(mutant, Path(folder))
        except MutantError as error:
            return error


def main() -> int:
    """Print the table; return how the process is to end."""
    parser = argparse.ArgumentParser(prog="make mutants", description="Each planted fault must be caught.")
    parser.add_argument("--only", default="", help="faults whose file or name contains this")
    only = parser.parse_args().only
    chosen = [mutant for mutant in MUTANTS if only in f"{mutant.file} {mutant.name}"]
    survivors = 0
    seen: Counter[str] = Counter()
    print(f"{'file':<14} {'planted fault':<32} {'commands':>8}  caught by")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, caught in zip(chosen, pool.map(_attempt, chosen), strict=True):
            start = f"{mutant.file:<14} {mutant.name:<32}"
            if isinstance(caught, MutantError):
                survivors += 1
                print(f"{start} {'-':>8}  ERROR: {caught}", flush=True)
            elif not caught.broken:
                survivors += 1
                print(f"{start} {caught.commands_before:>8}  SURVIVES", flush=True)
            else:
                seen.update(caught.broken.keys())
                number = caught.commands_before + caught.commands
                print(f"{start} {number:>8}  {', '.join(sorted(caught.broken))}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} planted faults are caught")
    print("seen first by: " + ", ".join(f"{name} {number}" for name, number in seen.most_common()))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
