"""Goal: small files, and locks that tie nobody to a mirror. Method: read every file of the checkout."""

import re

from tests.architecture.source import ROOT, files

LINES_MAX = 450

# Written in pieces, so that this file does not name them.
REGISTRY_HOSTS = re.compile(
    "|".join(
        name + r"\." + top
        for name, top in [
            ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("yarnpkg", "com"),
            ("crates", "io"), ("proxy.golang", "org"), ("anaconda", "org"), ("ghcr", "io"), ("quay", "io"),
            ("docker", "io"), ("rubygems", "org"), ("maven", "org"),
        ]
    )
)  # fmt: skip
LOCKS = re.compile(r".*\.lock|package-lock\.json|npm-shrinkwrap\.json")


def test_no_file_is_too_long_to_be_read_in_one_go() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in files("exchange", "matching", "tests", suffix=".py")
    }
    assert {path: length for path, length in lengths.items() if length > LINES_MAX} == {}


def test_no_file_names_a_package_registry() -> None:
    found = []
    for path in files():
        text = path.read_bytes().decode("utf-8", errors="replace")
        if REGISTRY_HOSTS.search(text):
            found.append(path.relative_to(ROOT).as_posix())
    assert found == []


def test_no_lock_holds_an_address_and_every_entry_of_ours_has_a_hash() -> None:
    locks = [path for path in files() if LOCKS.fullmatch(path.name)]
    assert {path.name for path in locks} >= {"requirements.lock", "requirements-dev.lock"}
    for path in locks:
        text = path.read_text(encoding="utf-8")
        assert "://" not in text, path.name
        if path.suffix == ".lock" and path.name.startswith("requirements"):
            entries = re.split(r"\n(?=\S)", text.strip())
            assert all("--hash=sha256:" in entry for entry in entries), path.name


def test_the_run_time_lock_is_part_of_the_whole() -> None:
    pins = [
        set(re.findall(r"^\S+==\S+", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock")
    ]
    assert pins[0] <= pins[1]
