"""A page in headless Chromium, steered through its DevTools protocol: for screenshots of the docs, and for tests."""

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""Path of Chromium, None if it is not installed."""
SECONDS = 90.0
"""How long anything is waited for."""


class Page:
    """An open page.

    Attributes:
        requests: Addresses of everything that the page has asked for.
        problems: Messages of errors in the page's scripts.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.number = socket, 0
        self.requests: list[str] = []
        self.problems: list[str] = []

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command of the protocol and returns its result.

        Raises:
            RuntimeError: If the browser refuses it.
        """
        self.number += 1
        await self.socket.send_json({"id": self.number, "method": method, "params": parameters})
        message = await asyncio.wait_for(self.answer_to(self.number), SECONDS)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']['message']}")
        return message["result"]

    async def answer_to(self, number: int) -> dict[str, Any]:
        """Receives messages up to the answer to a command, and notes requests and errors."""
        while True:
            message = json.loads((await self.socket.receive()).data)
            if message.get("method") == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            if message.get("method") == "Runtime.exceptionThrown":
                self.problems.append(str(message["params"]["exceptionDetails"].get("text")))
            if message.get("id") == number:
                return message

    async def value(self, script: str) -> Any:
        """Returns the value of an expression in JavaScript."""
        answer = await self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    async def wait_for(self, script: str) -> Any:
        """Waits until an expression is true, and returns its value.

        Raises:
            TimeoutError: If it does not become true.
        """
        for _ in range(int(SECONDS / 0.2)):
            if found := await self.value(script):
                return found
            await asyncio.sleep(0.2)
        raise TimeoutError(f"{script}: did not become true within {SECONDS:g} seconds")

    async def drag(self, points: Sequence[tuple[float, float]]) -> None:
        """Moves the pressed mouse along points, in pixels of the page."""
        for kind, places in (("mousePressed", points[:1]), ("mouseMoved", points[1:]), ("mouseReleased", points[-1:])):
            for x, y in places:
                await self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    async def screenshot(self) -> bytes:
        """Returns the visible part as PNG."""
        return base64.b64decode((await self.send("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def opened(address: str, size: tuple[int, int] = (1100, 720)) -> AsyncIterator[Page]:
    """Opens an address in a browser of its own, which ends with the context.

    Raises:
        FileNotFoundError: If there is no Chromium.
    """
    if CHROMIUM is None:
        raise FileNotFoundError("there is no Chromium; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"]
        options += [f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", "about:blank"]
        browser = subprocess.Popen([CHROMIUM, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port = await _port(Path(profile, "DevToolsActivePort"))
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    pages = [each for each in await answer.json() if each["type"] == "page"]
                async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    for domain in ("Page", "Network", "Runtime"):
                        await page.send(f"{domain}.enable")
                    await page.send("Page.navigate", url=address)
                    yield page
        finally:
            browser.terminate()
            browser.wait()


async def _port(file: Path) -> int:
    for _ in range(int(SECONDS / 0.1)):
        if file.is_file() and (lines := file.read_text().split()):
            return int(lines[0])
        await asyncio.sleep(0.1)
    raise TimeoutError(f"Chromium has not started within {SECONDS:g} seconds")
