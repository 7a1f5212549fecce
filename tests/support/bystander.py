"""A client that does nothing wrong, and that must not notice what others do."""

import threading
from collections.abc import Sequence

from support.serving import until
from support.wire import TIMEOUT_S, Wire, subscribe


class Bystander:
    """Subscribes to trades and reads on a thread of its own until closed.

    Lossless, it must get each of them; conflated, it must be told of those it does not get.

    Attributes:
        ticks: trades that came so far.
        fault: what went wrong, empty while nothing did.
    """

    def __init__(
        self, url: str, symbols: Sequence[str], mode: str = "lossless", token: str = ""
    ) -> None:
        self.ticks = 0
        self.fault = ""
        self._lossless = mode == "lossless"
        self._last: dict[str, int] = {}
        self._stopping = False
        self._wire = Wire(url)
        self._wire.open(more=[("Authorization", f"Bearer {token}")] if token else [])
        self._wire.send(subscribe(symbols, mode=mode))
        ack = self._wire.reply()
        assert ack["success"], ack
        self._thread = threading.Thread(target=self._run, args=(self._wire,), daemon=True)
        self._thread.start()

    def _run(self, wire: Wire) -> None:
        try:
            while True:
                message = wire.message()
                if message["channel"] == "trade":
                    self._trade(message["symbol"], message["seq"], message.get("skipped", 0))
                elif message["channel"] != "heartbeat":
                    self.fault = f"{message}"
        except (OSError, EOFError, AssertionError, ValueError) as error:
            if not self._stopping:
                self.fault = f"{type(error).__name__}: {error}"

    def _trade(self, symbol: str, seq: int, skipped: int) -> None:
        last = self._last.get(symbol)
        unexplained = last is not None and seq != last + 1 + skipped
        if unexplained or (skipped and self._lossless):
            self.fault = f"{symbol}: {seq} after {last}, {skipped} skipped"
        self._last[symbol] = seq
        self.ticks += 1

    def goes_on(self, ticks: int = 3) -> None:
        """Waits for more ticks.

        Raises:
            AssertionError: none come, or something went wrong since the start.
        """
        want = self.ticks + ticks
        until(lambda: self.fault or self.ticks >= want, TIMEOUT_S)
        assert not self.fault, self.fault

    def stop(self) -> None:
        """Hangs up."""
        self._stopping = True
        with self._wire:
            if not self.fault:
                self._wire.end()  # the gateway hangs up in turn, which ends the thread
            self._thread.join(TIMEOUT_S)
