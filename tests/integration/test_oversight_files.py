"""Goal: a file says the same in every form, and is written piece by piece. Method: read it back.

Trades and records put into the real tables are exported through the application; CSV, NDJSON, Parquet and a
ZIP of each are read by other programs' readers and compared with each other.
"""

import csv
import io
import zipfile
from collections.abc import AsyncIterator
from importlib import import_module
from random import Random
from typing import Any

import httpx
import msgspec
import pytest

from exchange.kit.audit import AuditRecord, insert_audit_records
from exchange.kit.auth import Scope
from exchange.kit.clock import ManualClock
from exchange.kit.csv_file import safe_cell
from exchange.kit.database import Database
from exchange.oversight import export
from exchange.oversight.event_models import EventRow
from exchange.oversight.export import FileForm
from exchange.oversight.models import ExportFormat, TradeRow
from tests.market_rows import Market, fill_market
from tests.oversight_client import OversightApp

STARTS_AT_US = 1_790_000_000_000_000
WHY = {"reason": "case 7"}


@pytest.fixture
async def market(database: Database) -> Market:
    async with database.transaction() as connection:
        market = await fill_market(connection, trades=300, seed=9, starts_at_us=STARTS_AT_US)
        await insert_audit_records(
            connection,
            [
                AuditRecord(
                    code="FILL" if trade.sequence % 2 else "PARF",
                    event_at_us=trade.traded_at_us,
                    partition_id=1,
                    sequence=trade.sequence,
                    participant_id=trade.buyer_id,
                    trade_group_id=market.groups[trade.buyer_id],
                    product_id=trade.product_id,
                    order_id=trade.bid_order_id,
                    trade_id=trade.id,
                    detail={"price_ticks": trade.price_ticks, "note": "=1+1"},
                )
                for trade in market.trades
            ],
        )
    return market


@pytest.fixture
async def regulator(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    app = OversightApp(database, ManualClock(STARTS_AT_US))
    async with app.client(app.issue(1, Scope.AUDIT)) as client:
        yield client


async def file_of(client: httpx.AsyncClient, what: str, **query: str) -> bytes:
    answer = await client.get(f"/v1/oversight/{what}/export", params=WHY | query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["export-rows"] == "300"
    return answer.content


def parquet_rows(data: bytes) -> list[dict[str, Any]]:
    parquet = import_module("pyarrow.parquet")
    rows: list[dict[str, Any]] = parquet.read_table(io.BytesIO(data)).to_pylist()
    return rows


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize("what,type_", [("trades", TradeRow), ("events", EventRow)])
async def test_every_form_says_the_same(
    regulator: httpx.AsyncClient, what: str, type_: type[msgspec.Struct], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PARQUET_GROUP_ROWS", 100)
    lines = [
        msgspec.json.decode(line) for line in (await file_of(regulator, what, format="ndjson")).splitlines()
    ]
    assert [list(line) for line in lines] == [list(type_.__struct_fields__)] * 300
    for line in lines:
        if "detail" in line:  # an object in JSON, its text elsewhere
            line["detail"] = msgspec.json.encode(line["detail"]).decode()
    table = await file_of(regulator, what, format="parquet")
    assert parquet_rows(table) == lines
    assert import_module("pyarrow.parquet").ParquetFile(io.BytesIO(table)).num_row_groups > 1
    text = (await file_of(regulator, what, format="csv")).decode()
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == list(type_.__struct_fields__)
    assert [row[: len(header) - 1] for row in rows] == [
        [str(safe_cell(value)) for value in list(line.values())[:-1]] for line in lines
    ]


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize("file_format", list(ExportFormat))
async def test_a_zip_has_the_same_file(regulator: httpx.AsyncClient, file_format: ExportFormat) -> None:
    plain = await file_of(regulator, "trades", format=file_format)
    zipped = await file_of(regulator, "trades", format=file_format, zip="true")
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"trades.{file_format}"]
        assert archive.read(f"trades.{file_format}") == plain
    assert await file_of(regulator, "trades", format=file_format, zip="true") == zipped


@pytest.mark.usefixtures("market")
async def test_without_its_packages_parquet_is_refused_by_name(
    regulator: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.oversight.routes.has_parquet", lambda: False)
    answer = await regulator.get("/v1/oversight/trades/export", params=WHY | {"format": "parquet"})
    assert answer.status_code == 422
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [
        ("?format", "not_installed")
    ]


@pytest.mark.parametrize("file_format", list(ExportFormat))
@pytest.mark.parametrize("is_zipped", [False, True])
def test_what_was_written_is_handed_on_and_not_kept(
    *, file_format: ExportFormat, is_zipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the form, no more than a piece is kept: the bytes come while rows go in."""
    monkeypatch.setattr(export, "PARQUET_GROUP_ROWS", 500)
    writer = FileForm("things", file_format, is_zipped).writer(_Thing)
    begun = len(writer.head())
    random = Random(1)
    sizes = [
        len(writer.rows([_Thing(number=each, name=random.randbytes(40).hex()) for each in range(100)]))
        for _ in range(200)
    ]
    ended = len(writer.end())
    assert begun + sum(sizes) > 5 * ended  # of Parquet, what is kept of each group stands at the end
    assert max(sizes) < sum(sizes) / 8


class _Thing(msgspec.Struct, frozen=True):
    number: int
    name: str
