"""A page of another site in Chromium, for bench/attackers.py."""

from __future__ import annotations

import asyncio
import shutil
from urllib.parse import urlsplit

from playwright.async_api import Page, async_playwright

SITE = "evil.test"
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--ignore-certificate-errors")
PAGE = """<!doctype html><script>
let going = false, tally = {opened: 0, refused: 0, connections: 0};
function one() {
  if (!going) return;
  tally.connections++;
  const socket = new WebSocket("URL");
  socket.onopen = () => { tally.opened++; };
  socket.onclose = () => { tally.refused++; setTimeout(one, 1); };
}
function attack(count) { going = true; for (let k = 0; k < count; k++) one(); }
function stop() { going = false; const had = tally; tally = {opened: 0, refused: 0, connections: 0};
  return had; }
</script>"""
"""A socket that was opened and closes counts as both."""


async def open_page(url: str, cookie: str) -> Page:
    """The page, which has done nothing yet; the browser has this cookie of the gateway's site."""
    path = shutil.which("chromium")
    if path is None:
        raise SystemExit("program chromium is absent")
    html = PAGE.replace("URL", url).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(html)}\r\n\r\n"
        writer.write(head.encode() + html)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    playwright = await async_playwright().start()
    arguments = [*ARGUMENTS, f"--host-resolver-rules=MAP {SITE} 127.0.0.1"]
    browser = await playwright.chromium.launch(executable_path=path, args=arguments)
    context = await browser.new_context(ignore_https_errors=True)
    site = f"http://{urlsplit(url).netloc}/"
    await context.add_cookies([{"name": "token", "value": cookie, "url": site}])
    page = await context.new_page()
    await page.goto(f"http://{SITE}:{port}/")
    return page
