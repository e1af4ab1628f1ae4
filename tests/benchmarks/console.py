"""`console.first_chart`: what it costs a newcomer's browser to show the market of the demo.

Each load is by a window with nothing kept, in Debian's Chromium on the machine of the demo itself: no network
is between them, so its time is that of the server, of the scripts and of drawing. The clock of the page runs
from navigation to the first frame in which the delivery calendar has colours. What was transferred until then
counts with heads, as it was sent: compressed.
"""

import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from playwright.sync_api import Browser, sync_playwright

from tests.benchmarks.result import BenchResult, conditions, percentile, progress, result
from tests.benchmarks.venue import plain_environment
from tests.browser.chromium import CHROMIUM, FLAGS

ROOT = Path(__file__).resolve().parents[2]
SERIES = 3
LOADS = 20
TIMEOUT_MS = 30_000
READY = "Ctrl-C stops it."
_ADDRESS = re.compile(r"The exchange runs at (http://\S+);")
# Looks at each frame whether something is drawn, and notes when that was.
_WATCH = """
(() => {
  const look = () => {
    const calendar = document.querySelector(".heat-body");
    const drawing = calendar?.getContext?.("2d") ?? calendar?.querySelector("canvas")?.getContext("2d");
    if (drawing && drawing.canvas.width > 0) {
      const { width, height } = drawing.canvas;
      if (drawing.getImageData(0, 0, width, height).data.some((value) => value !== 0)) {
        window.firstChartMs = performance.now();
        return;
      }
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""


class _Load(msgspec.Struct, frozen=True):
    """One load of the page: its time, and the bytes of files and of answers of the API."""

    first_chart_ms: float
    files_bytes: int
    data_bytes: int


def first_chart() -> Iterator[BenchResult]:
    """Load the market page again and again, as somebody who was never there."""
    if CHROMIUM is None:
        raise RuntimeError(
            "there is no Chromium: `apt-get install chromium-headless-shell` (make test does, as root)"
        )
    subprocess.run(["make", "console"], cwd=ROOT, stdout=sys.stderr, check=True)
    series: list[list[_Load]] = []
    with _demo() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        version = browser.version
        _load(browser, url)  # the browser's own first start is not the page's
        for _ in range(SERIES):
            series.append([_load(browser, url) for _ in range(LOADS)])
            times = [load.first_chart_ms for load in series[-1]]
            progress(
                f"console.first_chart: {percentile(times, 0.5):.0f} ms, p99 {percentile(times, 0.99):.0f}"
            )
        browser.close()
    every = [load for loads in series for load in loads]
    told = conditions(
        pinned_to=[],
        chromium=version,
        loads=LOADS,
        files_kib=round(percentile([load.files_bytes for load in every], 0.5) / 1024, 1),
        data_kib=round(percentile([load.data_bytes for load in every], 0.5) / 1024, 1),
        cache="empty",
    )
    weights = [
        percentile([load.files_bytes + load.data_bytes for load in loads], 0.5) / 1024 for loads in series
    ]
    yield result("console.first_chart", "page_kib", weights, "KiB", "lower", told)
    for metric, share in (("p50_ms", 0.5), ("p99_ms", 0.99)):
        runs = [percentile([load.first_chart_ms for load in loads], share) for loads in series]
        yield result("console.first_chart", metric, runs, "ms", "lower", told)


def _load(browser: Browser, url: str) -> _Load:
    context = browser.new_context(viewport={"width": 1360, "height": 850}, locale="en-GB")
    context.add_init_script(_WATCH)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    kinds: dict[str, str] = {}
    bytes_of: dict[str, int] = {}
    session.on("Network.responseReceived", lambda said: kinds.update({said["requestId"]: said["type"]}))
    session.on(
        "Network.loadingFinished",
        lambda said: bytes_of.update({said["requestId"]: int(said["encodedDataLength"])}),
    )
    page.goto(f"{url}/console/market")
    shown = page.wait_for_function("() => window.firstChartMs", timeout=TIMEOUT_MS)
    first_chart_ms = float(shown.json_value())
    context.close()
    data = {"Fetch", "XHR"}
    return _Load(
        first_chart_ms,
        sum(size for request, size in bytes_of.items() if kinds.get(request) not in data),
        sum(size for request, size in bytes_of.items() if kinds.get(request) in data),
    )


@contextmanager
def _demo() -> Iterator[str]:
    """Run the demo on a folder of its own, and give its address once its market is there."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "exchange", "demo", "--port", "0", "--data-dir", folder],
            env={**plain_environment(), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=sys.stderr,
            text=True,
        )
        try:
            yield _address_of(process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def _address_of(process: "subprocess.Popen[str]") -> str:
    if process.stdout is None:
        raise AssertionError("standard output is a pipe")
    address = ""
    for line in process.stdout:
        if found := _ADDRESS.search(line):
            address = found[1]
        if READY in line:
            return address
    raise RuntimeError("the demo did not start")


BENCHES: dict[str, Callable[[], Iterable[BenchResult]]] = {"console.first_chart": first_chart}
