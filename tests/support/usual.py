"""What the native parser of the udp feed's usual lines gives, as the decoder's values."""

from typing import TYPE_CHECKING

from gateway.feeds.venues.tickgate_json import Quote, Trade

if TYPE_CHECKING:
    from gateway._native import UsualLine


def is_unicode(line: "UsualLine | tuple[()]") -> bool:
    """A symbol that is no UTF-8 is looked up in vain, and then the decoder's."""
    return not line or not any("\udc80" <= c <= "\udcff" for c in line[1])


def as_record(line: "UsualLine") -> Trade | Quote:
    channel, symbol, ts, *texts = line
    if channel == "bbo":
        return Quote(symbol, texts[0], texts[1], texts[2], texts[3], ts)
    price, qty, side, identity = texts
    assert price is not None
    assert qty is not None
    return Trade(symbol, price, qty, side or None, identity or "", ts)  # type: ignore[arg-type]
