"""Files that hold a secret: new, readable by their owner only, and on the disk before anyone relies on it."""

import os
import stat
from pathlib import Path


def write_secret(path: Path, text: str, keep_as: str) -> None:
    """Write a file that only its owner reads; one of its name is kept beside it as `keep_as`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() or path.is_symlink():
        path.rename(path.with_name(keep_as))
    # O_EXCL: the file is ours and new, so nobody can hold it open and no link can lead the secret elsewhere.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def is_private(path: Path) -> bool:
    """Whether nobody but its owner may read or write a file."""
    return not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder safe on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
