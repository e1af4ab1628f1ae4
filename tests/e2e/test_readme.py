"""Goal: the trade that README.md shows happens when its lines are pasted.

Method: the block is read from README.md and run by a shell as it stands, each line alone so that the one that
fails is named, against a served exchange whose address and keys are in the variables that the demo prints.
"""

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

from tests.e2e.served import served
from tests.e2e.stage import PRODUCT, join_all

README: Final = Path(__file__).parents[2] / "README.md"
HEADING: Final = "## A real trade, by hand"


def lines_of_the_trade() -> list[str]:
    """Return the commands of the first console block under the heading, without their prompts."""
    section = README.read_text(encoding="utf-8").partition(HEADING)[2]
    block = re.search(r"^```console\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert block is not None
    lines = block[1].splitlines()
    assert all(line.startswith("$ ") for line in lines)
    return [line.removeprefix("$ ") for line in lines]


async def run(line: str, variables: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        line,
        env=variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, f"{line}: {errors.decode()}"
    return out.decode()


async def test_the_trade_of_the_readme_happens(database_url: str, tmp_path: Path) -> None:
    async with served(database_url, tmp_path) as house:
        cast = await join_all(house)
        deposit = {"participant_id": cast.buyer.id, "amount_cny": "1000.00"}
        await house.operator.post("/v1/deposits", deposit)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
        variables = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "200",
            "EXCHANGE_URL": str(house.http.base_url),
            "KEY_PROVIDER": cast.provider.key,
            "KEY_BUYER": cast.buyer.key,
        }
        printed = [await run(line, variables) for line in lines_of_the_trade()]
        assert len(printed) == 5
        assert PRODUCT in printed[0]
        assert "nothing rests" in printed[1]
        assert "resting" in printed[2]
        assert "filled" in printed[3]
        bid = (await cast.buyer.get("/v1/orders"))["data"][0]
        assert bid["id"] in printed[4]
        assert (bid["status"], bid["filled_gpu_hours"]) == ("filled", 4)
        assert [fill["price_cny_per_gpu_hour"] for fill in bid["fills"]] == ["4.20"]
        leases = (await cast.buyer.get("/v1/leases"))["data"]
        assert len(leases) == 1
