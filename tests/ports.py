"""A port that stays one's own while no server listens on it: nobody else is given it meanwhile.

A port that was only looked for, or whose server was just killed, is free: another program may be given it
before the server takes it.
"""

import socket
from typing import Final, Self


class HeldPort:
    """A port of 127.0.0.1, bound and never listened on. A server that sets SO_REUSEADDR can take it."""

    def __init__(self) -> None:
        """Take any free one, until `release`."""
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: Final[int] = self._socket.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let others have it."""
        self._socket.close()
