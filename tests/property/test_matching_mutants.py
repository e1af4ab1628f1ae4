"""Goal: the properties have teeth. Method: plant a fault in a copy of `matching`; inspecting it must fail."""

from pathlib import Path

import pytest

from tests.mutants import MUTANTS, Mutant, kill


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_planted_fault_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    finished = kill(mutant, tmp_path)
    assert finished.returncode == 1
    # A fault that only stops the file from being read would prove nothing.
    assert "SyntaxError" not in finished.stderr
    assert "NameError" not in finished.stderr


@pytest.mark.slow
def test_without_a_fault_nothing_is_caught(tmp_path: Path) -> None:
    finished = kill(None, tmp_path)
    assert finished.returncode == 0, finished.stderr
