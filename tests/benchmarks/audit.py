"""What tamper evidence costs: `oversight.verify`, the whole command, and `oversight.seal`, beside the market.

A million records (BENCH_RECORDS of the environment says otherwise), as long as real ones are, in transactions
of 500: of five steps two are new orders, two fills and one a delivered hour.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from exchange.kit.database import Database
from exchange.kit.embedded_postgres import EmbeddedPostgres
from exchange.kit.migrate import migrate
from exchange.kit.settings import Settings
from exchange.transparency import keys
from exchange.transparency.folder import CheckpointFolder
from exchange.transparency.sealer import Sealer
from tests.benchmarks.result import BenchResult, conditions, progress, result

RECORDS: Final = int(os.environ.get("BENCH_RECORDS", "1000000"))
IN_TRANSACTION: Final = 500
RUNS: Final = 3
_US: Final = 1_000_000

_MAKE: Final = """
INSERT INTO audit_record (partition_id, sequence, event_index, code, event_at, actor_participant_id, key_id,
    participant_id, product_id, order_id, trade_id, detail)
SELECT 1, n, n % 3, (ARRAY['NEWO', 'NEWO', 'FILL', 'PARF', 'DLVR'])[1 + n % 5],
    timestamptz '2026-09-21' + n * interval '1 millisecond', 914791036906110976 + n % 400,
    914791036906120976 + n % 400, 914791036906110976 + n % 400, 'nvidia-t4.zhangjiakou.pcie3',
    914791039665963008 + n, CASE WHEN n % 5 > 1 THEN 914791039665973008 + n END,
    (ARRAY[
        '{"client_order_id":"bench-' || n || '","side":"buy","quantity_gpus":2,"starts_hour":492247,'
            '"ends_hour":492249,"hours":2,"price_ticks":390,"terms":{},"held_cash_fen":1560,"held_vouchers_fen":{}}',
        '{"client_order_id":"bench-' || n || '","side":"sell","quantity_gpus":2,"starts_hour":492247,'
            '"ends_hour":492249,"hours":2,"price_ticks":390,"terms":{},"held_cash_fen":0,"held_vouchers_fen":{}}',
        '{"quantity_gpus":2,"price_ticks":420,"starts_hour":492232,"hours":3,"voucher_fen":0,"reimbursable_fen":0}',
        '{"quantity_gpus":2,"price_ticks":420,"starts_hour":492232,"hours":3,"voucher_fen":0,"reimbursable_fen":0}',
        '{"delivery_hour":492223,"amount_fen":840,"fee_fen":4}'
    ])[1 + n % 5]::JSON
FROM generate_series($1::BIGINT, $2) AS n"""


async def make_sealed(url: str, folder: Path, records: int) -> dict[str, float]:
    """Write so many records and seal them; return what sealing took: seconds, and seconds of this process."""
    await migrate(url)
    database = await Database.connect(url, connections_min=1)
    settings = Settings(data_dir=folder)
    try:
        for first in range(1, records + 1, IN_TRANSACTION):
            async with database.transaction() as connection:
                await connection.execute(_MAKE, first, min(first + IN_TRANSACTION - 1, records))
        progress(f"audit: {records:,} records made")
        async with database.connection() as connection:
            # What the server does by itself a while after so much was written.
            await connection.execute("VACUUM (ANALYZE)")
        async with database.transaction() as connection:
            signer = await keys.begin(connection, settings)
        sealer = Sealer(database, CheckpointFolder.of(settings))
        sealer.signer = signer
        begun, begun_cpu = time.perf_counter(), time.process_time()
        while await sealer.turn(at_once=True):
            await sealer.publish()
        return {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - begun_cpu}
    finally:
        await database.close()


def _verify(url: str, folder: Path) -> float:
    """Run the command, and return how long it took."""
    command = [sys.executable, "-m", "exchange", "audit", "verify", "--json"]
    begun = time.perf_counter()
    said = subprocess.run(
        [*command, "--database-url", url, "--data-dir", str(folder)], capture_output=True, check=True
    )
    took = time.perf_counter() - begun
    verdict: dict[str, Any] = msgspec.json.decode(said.stdout)
    if verdict["fault"] is not None or verdict["records"] != verdict["log_size"] or verdict["unsealed"]:
        raise RuntimeError(f"the record is not whole: {verdict}")
    return took


def verify(records: int = RECORDS) -> Iterable[BenchResult]:
    """Seal a million records, and verify them by the command."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as name:
        folder = Path(name)
        with EmbeddedPostgres(folder) as server:
            sealing = asyncio.run(make_sealed(server.url, folder, records))
            progress("audit: sealed")
            runs = [records / _verify(server.url, folder) for _ in range(RUNS)]
        told = conditions(records=records, in_transaction=IN_TRANSACTION, postgresql="embedded, not pinned")
        del told["pinned_to"]
        yield result("oversight.verify", "records_per_s", runs, "1/s", "higher", told)
        for metric, value, unit in (
            ("us_per_record", _US * sealing["seconds"] / records, "us"),
            ("process_us_per_record", _US * sealing["cpu"] / records, "us"),
        ):
            yield result("oversight.seal", metric, [value], unit, "lower", told)


BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {"oversight.verify": verify}
