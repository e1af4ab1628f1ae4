"""A window of a real browser that shows the console, and watches what must never happen there.

Whatever test it serves, a screen has seen no error on the browser's console (a breach of the
Content-Security-Policy is one), no uncaught exception, no request to another host, and no refused or failed
answer but those that the test announced with `expects`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count, product
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, Response, expect

from tests.e2e.served import Caller, Served
from tests.hypothesis_profiles import is_long
from tests.streams import until

ROOT: Final = Path(__file__).parents[2]
SCREENSHOTS: Final = Path(__file__).parent / "screenshots"
_AXE: Final = ROOT / "exchange" / "console" / "web" / "node_modules" / "axe-core" / "axe.min.js"
_GRAVE: Final = {"serious", "critical"}
_FAILED_LOAD: Final = "Failed to load resource"
"""How the browser tells of an answer such as 404, which `_answered` judges with its address."""

_TELL_OF_SESSION: Final = """
    if (!sessionStorage.getItem("login %(number)d")) {
        sessionStorage.setItem("login %(number)d", "told");
        localStorage.setItem("exchange.session", "of the cookie");
    }
"""
"""Lets the first page that a window shows after a login ask whose its cookie is."""

_logins = count(1)

PATIENCE_MS: Final = 30_000
"""How long anything is waited for that must come: a busy machine takes seconds to draw a page.

What must come by the stream, and not with the next reading of a list, is waited for more briefly than lists
are read again (`timeout=`).
"""

Language = Literal["en", "zh"]
_CHOICES: Final[tuple[list[bool], list[bool], list[Language]]] = ([False, True], [False, True], ["en", "zh"])
_LOCALES: Final = {"en": "en-GB", "zh": "zh-CN"}


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What window the reader has."""

    language: Language = "en"
    is_phone: bool = False
    is_dark: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in CSS pixels."""
        return (360, 740) if self.is_phone else (1360, 850)


LOOKS: Final = (
    [Look(language="zh", is_phone=True, is_dark=True)]
    if not is_long()
    else [Look(is_dark=dark, is_phone=phone, language=each) for dark, phone, each in product(*_CHOICES)]
)
"""How a page is seen beside its other tests (English, light, on a desk); in the long run in every way."""


class Screen:
    """A page of the console, and what was seen on it."""

    def __init__(self, page: Page, house: Served, look: Look) -> None:
        self.page = page
        self.house = house
        self.look = look
        self.origin = str(house.http.base_url).rstrip("/")
        self.faults: list[str] = []
        self.forgives_unauthenticated = False
        """Set where a session ends: how many requests find out is a matter of chance."""
        self._expected: list[tuple[int, str]] = []
        self._announced: set[tuple[int, str]] = set()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        page.on("request", self._asked)
        page.on("response", self._answered)

    async def open(self, path: str) -> None:
        """Open a page by its path below /console/, and wait until its heading is there."""
        await self.page.goto(f"{self.origin}/console/{path}")
        await self.page.locator("main h1").first.wait_for()

    async def log_in(self, caller: Caller) -> None:
        """Have the session of a login, with no page shown yet: the login page has tests of its own."""
        address = f"{self.origin}/v1/session"
        answer = await self.page.request.post(
            address, headers={"Origin": self.origin}, data={"key": caller.key}
        )
        assert answer.ok, f"{answer.status}: {await answer.text()}"
        await self.page.add_init_script(_TELL_OF_SESSION % {"number": next(_logins)})

    async def log_in_by_hand(self, caller: Caller) -> None:
        """Log in through the login page, as a person does."""
        await self.open("login")
        await self.page.locator("input[type=password]").fill(caller.key)
        await self.page.locator("form button[type=submit]").click()
        await self.page.locator(".account").wait_for()

    def expects(self, status: int, path: str) -> None:
        """Announce a refused answer of a path such as /v1/orders; who asks again is refused again."""
        self._expected.append((status, path))
        self._announced.add((status, path))

    def button(self, name: str) -> Locator:
        """Return a button by its name."""
        return self.page.get_by_role("button", name=name, exact=True)

    async def check_accessible(self) -> None:
        """Fail where axe finds a serious fault in what is shown once nothing is asked for any more."""
        await expect(self.page.locator("[aria-busy=true]")).to_have_count(0)
        await self.page.evaluate(_AXE.read_text(encoding="utf-8"))
        found: list[dict[str, Any]] = await self.page.evaluate(
            "async () => (await axe.run(document, { resultTypes: ['violations'] })).violations"
        )
        grave = [
            f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
            for each in found
            if each["impact"] in _GRAVE
        ]
        assert not grave, "\n".join(grave)

    async def check_fits(self) -> None:
        """Fail where the page is wider than the window, so that it would scroll sideways."""
        # A phone's browser widens its window to what is too wide, so its own width would say nothing.
        width = await self.page.evaluate("document.documentElement.scrollWidth")
        over = width - self.look.size[0]
        assert over <= 0, f"{over} px too wide"

    async def screenshot(self, name: str) -> None:
        """Keep a picture of the whole page below tests/browser/screenshots."""
        SCREENSHOTS.mkdir(exist_ok=True)
        kind = f"{self.look.language}{'-phone' if self.look.is_phone else ''}"
        path = SCREENSHOTS / f"{name}-{kind}{'-dark' if self.look.is_dark else ''}.png"
        # What sticks to the window stands where it does at the top of the page.
        await self.page.evaluate("window.scrollTo(0, 0)")
        await self.page.screenshot(path=path, full_page=True)

    async def check_clean(self) -> None:
        """Fail where something was seen that must not be, or an announced refusal never came.

        A page may show what an answer did to it a moment before the browser tells of the answer.
        """
        with suppress(TimeoutError):
            await until(lambda: not self._expected)
        assert not self.faults, "\n".join(self.faults)
        assert not self._expected, f"never came: {self._expected}"

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(_FAILED_LOAD):
            self.faults.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        asked = urlsplit(request.url)
        if asked.scheme in {"http", "https", "ws", "wss"} and asked.netloc != urlsplit(self.origin).netloc:
            self.faults.append(f"another host: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status < 400 or (response.status == 401 and self.forgives_unauthenticated):
            return
        seen = (response.status, urlsplit(response.url).path)
        if seen in self._expected:
            self._expected.remove(seen)
        elif seen not in self._announced:
            self.faults.append(f"answered {response.status}: {response.request.method} {response.url}")


@asynccontextmanager
async def shown(browser: Browser, house: Served, look: Look) -> AsyncIterator[Screen]:
    """Open a window of its own (no cookies, nothing kept), and check at the end what was seen."""
    width, height = look.size
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        locale=_LOCALES[look.language],
        timezone_id="Asia/Shanghai",
        color_scheme="dark" if look.is_dark else "light",
        has_touch=look.is_phone,
        is_mobile=look.is_phone,
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MS)
    try:
        screen = Screen(await context.new_page(), house, look)
        yield screen
        await screen.check_clean()
    finally:
        await context.close()
