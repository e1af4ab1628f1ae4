"""Goal: the properties have teeth. Method: plant a fault in a copy of `matching`; inspecting it must fail."""

from pathlib import Path

import pytest

from tests.architecture.source import ROOT
from tests.hypothesis_profiles import is_long, sampled
from tests.mutants import MUTANTS, Mutant
from tests.mutation import TAPES, MutantError, plant

# What decides, changes or reads a book; the rest is values, and the check of the book itself.
PROVEN = {path.name for path in (ROOT / "matching").glob("*.py")} - {
    "__init__.py", "commands.py", "events.py", "invariants.py", "order.py", "product.py", "units.py",
}  # fmt: skip


@pytest.mark.parametrize("mutant", sampled(MUTANTS), ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_planted_fault_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    assert plant(mutant, tmp_path).broken


def test_without_a_fault_nothing_is_caught(tmp_path: Path) -> None:
    assert not plant(None, tmp_path, tapes_max=TAPES if is_long() else TAPES // 5).broken


def test_a_fault_that_proves_nothing_is_refused(tmp_path: Path) -> None:
    absent = Mutant("absent", "walk.py", "no such text", "")
    with pytest.raises(MutantError, match="0 times"):
        plant(absent, tmp_path / "absent")
    unreadable = Mutant("unreadable", "walk.py", "def match_fixed(", "def match_fixed((")
    with pytest.raises(MutantError, match="cannot be run"):
        plant(unreadable, tmp_path / "unreadable")
    unknown = Mutant("unknown", "sweep.py", "    return sweep.result()", "    return nobody(sweep)")
    with pytest.raises(MutantError, match="NameError"):
        plant(unknown, tmp_path / "unknown")


def test_every_module_that_decides_or_changes_anything_has_planted_faults() -> None:
    assert {mutant.file for mutant in MUTANTS} == PROVEN
