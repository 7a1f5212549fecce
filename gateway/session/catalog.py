"""What a session must know about the market data that there is."""

from typing import Any, Literal, Protocol


class Catalog(Protocol):
    """The topics of the present segment, and the venues of the configuration."""

    @property
    def epoch(self) -> str:
        """The present segment's epoch."""

    def __len__(self) -> int:
        """How many topics there are, of all channels."""

    @property
    def full(self) -> int:
        """How many topics there may be, where all are taken and no new name can come; else 0."""

    def venue(self, venue: str) -> Literal["unknown", "open", "closed"]:
        """Whether the venue is configured, and whether its instruments are a closed list."""

    def listed(self, channel: str, name: str, venue: str) -> bool:
        """Whether the venue's closed list has the name, whose topic may have yet to come."""

    def find(self, channel: str, name: str) -> bool:
        """Whether the topic exists."""

    def match(self, channel: str, pattern: str, right: Any = None) -> tuple[int, int]:
        """How many topics the pattern covers now, and the steps of holding it against all names.

        With a right, of those that it grants.

        A step takes about 1 ns here, and again in the data plane.
        """

    def instruments(self, right: Any = None) -> list[tuple[str, list[str]]]:
        """(name, channels) of every instrument, sorted by name; of what a right grants alone."""
