"""Goal: who looks at a market in the terminal sees what is in its book, as it changes, and leaves cleanly.

Method: the command as a process beside a served exchange: on a pipe, on a pseudo-terminal, with --json;
orders come over HTTP. The terminal's text is read as it was written.
"""

import asyncio
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest

from exchange.cli.failures import ExitCode
from exchange.feed.hub import Closing
from tests.e2e.served import eventually, served
from tests.e2e.stage import PRODUCT, Stage, join_all

ALTERNATE_SCREEN: Final = "\x1b[?1049h"
NORMAL_SCREEN: Final = "\x1b[?1049l"
CURSOR_SHOWN: Final = "\x1b[?25h"


@pytest.fixture
async def stage(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with served(database_url, tmp_path_factory.mktemp("cli_book")) as house:
        stage = Stage(house, await join_all(house), await join_all(house))
        deposit = {"participant_id": stage.cast.buyer.id, "amount_cny": "100000.00"}
        await house.operator.post("/v1/deposits", deposit)
        yield stage


async def sell(stage: Stage, name: str, **more: object) -> Any:
    return await stage.cast.provider.post("/v1/orders", stage.order("sell", name, (0, 4), **more))


async def buy(stage: Stage, name: str, **more: object) -> Any:
    return await stage.cast.buyer.post("/v1/orders", stage.order("buy", name, (0, 2), **more))


async def begin(
    stage: Stage, *words: str, stdout: int = asyncio.subprocess.PIPE
) -> asyncio.subprocess.Process:
    """Start `exchange market …`."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exchange", "market", *words),
        env={"EXCHANGE_URL": str(stage.house.http.base_url), "TERM": "xterm-256color", "COLUMNS": "120"},
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
    )


async def followers(stage: Stage) -> int:
    return len(stage.house.exchange.books._views)


async def test_the_book_is_shown_once(stage: Stage) -> None:
    await sell(stage, "once-1")
    await sell(stage, "once-2", price_cny_per_gpu_hour="4.10")
    process = await begin(stage, PRODUCT, "--json")
    out, _ = await process.communicate()
    shown = msgspec.json.decode(out)
    assert [order["price_cny_per_gpu_hour"] for order in shown["orders"]] == ["4.20", "4.10"]
    assert shown["best_ask"]["price_cny_per_gpu_hour"] == "4.10"
    process = await begin(stage, "book", PRODUCT)
    out, _ = await process.communicate()
    text = out.decode()
    assert process.returncode == ExitCode.DONE
    assert "2 orders" in text
    assert "cheapest hour 4.10" in text
    assert text.index("4.10") < text.index("4.20")
    process = await begin(stage, "no.such.product")
    out, error = await process.communicate()
    assert (process.returncode, out) == (ExitCode.REFUSED, b"")
    assert "must name a product listed by GET /v1/products" in error.decode()
    process = await begin(stage, "nope")
    out, error = await process.communicate()
    assert (process.returncode, out) == (ExitCode.USAGE, b"")
    assert "'nope' is no product and no command" in error.decode()


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_on_a_pipe_every_change_is_a_line(stage: Stage, form: list[str]) -> None:
    placed = await sell(stage, "pipe-1")
    process = await begin(stage, PRODUCT, "--watch", "--limit", "5", *form)
    assert process.stdout is not None
    lines = [await process.stdout.readline()]
    assert await eventually(lambda: followers(stage), lambda count: count == 1)
    await buy(stage, "pipe-2", quantity_gpus=1)
    lines += [await process.stdout.readline() for _ in range(2)]
    stage.house.exchange.relay.hub.close_all(Closing.MISSED)  # it connects again
    lines.append(await process.stdout.readline())
    await stage.cast.provider.send("DELETE", f"/v1/orders/{placed['id']}")
    lines.append(await process.stdout.readline())
    assert await process.wait() == ExitCode.DONE
    if form:
        told = [msgspec.json.decode(each) for each in lines]
        assert sorted(each["event"] for each in told) == ["book", "book", "book", "book", "trade"]
        books = [each for each in told if each["event"] == "book"]
        assert [each["orders"] for each in books] == [1, 1, 1, 0]
        assert [len(each["best_ask"]["free"]) for each in books[:2]] == [1, 2]
        assert [each["quantity_gpus"] for each in told if each["event"] == "trade"] == [1]
    else:
        text = b"".join(lines).decode()
        assert "\x1b" not in text
        assert text.count("ask 4.20 for 2 GPUs") == 3
        assert text.count("ask none") == 1
        assert text.count("trade  1 GPUs") == 1


async def test_a_terminal_is_drawn_on_and_left_as_it_was(stage: Stage) -> None:
    await sell(stage, "drawn-1")
    controller, terminal = pty.openpty()
    process = await begin(stage, PRODUCT, "--watch", stdout=terminal)
    os.close(terminal)
    os.set_blocking(controller, False)
    seen = ""

    async def written() -> str:
        nonlocal seen
        try:
            seen += os.read(controller, 1 << 20).decode()
        except (BlockingIOError, OSError):
            return seen
        return seen

    await eventually(written, lambda text: "1 orders" in text)
    assert ALTERNATE_SCREEN in seen
    await sell(stage, "drawn-2", price_cny_per_gpu_hour="4.05")
    await buy(stage, "drawn-3", price_cny_per_gpu_hour="4.30", quantity_gpus=1)
    await eventually(written, lambda text: "2 orders" in text and "cheapest hour 4.05" in text)
    assert NORMAL_SCREEN not in seen
    process.send_signal(signal.SIGINT)
    assert await process.wait() == ExitCode.INTERRUPTED
    await written()
    assert seen.index(ALTERNATE_SCREEN) < seen.rindex(NORMAL_SCREEN)
    assert CURSOR_SHOWN in seen[seen.index(ALTERNATE_SCREEN) :]
    assert process.stderr is not None
    assert "Traceback" not in (await process.stderr.read()).decode()
    os.close(controller)
    await eventually(lambda: followers(stage), lambda count: count == 0)
