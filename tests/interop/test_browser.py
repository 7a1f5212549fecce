"""Chromium on the ops page: live ticks, nothing executed that came over the wire, no other host."""

from pathlib import Path

from support.serving import Serving
from support.udp import Venue
from support.visit import Visit

HOSTILE = "<img/src=x/onerror=alert(1)>"

TICKS_FROM_THE_CONSOLE = """
url => new Promise((resolve, reject) => {
  const socket = new WebSocket(url), seen = [];
  const params = {channel: "trade", symbol: ["A.SIM"]};
  socket.onopen = () => socket.send(JSON.stringify({method: "subscribe", params}));
  socket.onmessage = ({data}) => {
    const message = JSON.parse(data);
    if (message.type === "update" && seen.push(message.seq) === 20) socket.close(1000);
  };
  socket.onerror = () => reject(new Error("no connection"));
  socket.onclose = ({code}) => resolve([code, seen]);
})
"""


def cell(symbol: str, column: int) -> str:
    """The JavaScript for what a row of live ticks shows."""
    rows = "[...document.querySelectorAll('#ticks tr')]"
    return f"{rows}.find(r => r.cells[0].textContent === '{symbol}')?.cells[{column}].textContent"


def test_the_page_shows_live_ticks(gateway: Serving, visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    page.goto(gateway.ops)
    visit.until("document.getElementById('ready').textContent === 'ready'")
    visit.until(f"{cell('A.SIM', 1)} === '100.10' && {cell('B.SIM', 3)} === '100.10'")
    time_of_last = page.evaluate(cell("A.SIM", 5))
    visit.until(f"{cell('A.SIM', 5)} !== '{time_of_last}'")
    visit.until("Number(document.getElementById('published').textContent) > 0")
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    visit.check()


def test_f63_names_from_the_wire_stay_text(gateway: Serving, venue: Venue, visit: Visit) -> None:
    page = visit.page
    page.goto(gateway.ops)
    visit.until(f"{cell('A.SIM', 1)} === '100.10'")
    venue.trades(HOSTILE, 1)  # appears later, and is shown nevertheless
    visit.until(f"{cell(f'{HOSTILE}.SIM', 1)} === '100.10'")
    assert page.locator("img").count() == 0
    visit.check()


def test_a_client_in_the_pages_console(gateway: Serving, visit: Visit) -> None:
    visit.page.goto(gateway.ops)
    code, seqs = visit.page.evaluate(TICKS_FROM_THE_CONSOLE, gateway.url)
    assert code == 1000
    assert seqs == list(range(seqs[0], seqs[0] + 20))
    visit.check()
