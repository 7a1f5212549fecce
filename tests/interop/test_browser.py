"""Chromium as a client: the browser's own WebSocket, from a page on this host."""

from pathlib import Path

from support.serving import Serving
from support.site import site
from support.visit import Visit

TICKS_FROM_THE_PAGE = """
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


def test_a_client_on_a_page_of_this_host(gateway: Serving, visit: Visit, tmp_path: Path) -> None:
    with site(tmp_path) as page:
        visit.page.goto(page)
        code, seqs = visit.page.evaluate(TICKS_FROM_THE_PAGE, gateway.url)
    assert code == 1000
    assert seqs == list(range(seqs[0], seqs[0] + 20))
    visit.check()
