"""What an entry of the grants file says, and the claim `tg` of a token: rules and limits.

An unknown member is an error: it may be a limit that a later version knows.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from gateway.model.record import CANDLE, CHANNELS, CHANNELS_OPS, CHANNELS_OWN
from gateway.model.topic import BadEscape, check_pattern, is_pattern, unescape

ANY: Final = "*"
RULES_MAX: Final = 1024
"""Instruments of all rules of an entry together: what the core has room for."""

CHANNEL_NAMES: Final = frozenset(
    {one.name for one in CHANNELS.values()}
    | {CANDLE, ANY, "recordings", *CHANNELS_OWN, *CHANNELS_OPS}
)
"""What a rule may name. `ops` and `recordings` are never meant by `*`."""

Text = Annotated[str, Meta(min_length=1, max_length=128)]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of these channels, these instruments, within these limits.

    Attributes:
        max_hz: of each topic; what it is asked of is conflated.
        depth: of books; 0 is no limit.
        class_: the most urgent one.
        encodings: the rule is for clients that speak one of these; none: for all.
    """

    channels: Annotated[tuple[str, ...], Meta(min_length=1, max_length=32)]
    instruments: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=RULES_MAX)]
    max_hz: Annotated[float, Meta(ge=0.1, le=1000)] | None = None
    depth: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    class_: Annotated[int, Meta(ge=0, le=3)] = msgspec.field(default=0, name="class")
    encodings: Annotated[tuple[Literal["json", "sbe"], ...], Meta(min_length=1)] | None = None

    def __post_init__(self) -> None:
        for name in self.channels:
            if name not in CHANNEL_NAMES:
                raise ValueError(
                    f"no channel {name!r}; there are {', '.join(sorted(CHANNEL_NAMES))}"
                )
        for text in self.instruments:
            try:
                check_pattern(text) if is_pattern(text) else check_pattern(unescape(text))
            except BadEscape as bad:
                raise ValueError(str(bad)) from None


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What somebody may have.

    Attributes:
        grants: rules in order, the first one that matches decides; None: as another entry says.
        connections: at once, of one `sub` at one worker.
        subscriptions: topics of one connection.
        tenant: whose entry stands in where there is none of its own.
        professional, display: as exchanges ask of a user; for the audit alone.
    """

    grants: Annotated[tuple[Rule, ...], Meta(max_length=256)] | None = None
    connections: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    subscriptions: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    tenant: Text | None = None
    professional: bool | None = None
    display: bool | None = None

    def __post_init__(self) -> None:
        count = sum(len(rule.instruments) for rule in self.grants or ())
        if count > RULES_MAX:
            raise ValueError(f"the rules have {count} instruments together, limit {RULES_MAX}")


NOTHING: Final = Entry(grants=())
EVERYTHING: Final = Entry(grants=(Rule(channels=(ANY,), instruments=(ANY,)),))


def convert(document: Any, kind: Any) -> Any:
    """A document as values.

    Raises:
        ValueError: what is wrong, and where.
    """
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
