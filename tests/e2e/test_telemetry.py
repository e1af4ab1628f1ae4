"""Goal: an operator with a collector sees each request, and one without pays nothing and needs nothing.

Method: a served exchange that sends to a real HTTP server which reads OTLP; what it was sent is looked at
once the exchange has closed, which sends the last of it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from exchange.app import Exchange
from exchange.kit.settings import Settings, SettingsError
from tests.e2e.collector import attributes_of, collector
from tests.e2e.served import problem, served
from tests.e2e.stage import PRODUCT, SCOPES, Stage, join_all

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER_SPAN_ID = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE_ID}-{CALLER_SPAN_ID}-01"
SERVER_KIND = 2
ERROR_STATUS = 2


async def test_each_request_is_a_span_with_the_wait_for_its_partition(
    database_url: str, tmp_path: Path
) -> None:
    with collector() as collected:
        async with served(database_url, tmp_path, otlp_endpoint=f"{collected.address}/") as house:
            stage = Stage(house, await join_all(house), await join_all(house))
            buyer = stage.cast.buyer
            bid = stage.order("buy", "traced", (0, 1))
            headers = {"X-Request-Id": "traced", "traceparent": SAMPLED}
            problem(await buyer.send("POST", "/v1/orders", json=bid, headers=headers), 402)
            problem(await buyer.send("GET", "/v1/orders/ord_0000000000001"), 404)
            assert (await house.http.get("/v1/nowhere")).status_code == 404
        [order] = collected.named("POST /v1/orders")
        assert order.trace_id.hex() == TRACE_ID
        assert order.parent_span_id.hex() == CALLER_SPAN_ID
        assert order.kind == SERVER_KIND
        assert attributes_of(order) == {
            "http.request.method": "POST",
            "http.route": "/v1/orders",
            "http.response.status_code": 402,
            "exchange.request_id": "traced",
            "exchange.participant_id": buyer.id,
        }
        [wait] = [span for span in collected.named("partition") if span.trace_id == order.trace_id]
        assert wait.parent_span_id == order.span_id
        assert order.start_time_unix_nano <= wait.start_time_unix_nano
        assert wait.end_time_unix_nano <= order.end_time_unix_nano
        assert attributes_of(wait)["exchange.partition_id"] == house.exchange.products[PRODUCT].partition_id
        [got] = collected.named("GET /v1/orders/{order_id}")
        assert got.trace_id != order.trace_id
        assert got.parent_span_id == b""
        assert not [span for span in collected.spans if span.status.code == ERROR_STATUS]
        # What a request was about is in no span: ids of others, amounts, keys.
        assert not [text for text in ("ord_", "4.20", buyer.key) if text in str(collected.spans)]
        assert {each["service.name"] for each in collected.resources} == {"compute-exchange"}
        assert len(collected.named("POST /v1/keys")) == 2 * len(SCOPES)


async def test_a_share_of_none_sends_nothing_whatever_callers_ask_for(
    database_url: str, tmp_path: Path
) -> None:
    with collector() as collected:
        async with served(database_url, tmp_path, otlp_endpoint=collected.address, trace_ratio=0.0) as house:
            answer = await house.http.get("/v1/time", headers={"traceparent": SAMPLED})
            assert answer.status_code == 200
        assert collected.spans == []


async def test_what_is_no_traceparent_begins_a_trace(database_url: str, tmp_path: Path) -> None:
    unfit = (
        *("", "rubbish", "\xff" * 55, f"00-{'0' * 32}-{CALLER_SPAN_ID}-01"),
        f"ff-{TRACE_ID}-{CALLER_SPAN_ID}-01",
    )
    with collector() as collected:
        async with served(database_url, tmp_path, otlp_endpoint=collected.address) as house:
            for text in unfit:
                headers = {b"traceparent": text.encode("latin-1")}
                assert (await house.http.get("/v1/time", headers=headers)).status_code == 200
        spans = collected.named("GET /v1/time")
        assert len({span.trace_id.hex() for span in spans} - {TRACE_ID}) == len(unfit)
        assert {span.parent_span_id for span in spans} == {b""}


async def test_without_its_collector_the_exchange_goes_on(database_url: str, tmp_path: Path) -> None:
    with collector() as collected:
        nobody = collected.address
    async with served(database_url, tmp_path, otlp_endpoint=nobody) as house:
        assert (await house.http.get("/v1/time")).status_code == 200


def test_an_exchange_without_traces_does_not_load_what_they_need() -> None:
    # Not of `opentelemetry` itself: the client of Redis loads that where it is installed.
    program = "import exchange.cli, exchange.app, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"exchange.kit.telemetry", "opentelemetry.exporter"} & set(loaded.stdout.split())


async def test_without_the_extra_the_start_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "exchange.kit.telemetry", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    settings = Settings(database_url=database_url, data_dir=tmp_path, otlp_endpoint="http://127.0.0.1:4318")
    with pytest.raises(SettingsError, match=r"opentelemetry.* is not installed.*'\.\[telemetry\]'"):
        await Exchange.open(settings)
