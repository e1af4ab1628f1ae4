"""Goal: processes of a fleet are one exchange to their callers, and go on whichever of them is gone.

Method: the command itself, two gateways and two engines on a real database and Redis; each is asked over
HTTP only, and stopped, killed and halted by signals. What an order came to is looked up in the end, and what
gateways share, the market, switches and budgets, at the other one. The fleet is one for all tests, made whole
again before each; the last one stops all of it.
"""

import itertools
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from exchange.cli.failures import ExitCode
from exchange.kit.clock import hour_of, wall_now_us
from exchange.kit.fields import format_cny, format_hour
from tests.fleet import ProcessFleet, ServedProcess, fleet_of, wait_until
from tests.history.stage import Operator
from tests.history.trading import next_hour
from tests.plain_http import Line, check_once, place_at_once
from tests.redis_servers import RedisServer

PRODUCT = "nvidia-t4.zhangjiakou.pcie3"
QUIET_PRODUCT = "nvidia-a10.zhangjiakou.pcie4"
"""Nobody else offers any of it."""
TAKEOVER_S = 5.0
"""What the exchange promises: after a leader's death the market is open again within this time."""
QUICK = 20
"""Orders withdrawn at once that the shipped rules speak of."""
SOON_S = 30.0
REQUESTS = 30
SENDERS = 50
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def whole_fleet(
    module_database_url: str, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProcessFleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with fleet_of(module_database_url, redis.url, folder, gateways=2, engines=2) as started:
        yield started


@pytest.fixture
def fleet(whole_fleet: ProcessFleet) -> ProcessFleet:
    """Give the fleet, with others in the places of those that a test before has ended."""
    whole_fleet.make_whole(gateways=2, engines=2)
    return whole_fleet


class Trader:
    """A provider that offers GPUs at whichever gateway it is told to."""

    def __init__(self, fleet: ProcessFleet) -> None:
        self.gateways = [each for each in fleet.processes if each.role == "gateway"]
        # Once: what is sent again under its name must be the same order, also if an hour has begun meanwhile.
        self._first_hour = hour_of(wall_now_us()) + 2
        name = f"provider {next(_numbers)}"
        facts = {"kind": "provider", "name": name, "region": "hebei", "ownership": "state"}
        self._operator = operator = fleet.operator_key
        owner = self._ask(0, "POST", "/v1/participants", operator, json=facts).json()
        scopes = {"participant_id": owner["id"], "scopes": ["read", "list_capacity"]}
        self._key = self._ask(0, "POST", "/v1/keys", operator, json=scopes).json()["secret"]
        self.answered: list[str] = []

    def _ask(self, gateway: int, method: str, path: str, key: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"fleet-{next(_numbers)}"}
        url = f"{self.gateways[gateway].url}{path}"
        return httpx.request(method, url, headers=headers, timeout=30.0, trust_env=False, **more)

    def send(self, gateway: int, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask for something."""
        return self._ask(gateway, method, path, self._key, **more)

    def get(self, gateway: int, path: str) -> httpx.Response:
        """Read something."""
        return self.send(gateway, "GET", path)

    def offer(self, gateway: int, name: str = "", **more: object) -> httpx.Response:
        """Send an ask."""
        order = {
            "client_order_id": name or f"ask-{next(_numbers)}",
            "product": PRODUCT,
            "side": "sell",
            "quantity_gpus": 2,
            "starts_at": format_hour(self._first_hour),
            "ends_at": format_hour(self._first_hour + 4),
            "price_cny_per_gpu_hour": "4.20",
            **more,
        }
        answer = self._ask(gateway, "POST", "/v1/orders", self._key, json=order)
        if answer.status_code == 201:
            self.answered.append(str(order["client_order_id"]))
        return answer

    def offer_until_answered(self, gateway: int, name: str) -> float:
        """Send an ask again and again until it is answered; return after how many seconds it was."""

        def is_answered() -> bool:
            answer = self.offer(gateway, name)
            assert answer.status_code in {200, 201, 503}, answer.text
            assert answer.status_code != 503 or answer.json()["retryable"], answer.text
            return answer.status_code != 503

        return wait_until(is_answered, 60.0, lambda: f"{name} is not answered")

    def offer_and_withdraw(self, gateway: int, count: int) -> None:
        """Send so many asks at once, and take all of them back."""
        orders = [
            {
                "client_order_id": f"ask-{next(_numbers)}",
                "product": PRODUCT,
                "side": "sell",
                "quantity_gpus": 2,
                "starts_at": format_hour(self._first_hour),
                "ends_at": format_hour(self._first_hour + 4),
                "price_cny_per_gpu_hour": "4.20",
            }
            for _ in range(count)
        ]
        answer = self.send(gateway, "POST", "/v1/orders/batch", json={"orders": orders})
        assert answer.status_code == 200, answer.text
        answer = self.send(gateway, "DELETE", f"/v1/orders?product={PRODUCT}")
        assert len(answer.json()["data"]) == count, answer.text

    def regulator(self) -> str:
        """Return a key that reads alerts."""
        operator, facts = self._operator, {"kind": "regulator", "name": "a regulator"}
        owner = self._ask(0, "POST", "/v1/participants", operator, json=facts).json()
        scopes = {"participant_id": owner["id"], "scopes": ["audit"]}
        secret: str = self._ask(0, "POST", "/v1/keys", operator, json=scopes).json()["secret"]
        return secret

    def alerts(self, gateway: int, key: str) -> list[str]:
        """Return what was found, alert by alert."""
        answer = self._ask(gateway, "GET", "/v1/oversight/alerts", key)
        assert answer.status_code == 200, answer.text
        return [each["detector"] for each in answer.json()["data"]]

    def reading(self, process: ServedProcess) -> tuple[int, int]:
        """Return whether a process reads the record for alerts, and how many it has raised."""
        headers = {"Authorization": f"Bearer {self._operator}"}
        text = httpx.get(f"{process.url}/metrics", headers=headers, timeout=SOON_S, trust_env=False).text
        told = dict(line.split(" ") for line in text.splitlines() if line.startswith("exchange_alerts"))
        return int(told["exchange_alerts_reading"]), int(told["exchange_alerts_found_total"])

    def offers(self, gateway: int) -> dict[str, int]:
        """Count the orders of each name."""
        orders = self.get(gateway, "/v1/orders?limit=1000").json()["data"]
        names = [order["client_order_id"] for order in orders]
        return {name: names.count(name) for name in names}


def _wait_for_detail(process: ServedProcess, detail: str) -> None:
    wait_until(
        lambda: detail in str(process.ready().get("detail")),
        30.0,
        lambda: f"{process.name}: {process.told()}",
    )


def test_the_standby_trades_soon_after_the_leader_was_killed_and_gateways_say_when_nobody_does(
    fleet: ProcessFleet,
) -> None:
    trader = Trader(fleet)
    for number in range(20):
        assert trader.offer(number % 2, f"before-{number}").status_code == 201
    leader = fleet.leader()
    leader.kill()
    assert trader.offer_until_answered(0, "after") < TAKEOVER_S
    assert fleet.leader() is not leader
    assert trader.offers(1) == dict.fromkeys([*(f"before-{number}" for number in range(20)), "after"], 1)
    fleet.leader().kill()
    for gateway in trader.gateways:
        _wait_for_detail(gateway, "partition 1: no engine leads it")
    begun_s = time.monotonic()
    while (answer := trader.offer(0)).json()["code"] != "no_leader":
        assert (answer.status_code, answer.json()["outcome"]) == (503, "unknown")
        assert time.monotonic() - begun_s < 60.0
    assert answer.json()["outcome"] == "not_applied"


def test_a_leader_that_stood_still_writes_nothing_more(fleet: ProcessFleet) -> None:
    trader = Trader(fleet)
    assert trader.offer(0, "before").status_code == 201
    halted = fleet.leader()
    halted.send(signal.SIGSTOP)
    others = [each for each in fleet.processes if each.role == "engine" and each is not halted]
    assert trader.offer_until_answered(0, "meanwhile") < TAKEOVER_S
    others[0].wait_until("ready")
    halted.send(signal.SIGCONT)
    halted.wait_until("standby")
    assert trader.offer(1, "after").status_code == 201
    assert trader.offers(0) == {"before": 1, "meanwhile": 1, "after": 1}
    others[0].kill()
    assert trader.offer_until_answered(1, "last") < TAKEOVER_S
    assert halted.ready()["status"] == "ready", "it leads again, with books of its own"
    assert trader.offers(0) == {"before": 1, "meanwhile": 1, "after": 1, "last": 1}


def test_redis_may_die_and_come_back(fleet: ProcessFleet, redis: RedisServer) -> None:
    trader = Trader(fleet)
    assert trader.offer(0, "before").status_code == 201
    redis.kill()
    refused = trader.offer(0, "without")
    problem = refused.json()
    assert (refused.status_code, problem["retryable"]) == (503, True)
    assert problem["outcome"] in {"not_applied", "unknown"}
    for process in fleet.processes:
        _wait_for_detail(process, "Redis cannot be reached")
    redis.start()
    trader.offer_until_answered(0, "without")
    trader.offer_until_answered(1, "after")
    for process in trader.gateways:
        process.wait_until("ready")
    assert trader.offers(1) == {"before": 1, "without": 1, "after": 1}


def test_one_gateway_raises_each_alert_and_the_other_goes_on_when_it_is_killed(fleet: ProcessFleet) -> None:
    trader = Trader(fleet)
    regulator = trader.regulator()
    trader.offer_and_withdraw(0, QUICK)
    wait_until(lambda: trader.alerts(0, regulator) == ["quick_cancels"], 60.0, fleet.leader().told)
    read = {each: trader.reading(each) for each in fleet.processes}
    reader = next(each for each in trader.gateways if read[each][0])
    assert read == {each: (1, 1) if each is reader else (0, 0) for each in fleet.processes}
    reader.kill()
    other = next(each for each in trader.gateways if each is not reader)
    number = trader.gateways.index(other)
    trader.offer_and_withdraw(number, QUICK)
    wait_until(lambda: len(trader.alerts(number, regulator)) > 1, 60.0, other.told)
    # What the first one had found is not found again, however much was read anew.
    trader.offer_and_withdraw(number, QUICK)
    wait_until(lambda: len(trader.alerts(number, regulator)) > 2, 60.0, other.told)
    assert trader.alerts(number, regulator) == ["quick_cancels"] * 3
    assert trader.reading(other) == (1, 2)


def free_gpus(trader: Trader, gateway: int) -> int:
    """Return what a gateway shows to be for sale in the best hour."""
    hours: list[dict[str, int]] = trader.get(gateway, f"/v1/market/{QUIET_PRODUCT}/calendar").json()["hours"]
    return max(hour["free_gpus"] for hour in hours)


def test_a_switch_fires_though_its_gateway_and_the_leader_are_gone(
    fleet: ProcessFleet, redis: RedisServer
) -> None:
    trader = Trader(fleet)
    placed = trader.offer(0, "left-alone", product=QUIET_PRODUCT)
    assert placed.status_code == 201, placed.text
    wait_until(lambda: free_gpus(trader, 1) == 2, SOON_S, lambda: "the other gateway shows no ask")
    armed = trader.send(0, "POST", "/v1/orders/cancel-all-after", json={"timeout_s": 2})
    assert (armed.status_code, armed.json()["cancels_at"] is None) == (200, False)
    trader.gateways[0].kill()
    fleet.leader().kill()
    redis.flush()
    path = f"/v1/orders/{placed.json()['id']}"
    wait_until(lambda: trader.get(1, path).json()["status"] == "cancelled", SOON_S, lambda: "it did not fire")
    wait_until(lambda: free_gpus(trader, 1) == 0, SOON_S, lambda: "what was cancelled is still shown")


def test_a_key_has_one_budget_at_all_gateways_together(fleet: ProcessFleet) -> None:
    trader = Trader(fleet)
    # Two more with a budget that is spent soon.
    frugal = [fleet.start("gateway", EXCHANGE_RATE_KEY=f"{REQUESTS}/3600") for _ in range(2)]
    for gateway in frugal:
        gateway.wait_until("ready")
    trader.gateways = frugal
    answers = Counter(trader.get(number % 2, "/v1/orders").status_code for number in range(2 * REQUESTS))
    assert answers == {200: REQUESTS, 429: REQUESTS}
    for gateway in frugal:
        gateway.kill()


async def test_one_client_order_id_from_fifty_connections_to_two_gateways(fleet: ProcessFleet) -> None:
    """Injected: the same order at once on fifty connections, half of them to each gateway.

    Must hold: it is done once; one answer is the first and the others are replays, letter by letter the same.
    """
    doors = itertools.cycle([each.port for each in fleet.processes if each.role == "gateway"])
    with Operator(Line("127.0.0.1", next(doors)), fleet.operator_key) as operator:
        provider = await operator.trader("provider", 0, "a provider of one name")
        [(product, price)] = (await operator.products(1)).items()
    order = {
        "client_order_id": "once",
        "product": product,
        "side": "sell",
        "quantity_gpus": 2,
        "starts_at": format_hour(next_hour() + 1),
        "ends_at": format_hour(next_hour() + 3),
        "price_cny_per_gpu_hour": format_cny(price),
    }
    lines = [Line("127.0.0.1", next(doors)) for _ in range(SENDERS)]
    check_once(await place_at_once(lines, provider.key, order), 201)
    asking = Line("127.0.0.1", next(doors))
    listed = await asking.send("GET", "/v1/orders", key=provider.key)
    asking.cut()
    assert [each["client_order_id"] for each in listed.json()["data"]] == ["once"]


def test_what_one_gateway_took_is_known_at_the_other_and_a_stop_hands_over(fleet: ProcessFleet) -> None:
    trader = Trader(fleet)
    placed = trader.offer(0, "first")
    assert placed.status_code == 201, placed.text
    read = trader.get(1, f"/v1/orders/{placed.json()['id']}")
    assert (read.status_code, read.json()["status"]) == (200, "resting")
    again = trader.offer(1, "first")
    assert (again.json()["id"], again.headers["Idempotent-Replayed"]) == (placed.json()["id"], "true")
    engines = [each for each in fleet.processes if each.role == "engine"]
    assert sorted(each.ready()["status"] for each in engines) == ["ready", "standby"]
    for engine in engines:
        assert httpx.get(f"{engine.url}/healthz", timeout=SOON_S, trust_env=False).status_code == 200
        assert httpx.get(f"{engine.url}/v1/products", timeout=SOON_S, trust_env=False).status_code == 404
    leader = fleet.leader()
    assert leader.stop() == ExitCode.DONE
    assert trader.offer_until_answered(1, "second") < TAKEOVER_S
    assert fleet.leader() is not leader
    for process in fleet.processes:
        if process.is_running:
            assert process.stop() == ExitCode.DONE, process.told()
            assert "Traceback" not in process.told()
