"""Goal: what docs/vouchers.md tells a city and a company to type works, and comes to what the page says.

Method: the console blocks of its first section are run by one shell as they stand, in order, against a served
exchange whose address and keys are in the variables that the demo prints.
"""

import os
import re
import sys
from pathlib import Path
from typing import Final

from tests.e2e.served import served
from tests.e2e.stage import join_all
from tests.e2e.test_readme import run

PAGE: Final = Path(__file__).parents[2] / "docs" / "vouchers.md"
HEADING: Final = "## A programme without a line of code"


def commands() -> str:
    """Return the commands of the section's console blocks, without their prompts."""
    section = PAGE.read_text(encoding="utf-8").partition(HEADING)[2].partition("\n## ")[0]
    blocks = re.findall(r"^```console\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    lines = [line for block in blocks for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines)
    return "\n".join(["set -euo pipefail", *(line.removeprefix("$ ") for line in lines)])


async def test_a_city_starts_a_programme_and_a_company_buys_by_the_commands_of_the_page(
    database_url: str, tmp_path: Path
) -> None:
    async with served(database_url, tmp_path) as house:
        cast = await join_all(house)
        at_home = {"region": "guizhou", "ownership": "state"}
        provider = await house.join("provider", ["read", "list_capacity"], **at_home)
        deposit = {"participant_id": cast.buyer.id, "amount_cny": "1000.00"}
        await house.operator.post("/v1/deposits", deposit)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EXCHANGE_")}
        variables = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "EXCHANGE_URL": str(house.http.base_url),
            "KEY_ISSUER": cast.issuer.key,
            "KEY_PROVIDER": provider.key,
            "KEY_BUYER": cast.buyer.key,
        }
        printed = await run(f"cd {tmp_path}\n{commands()}", variables)
        for told in ("created", "draft", "open", "qiannan-compute", "40 % of this order", "filled", "closed"):
            assert told in printed
        [bid] = (await cast.buyer.get("/v1/orders"))["data"]
        # 8 x 2 x 2.20 are 35.20, of which 40 % are 14.08.
        assert [fill["voucher_cny"] for fill in bid["fills"]] == ["14.08"]
        [voucher] = (await cast.buyer.get("/v1/vouchers"))["data"]
        assert (voucher["face_cny"], voucher["committed_cny"]) == ("1000.00", "14.08")
        [programme] = (await cast.issuer.get("/v1/programmes"))["data"]
        assert (programme["name"], programme["status"]) == ("黔南州算力券", "closed")
        assert (programme["issued_cny"], programme["returned_cny"]) == ("1000.00", "79999000.00")
