"""The demo's keys, kept in one file so that a second start finds the participants of the first.

The file is readable by its owner only and replaced whole, so it is never half written.
"""

import os
from pathlib import Path
from typing import Final

import msgspec

FILE_NAME: Final = "demo-keys.json"


class Member(msgspec.Struct, frozen=True):
    """A participant of the demo: its id and its key."""

    id: str
    key: str


class Keyring:
    """Members by name."""

    def __init__(self, data_dir: Path) -> None:
        """Read the file of an earlier start, if there is one."""
        self._path = data_dir / FILE_NAME
        self.members: dict[str, Member] = {}
        if self._path.exists():
            self.members = msgspec.json.decode(self._path.read_bytes(), type=dict[str, Member])

    def add(self, name: str, member: Member) -> None:
        """Keep a member, on the disk before this returns."""
        self.members[name] = member
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, msgspec.json.format(msgspec.json.encode(self.members)))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fresh.replace(self._path)
