"""How data comes to a client: the last word of our subprotocol's name."""

from typing import Final, Literal

Encoding = Literal["json", "sbe"]
SUBPROTOCOL_PREFIX: Final = "tickgate.v1."
"""Before an encoding's name."""
