"""A served exchange to measure: its own process and data folder, standing supply, funded buyers."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from exchange.client import ExchangeClient
from exchange.kit.clock import hour_of
from exchange.kit.fields import format_hour
from exchange.ledger.models import NewCashMovement
from exchange.orders.models import NewOrder
from exchange.participants.models import NewKey, NewParticipant, Ownership, ParticipantKind, SizeClass
from exchange.participants.rules import KIND_SCOPES
from exchange.programmes.models import NewProgramme, ProgrammeRules, ProviderRule, RateTier
from exchange.vouchers.models import NewVoucher
from matching.order import Side

PRODUCT = "nvidia-t4.zhangjiakou.pcie3"
ASK_CNY = "2.31"
STANDING_ASKS = 20
SUPPLY_HOURS = 1_000
SUPPLY_GPUS = 50_000
WINDOW_HOURS = 24
BUYER_MONEY_CNY = "900000000.00"
BUYER_VOUCHER_CNY = "9000000000.00"
VOUCHER_ASK_CNY = "2.30"
SERVER_SETTINGS = {
    "EXCHANGE_BENCH_ECHO": "1",
    "EXCHANGE_DRAIN_S": "0",
    "EXCHANGE_LOG_LEVEL": "error",
    # Counted as ever, and never met.
    "EXCHANGE_RATE_KEY": "1000000000/1",
    "EXCHANGE_RATE_PARTICIPANT": "1000000000/1",
}
_ADDRESS = re.compile(r"exchange at (http://[0-9.]+:(\d+))")


class Venue:
    """A running exchange: `port`, its data folder, and the keys of its operator, provider and buyers."""

    def __init__(self, port: int, process: "subprocess.Popen[str]", folder: Path) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.buyer_keys: list[str] = []
        self.provider_key = ""
        self.first_hour = 0
        self.data_dir = folder
        self.operator_key = (folder / "operator.key").read_text().strip()
        self.operator_id = ""
        self._process = process

    def pin(self, core: int) -> None:
        """Keep the server's threads on one core; PostgreSQL stays free to use any."""
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})

    def resident_bytes(self) -> int:
        """Return how much memory the server's process has in use."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(kib) * 1024

    def cpu_s(self) -> float:
        """Return the CPU time that the server's process has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cpu_with_database_s(self) -> float:
        """Return the CPU time that the server and the processes of its PostgreSQL have used."""
        stats = (each / "stat" for each in Path("/proc").iterdir() if each.name.isdigit())
        used_s: dict[int, float] = {}
        parents: dict[int, int] = {}
        for stat in stats:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = stat.read_text().rpartition(")")[2].split()
                pid = int(stat.parent.name)
                parents[pid] = int(fields[1])
                # Of its own, and of those below it that have ended.
                used_s[pid] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
        own = {self._process.pid}
        while more := {pid for pid, parent in parents.items() if parent in own} - own:
            own |= more
        return sum(used_s.get(pid, 0.0) for pid in own)

    def furnish(self, buyers: int, *, own_providers: bool = False) -> None:
        """Register who is needed, fund the buyers, and list standing supply of one provider.

        With `own_providers` there is one for each buyer, which lists a window of hours of its own.
        """
        asyncio.run(self._furnish(buyers, own_providers=own_providers))

    async def _furnish(self, buyers: int, *, own_providers: bool) -> None:
        async with httpx.AsyncClient(timeout=30.0) as http:
            operator = ExchangeClient(self.url, self.operator_key, http)
            self.provider_key = await _join(operator, ParticipantKind.PROVIDER, 0)
            provider = ExchangeClient(self.url, self.provider_key, http)
            self.operator_id = (await operator.me()).id
            self.first_hour = hour_of(await operator.venue_now_us()) + 2
            for number in range(0 if own_providers else STANDING_ASKS):
                await provider.create_order(_ask(number, self.first_hour))
            for number in range(1, buyers + 1 if own_providers else 1):
                own = ExchangeClient(self.url, await _join(operator, ParticipantKind.PROVIDER, number), http)
                starts_hour = self.first_hour + (number - 1) * WINDOW_HOURS
                await own.create_order(_ask(number, starts_hour, hours=WINDOW_HOURS))
            self.buyer_keys = [
                await _join(operator, ParticipantKind.BUYER, number) for number in range(buyers)
            ]

    def issue_vouchers(self) -> None:
        """Start two programmes that pay beside each other, and give every buyer a voucher of each."""
        asyncio.run(self._issue_vouchers())

    async def _issue_vouchers(self) -> None:
        async with httpx.AsyncClient(timeout=30.0) as http:
            operator = ExchangeClient(self.url, self.operator_key, http)
            issuer = ExchangeClient(self.url, await _join(operator, ParticipantKind.ISSUER, 0), http)
            buyers = [(await ExchangeClient(self.url, key, http).me()).id for key in self.buyer_keys]
            for number, rate_bps in enumerate((3_000, 1_500)):
                programme = await issuer.create_programme(_programme(number, rate_bps))
                for buyer_id in buyers:
                    await issuer.issue_voucher(
                        NewVoucher(programme_id=programme.id, buyer_id=buyer_id, amount_cny=BUYER_VOUCHER_CNY)
                    )
            # What rests keeps the programmes that there were when it was placed.
            provider = ExchangeClient(self.url, self.provider_key, http)
            for number in range(STANDING_ASKS):
                await provider.create_order(_ask(STANDING_ASKS + number, self.first_hour, VOUCHER_ASK_CNY))


