"""The browser of tests and benchmarks: Debian's Chromium, and how it is started.

Its headless shell where there is one: the same engine without a browser's windows, a third less work.
"""

import shutil

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")
FLAGS = [
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-sandbox"),
]
