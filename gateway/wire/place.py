"""Where in its client's stream the library's parser stands.

A client may stop anywhere: behind a whole message, in the middle of the next one's header. The
library doesn't say where, and frames don't tell how many bytes they took: a length may be written
longer than it needs to be. But only between two frames does its parser ask for the end of the
stream.
"""

from collections.abc import Generator

from websockets.protocol import Protocol
from websockets.streams import StreamReader


def read_by(protocol: Protocol, reader: StreamReader) -> None:
    """Lets a protocol that has read nothing yet read by this reader."""
    protocol.reader = reader
    protocol.parser = protocol.parse()
    next(protocol.parser)


class Place(StreamReader):
    """A protocol's reader, which knows where its parser stands.

    Attributes:
        between_frames: whether the last byte that was read was the last of a frame.
    """

    def __init__(self, protocol: Protocol) -> None:
        super().__init__()
        self.between_frames = True
        read_by(protocol, self)

    def at_eof(self) -> Generator[None, None, bool]:
        """As the library's, which calls it before each frame and nowhere else."""
        self.between_frames = True
        ended = yield from super().at_eof()
        self.between_frames = False
        return ended
