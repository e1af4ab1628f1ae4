"""How every PostgreSQL process of ours begins: give up root, die with the parent, become the program.

Run as a script by `exchange.kit.embedded_postgres`: these steps need a process of their own, because code
between fork and exec in a process with threads (`preexec_fn`) can deadlock.

The order matters. The kernel clears the parent-death signal when credentials change, so it is set after they
have. A parent that died before that is not signalled, so the parent is checked after it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become a command. Arguments: user id, group id, the parent's process id, then the command with its own.

    Exits with status 77 where the parent has died already. OSError where the ids cannot be taken or the
    command cannot be executed.
    """
    user_id, group_id, parent_pid = (int(argument) for argument in arguments[:3])
    if os.geteuid() != user_id:
        os.setgroups([])
        os.setgid(group_id)
        os.setuid(user_id)
    # SIGINT is PostgreSQL's fast shutdown: transactions are rolled back and the data is left clean.
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        sys.exit(77)
    os.umask(0o077)
    os.execv(arguments[3], arguments[3:])  # noqa: S606 - the point of this file


if __name__ == "__main__":
    main(sys.argv[1:])
