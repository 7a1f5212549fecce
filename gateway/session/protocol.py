"""Where the protocol is spoken, and what it is called."""

from typing import Final

PATH: Final = "/v1"
SUBPROTOCOL_PREFIX: Final = "tickgate.v1."
"""Before a format's name."""
