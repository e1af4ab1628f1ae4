"""The log outside of the database: a folder with every signed checkpoint and the leaf of every record.

`checkpoints` has the signed notes, oldest first, an empty line after each; `leaves` 32 bytes a record. Both
only grow, and what was written is on the disk before the next thing is. Leaves go first: so there may be more
of them than the last checkpoint has, after an end in the middle, and those are written again.

Whoever copies the folder elsewhere holds the exchange to it: the copy cannot be changed with the database.
Several processes of a machine may share one folder; a lock makes each see it whole. Blocking.
"""

import fcntl
import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from exchange.kit.clock import wall_now_us
from exchange.kit.secret_files import sync_folder
from exchange.kit.settings import Settings
from exchange.transparency.models import Block
from exchange.transparency.notes import BadNote, each_note, read_checkpoint, split_notes
from exchange.transparency.tree import HASH_BYTES, leaves_of

CHECKPOINTS: Final = "checkpoints"
LEAVES: Final = "leaves"
_LOCK: Final = "lock"
_USED: Final = "used"
FOLDER: Final = "checkpoints"
"""Its name in the data folder, where the settings name no other."""
_TAIL_BYTES: Final = 64 * 1024
"""More than two notes can have."""

_log = logging.getLogger(__name__)


class FolderInUse(Exception):
    """Another log is being published in the folder."""


class CheckpointFolder:
    """A folder of checkpoints, which need not be there before something is published."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is touched yet."""
        self.path = path
        self._held: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the folder of a process with these settings."""
        return cls((settings.checkpoint_dir or settings.data_dir / FOLDER).expanduser())

    @property
    def checkpoints(self) -> Path:
        """The file of signed notes."""
        return self.path / CHECKPOINTS

    @property
    def leaves(self) -> Path:
        """The file of leaves."""
        return self.path / LEAVES

    def last_note(self) -> str | None:
        """Return the last checkpoint that was published whole, None before the first."""
        with self._locked(fcntl.LOCK_SH):
            return self._last_note()

    def notes(self) -> Iterator[str]:
        """Yield every checkpoint, oldest first, as they are now; who publishes is not held up."""
        if not self.checkpoints.exists():
            return
        with self._locked(fcntl.LOCK_SH):
            size = self.checkpoints.stat().st_size
        yield from each_note(self._lines(size))

    def _lines(self, size: int) -> Iterator[str]:
        with self.checkpoints.open("rb") as file:
            for line in file:
                size -= len(line)
                if size < 0:  # what was published since
                    return
                yield line.decode("utf-8", "surrogateescape")

    def read_leaves(self, first_position: int, until_position: int) -> list[bytes]:
        """Return the leaves of some positions, as many of them as there are."""
        if not self.leaves.exists():
            return []
        with self.leaves.open("rb") as file:
            file.seek(first_position * HASH_BYTES)
            raw = file.read((until_position - first_position) * HASH_BYTES)
        return [raw[at : at + HASH_BYTES] for at in range(0, len(raw) // HASH_BYTES * HASH_BYTES, HASH_BYTES)]

    def missing_from(self) -> int:
        """Return the first position that something is missing of."""
        with self._locked(fcntl.LOCK_SH):
            return min(self._size(), self._leaves())

    def publish(self, blocks: Sequence[Block]) -> None:
        """Write blocks that follow on what is there; what another process has written is passed over.

        ValueError where they do not follow.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if self._held is not None and not (self.path / _USED).exists():  # the folder was taken away meanwhile
            self.let_go()
            self.hold()
        with self._locked(fcntl.LOCK_EX):
            is_first = not self.checkpoints.exists()
            unwritten = [block for block in blocks if block.size > self._leaves()]
            if unwritten:
                begin = unwritten[0].first_position
                if begin > self._leaves():
                    raise ValueError(f"the leaves before position {begin} are missing")
                leaves = (leaves_of(block.hashes, block.first_position, block.size) for block in unwritten)
                _write(self.leaves, begin * HASH_BYTES, b"".join(itertools.chain.from_iterable(leaves)))
            size = self._size()
            notes = "".join(f"{block.note}\n" for block in blocks if block.size > size)
            if notes:
                _write(self.checkpoints, self._whole_bytes(), notes.encode())
            if is_first:
                sync_folder(self.path)

    def hold(self) -> None:
        """Let nobody put the folder aside from now on, until `let_go` or the end of this process."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._held = os.open(self.path / _USED, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._held, fcntl.LOCK_SH)
        except OSError as error:
            _log.error("the folder of checkpoints cannot be held: %s", error)

    def let_go(self) -> None:
        """Let others put the folder aside."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def put_aside(self) -> None:
        """Keep a folder that has checkpoints under another name, so that another log can begin here.

        Raises `FolderInUse` where a process of another log holds it.
        """
        self.must_be_free()
        if self.checkpoints.exists():
            kept = self.path.with_name(f"{self.path.name}.before-{wall_now_us()}")
            self.path.rename(kept)
            _log.warning("%s has the checkpoints of another database; they are kept in %s", self.path, kept)

    def must_be_free(self) -> None:
        """Raise `FolderInUse` where a process publishes here, or is about to. Nothing is touched."""
        try:
            descriptor = os.open(self.path / _USED, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUse(
                f"{self.path} is where another exchange that runs publishes its checkpoints: "
                "EXCHANGE_CHECKPOINT_DIR, or EXCHANGE_DATA_DIR, must name another folder here"
            ) from error
        finally:
            os.close(descriptor)

    def _size(self) -> int:
        last = self._last_note()
        return 0 if last is None else read_checkpoint(last).size

    def _leaves(self) -> int:
        return self.leaves.stat().st_size // HASH_BYTES if self.leaves.exists() else 0

    def _last_note(self) -> str | None:
        notes, _ = split_notes(self._tail())
        return notes[-1] if notes else None

    def _tail(self) -> str:
        """Return the end of the file of checkpoints, from the beginning of a note on."""
        if not self.checkpoints.exists():
            return ""
        with self.checkpoints.open("rb") as file:
            begin = max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES)
            file.seek(begin)
            raw = file.read()
        if begin:  # a signature, and only that, begins with a dash after an empty line and ends before one
            if "\n\n\u2014 ".encode() not in raw[:-2]:
                raise BadNote("its end has no checkpoint in it")
            raw = raw[raw.index(b"\n\n", raw.index("\n\n\u2014 ".encode()) + 2) + 2 :]
        return raw.decode("utf-8", "surrogateescape")

    def _whole_bytes(self) -> int:
        """Return how long the file of checkpoints is without a note that was not written whole."""
        if not self.checkpoints.exists():
            return 0
        _, rest = split_notes(self._tail())
        return self.checkpoints.stat().st_size - len(rest.encode("utf-8", "surrogateescape"))

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT if kind == fcntl.LOCK_EX else os.O_RDONLY
        try:
            descriptor = os.open(self.path / _LOCK, flags | os.O_CLOEXEC, 0o644)
        except (FileNotFoundError, PermissionError):
            if kind == fcntl.LOCK_EX:
                raise
            yield  # a copy, or nothing yet: nobody writes there
            return
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)


def _write(path: Path, begin: int, content: bytes) -> None:
    """Write at a place that is at the end, or where what follows was not finished; it is on the disk then."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.ftruncate(descriptor, begin)
        os.lseek(descriptor, begin, os.SEEK_SET)
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
