"""What a venue's refusal means, in words, and when to come back. Pure."""

import re
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Final

RETRY_AFTER_S_MAX: Final = 3 * 24 * 3600.0
"""Binance's longest ban."""
BANNED_S: Final = 120.0
LIMITED_S: Final = 60.0
"""Where the venue does not say for how long."""

_WORDS: Final = {
    401: "the venue wants credentials",
    403: "the venue's firewall refuses this address, or it does not serve this region",
    404: "there is no such thing at the venue",
    418: "the venue has banned this address for asking too often",
    429: "the venue's rate limit is reached",
    451: "the venue does not serve this region, for legal reasons",
    502: "the venue is in maintenance, or fails",
    503: "the venue is in maintenance, or fails",
    504: "the venue is in maintenance, or fails",
}


def words(status: int, own: str = "") -> str:
    """Why a request was refused; `own` are the venue's words."""
    usual = _WORDS.get(status, "the venue fails" if status >= 500 else "the venue refuses it")
    return f"{usual} (HTTP {status}{f': {own}' if own else ''})"


def wait_s(status: int, retry_after: Sequence[str], now_s: float) -> float:
    """Seconds before the next try that the venue asks for; 0: it asks for none.

    Args:
        retry_after: each header of this name: seconds, or a date.
        now_s: REALTIME.
    """
    asked_s = 0.0
    value = retry_after[0].strip() if len(retry_after) == 1 else ""
    if re.fullmatch("[0-9]{1,9}", value):
        asked_s = float(value)
    elif value:
        try:
            asked_s = parsedate_to_datetime(value).timestamp() - now_s
        except (ValueError, OverflowError):
            asked_s = 0.0
    if asked_s <= 0:
        asked_s = {418: BANNED_S, 429: LIMITED_S}.get(status, 0.0)
    return min(asked_s, RETRY_AFTER_S_MAX)