def _programme(number: int, rate_bps: int) -> NewProgramme:
    return NewProgramme(
        code=f"benchmark-{number}",
        name=f"benchmark {number}",
        rules=ProgrammeRules(
            budget_fen=10**14,
            rate_tiers=(RateTier(bps=rate_bps),),
            validity_days=365,
            provider=ProviderRule(),
            stacking="ceiling",
            stacking_ceiling_bps=5_000,
        ),
    )


async def _join(operator: ExchangeClient, kind: ParticipantKind, number: int) -> str:
    is_buyer, is_provider = kind is ParticipantKind.BUYER, kind is ParticipantKind.PROVIDER
    participant = await operator.create_participant(
        NewParticipant(
            kind=kind,
            name=f"{kind} {number}",
            region="guizhou" if is_buyer or is_provider else None,
            ownership=Ownership.PRIVATE if is_provider else None,
            size_class=SizeClass.LARGE if is_buyer else None,
            founded_on="2000-01-01" if is_buyer else None,
        )
    )
    if is_buyer:
        await operator.deposit(NewCashMovement(participant_id=participant.id, amount_cny=BUYER_MONEY_CNY))
    issued = await operator.create_key(
        NewKey(scopes=tuple(sorted(KIND_SCOPES[kind])), participant_id=participant.id)
    )
    if issued.secret is None:
        raise AssertionError("a key that was just made shows its secret")
    return issued.secret


def _ask(number: int, first_hour: int, price_cny: str = ASK_CNY, *, hours: int = SUPPLY_HOURS) -> NewOrder:
    return NewOrder(
        client_order_id=f"standing-{number}",
        product=PRODUCT,
        side=Side.SELL,
        quantity_gpus=SUPPLY_GPUS,
        starts_at=format_hour(first_hour),
        ends_at=format_hour(first_hour + hours),
        price_cny_per_gpu_hour=price_cny,
    )


def plain_environment() -> dict[str, str]:
    """Return the environment without any setting of an exchange."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EXCHANGE_", "DATABASE_URL"))
    }


@contextlib.contextmanager
def served_venue(settings: Mapping[str, str] | None = None, *, module: str = "exchange") -> Iterator[Venue]:
    """Give a venue on a fresh data folder, served by `exchange serve` in a process of its own.

    `settings` of the environment come before the usual ones; another `module` may stand for `exchange`.
    """
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "serve", "--port", "0", "--data-dir", folder],
            env={**plain_environment(), **SERVER_SETTINGS, **(settings or {})},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield Venue(_port_of(process), process, Path(folder))
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def _port_of(process: "subprocess.Popen[str]") -> int:
    if process.stderr is None:
        raise AssertionError("standard error is a pipe")
    told: list[str] = []
    for line in process.stderr:
        told.append(line)
        found = _ADDRESS.search(line)
        if found is not None:
            return int(found[2])
    raise RuntimeError("the server did not start:\n" + "".join(told))
