"""Times within messages: refused by the name of their member. Pure."""

from gateway.feeds.stamps import parsed, scaled
from gateway.feeds.venues.message import Malformed


def of_text(text: str, name: str) -> int:
    """Nanoseconds of a time as text. Malformed: it is none."""
    try:
        return parsed(text.encode())
    except ValueError as error:
        raise Malformed(str(error), name, text) from None


def of_number(value: int, name: str) -> int:
    """Nanoseconds of a time as a number; 0, where a venue sends none, stays. ValueError."""
    try:
        return scaled(value) if value else 0
    except ValueError as error:
        raise ValueError(f"{error} - at `$.{name}`") from None
