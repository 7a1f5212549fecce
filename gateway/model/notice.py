"""What the data plane tells clients beside records (native/gw_notice.h)."""

from typing import Final, NamedTuple


class Notice(NamedTuple):
    """One of them; a format says how it is told.

    Attributes:
        number: its place in the native core's table.
        numbers: what its numbers are, in their order; where there are none, null or 0.
        words: the same of its words.
    """

    number: int
    numbers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


_CLASS: Final = ("class", "interval_ms", "was_ms", "step")

NOTICES: Final = {
    "heartbeat": Notice(0, ("n",)),
    "epoch": Notice(1, (), ("epoch",)),
    "lapped": Notice(2, ("from", "to")),
    "refused": Notice(3),
    "missed": Notice(4, ("lost",)),
    "reset": Notice(5),
    "retired": Notice(6),
    "limit": Notice(7, ("value",), ("limit", "subscription")),
    "limits": Notice(8, ("value", "refused")),
    "slow": Notice(9, ("level", "was", "interval_ms", "age_ms", "action_number"), ("action",)),
    "conflation": Notice(10, ("count",)),
    "class": Notice(11, _CLASS),
    "class_more": Notice(12, _CLASS),
    "conflation_end": Notice(13),
    "shutdown": Notice(14, ("reconnect_after_ms",)),
    "topic": Notice(15),
    "replayed": Notice(16, ("from", "to", "channel_number"), ("of", "subscription")),
    "replayed_pattern": Notice(17, ("from", "to", "channel_number"), ("of", "subscription")),
    "auth_expiring": Notice(18, ("expires_at",)),
}
"""`lapped`, `refused`, `missed`, `reset` and `retired` are of a topic. `conflation` is a message of
several parts: how many classes changed, `class` and then `class_more` for each, `conflation_end`.
`shutdown` and `auth_expiring` are said by the loop's thread. `topic` announces the number by which
binary records name theirs. `replayed`: a subscription has had what it missed; `of` is its channel.
"""
