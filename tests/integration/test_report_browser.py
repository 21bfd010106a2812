"""The report in a real browser: headless Chromium, driven through its DevTools protocol."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import SETTINGS, build_run

from mira.report import write_report

CHROMIUM = Path("/usr/bin/chromium")
START_SECONDS = 15
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)

SORT = """(() => {
  const table = [...document.querySelectorAll("table.sortable")]
    .find((t) => t.caption.textContent.startsWith("What each method keeps"));
  const values = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[2].dataset.value));
  const heading = table.tHead.rows[0].cells[2];
  const seen = [];
  for (let click = 0; click < 2; click += 1) {
    heading.querySelector("button").click();
    seen.push([heading.getAttribute("aria-sort"), values()]);
  }
  return seen;
})()"""

CONTRAST = """(() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const cache = new Map();
  const rgba = (colour) => {
    if (!cache.has(colour)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
      cache.set(colour, [...pen.getImageData(0, 0, 1, 1).data]);
    }
    return cache.get(colour);
  };
  const light = ([r, g, b]) => [r, g, b]
    .map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  for (const details of document.querySelectorAll("details")) details.open = true;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let worst = { ratio: 99, text: "" };
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest("script, style, title, desc")) continue;
    const style = getComputedStyle(element);
    const ink = rgba(element.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(ink), light(ground(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst.ratio) worst = { ratio, text: node.textContent.trim().slice(0, 60) };
  }
  return worst;
})()"""


class Page:
    """One browser tab: sends commands, keeps every event."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self.numbers)
        await self.socket.send_json({"id": number, "method": method, "params": params})
        while True:
            message = await self.socket.receive_json(timeout=START_SECONDS)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    async def wait_for(self, method: str) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.events.append(await self.socket.receive_json(timeout=START_SECONDS))

    async def evaluate(self, script: str) -> Any:
        answer = await self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    def params(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") == method]


@contextlib.asynccontextmanager
async def open_page(profile: Path) -> AsyncIterator[Page]:
    import aiohttp

    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = await _port(profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                tabs = await answer.json()
            address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                page = Page(socket)
                yield page
                await page.send("Browser.close")
    finally:
        try:
            browser.wait(5)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()


async def _port(path: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if path.exists() and (lines := path.read_text().splitlines()):
            return lines[0]
        await asyncio.sleep(0.05)
    raise TimeoutError(f"Chromium did not open its debugging port within {START_SECONDS} s")


async def observe(report: Path, profile: Path) -> dict[str, Any]:
    """Open the report and gather what the tests ask about."""
    async with open_page(profile) as page:
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.send(f"{domain}.enable")
        await page.send("Page.navigate", url=report.as_uri())
        await page.wait_for("Page.loadEventFired")
        seen: dict[str, Any] = {
            "title": await page.evaluate("document.title"),
            "broken": await page.evaluate("typeof window.broken"),
            "images": await page.evaluate("[...document.images].map((i) => i.naturalWidth)"),
            "sorted": await page.evaluate(SORT),
        }
        for scheme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": scheme}
            await page.send("Emulation.setEmulatedMedia", features=[feature])
            seen[scheme] = await page.evaluate(CONTRAST)
        phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
        await page.send("Emulation.setDeviceMetricsOverride", **phone)
        seen["phone_width"] = await page.evaluate("document.documentElement.scrollWidth")
        requests = page.params("Network.requestWillBeSent")
        seen["requests"] = [event["request"]["url"] for event in requests]
        seen["problems"] = [
            *page.params("Runtime.exceptionThrown"),
            *page.params("Runtime.consoleAPICalled"),
            *page.params("Log.entryAdded"),
        ]
    return seen


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed, so the report cannot be opened in a browser")
    root = tmp_path_factory.mktemp("report")
    run = build_run(root)
    write_report(run, SETTINGS, run / "report.html")
    return run / "report.html"


@pytest.fixture(scope="module")
def seen(report: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return asyncio.run(observe(report, tmp_path_factory.mktemp("profile")))


def test_opens_without_complaints_and_without_running_the_records(seen: dict[str, Any]) -> None:
    assert seen["title"] == SETTINGS["report"]["title"]
    assert seen["problems"] == []
    assert seen["broken"] == "undefined"


def test_asks_the_network_for_nothing(seen: dict[str, Any], report: Path) -> None:
    outside = [url for url in seen["requests"] if not url.startswith("data:")]
    assert outside == [report.as_uri()]
    assert len(seen["images"]) == 2 and all(seen["images"])


def test_tables_sort_both_ways_by_keyboard_reachable_buttons(seen: dict[str, Any]) -> None:
    (first, ascending), (second, descending) = seen["sorted"]
    assert (first, second) == ("ascending", "descending")
    assert ascending == sorted(ascending) and len(set(ascending)) > 2
    assert descending == sorted(descending, reverse=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(seen: dict[str, Any], scheme: str) -> None:
    assert seen[scheme]["ratio"] >= 4.5, seen[scheme]


def test_fits_a_phone(seen: dict[str, Any]) -> None:
    assert seen["phone_width"] <= 360
