"""Goal: whoever waits for a database whose host is gone without a word is told so, and not left to wait.

Method: what the kernel was told of the connections of a pool and of one beside it, over TCP. That it ends a
connection then is its own business; it was seen with a host that was cut off in a network namespace.
"""

import asyncio
import socket
from pathlib import Path
from urllib.parse import urlsplit

from exchange.kit.database import Database
from exchange.kit.silence import PROBE_S, SILENCE_S
from tests.silent_line import SilentLine


async def test_the_kernel_watches_every_connection_to_another_host(database_url: str, tmp_path: Path) -> None:
    line = SilentLine(database_url, tmp_path)
    async with await asyncio.start_server(line.take, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = urlsplit(database_url)._replace(netloc=f"exchange@127.0.0.1:{port}", query="").geturl()
        database = await Database.connect(url, connections_min=1)
        async with database.connection() as lent, database.alone() as lone:
            for connection in (lent, lone):
                assert await connection.fetchval("SELECT 1") == 1
                transport: asyncio.Transport = getattr(connection, "_transport")  # noqa: B009 - no stub has it
                wire = transport.get_extra_info("socket")
                told = [
                    wire.getsockopt(level, name)
                    for level, name in (
                        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
                    )
                ]
                assert told == [1, PROBE_S, PROBE_S, SILENCE_S * 1000]
        await database.close()
