"""What tests of the console share: its pages, built from the sources of now, a browser, windows on a stage.

Without Chromium they are skipped, with the reason; `make test` installs it where it may.
"""

import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.chromium import CHROMIUM, FLAGS
from tests.browser.screen import PATIENCE_MS, ROOT, Look, Screen, shown
from tests.e2e.stage import Stage, staged

OpenScreen = Callable[[Look], AbstractAsyncContextManager[Screen]]

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def built_pages() -> None:
    """Build the pages where their sources are newer; `make` knows."""
    done = subprocess.run(["make", "console"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"make console failed:\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="module")
async def browser(built_pages: None) -> AsyncIterator[Browser]:
    """Start Chromium, once a module."""
    del built_pages
    if CHROMIUM is None:
        pytest.skip(
            "there is no Chromium: `apt-get install chromium-headless-shell` (make test does, as root)"
        )
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, timeout=4 * PATIENCE_MS
        )
        yield started
        await started.close()


@pytest.fixture(scope="module")
async def stage(
    browser: Browser, module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """Serve an exchange on which everything exists once; a module's tests share it."""
    del browser  # where there is none, nothing is served
    folder = tmp_path_factory.mktemp("browser")
    # Sealed sooner than usual: a proof is there once its record is sealed.
    async with staged(module_database_url, folder, checkpoint_period_s=1.0) as ready:
        yield ready


@pytest.fixture
def open_screen(browser: Browser, stage: Stage) -> OpenScreen:
    """Open windows of any look, each for one `async with`."""
    return partial(shown, browser, stage.house)


@pytest.fixture
async def screen(open_screen: OpenScreen) -> AsyncIterator[Screen]:
    """Open a window on a desktop, in English."""
    async with open_screen(Look()) as window:
        yield window
