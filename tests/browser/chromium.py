"""The browser of tests and benchmarks: Debian's Chromium, and how it is started."""

import shutil

CHROMIUM = shutil.which("chromium")
FLAGS = [
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-sandbox"),
]
