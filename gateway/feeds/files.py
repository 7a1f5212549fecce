"""Lines of files on disk, plain or compressed; which files a list and its globs name.

A file that ends too early, or is damaged behind its first line, is read as far as it goes:
recorders die, and what they wrote is worth playing. `cut` is told where it ended.
"""

import contextlib
import glob
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Final, cast

from gateway.recording import MAGIC

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LINE_BYTES_MAX: Final = 8 << 20
"""A longer line (the longest known: 5 MB of depth snapshot) falls to pieces, each a bad line."""

FILES_MAX: Final = 4096
"""Files of one replay."""

ZSTD_READ_BYTES: Final = 1024
"""Compressed bytes taken at once: they become at most 32 MiB, as the format's blocks allow."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = (b"\x28\xb5\x2f\xfd", *(bytes((n, 0x2A, 0x4D, 0x18)) for n in range(0x50, 0x60)))
_OTHERS: Final = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ\x00": "compressed by xz",
    b"\x04\x22\x4d\x18": "compressed by lz4",
    b"PAR1": "a Parquet file",
    b"SQLite format 3": "a database",
    MAGIC: 'a flight recording (format = "ring")',
}
_BOM: Final = b"\xef\xbb\xbf"
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")

Cut = Callable[[str, int, str], None]
"""(path, lines, why): the file ended too early, after so many lines."""


class CaptureError(OSError):
    """A capture cannot be read (on); the text starts with its path."""


def expand(paths: str | Sequence[str]) -> list[str]:
    """The files that a path, or a list of paths, names: each once, a glob's by their names.

    Raises:
        CaptureError: there is no such file, it can be none, or there are more than FILES_MAX.
    """
    found: dict[str, str] = {}
    for path in (paths,) if isinstance(paths, str) else paths:
        if "\0" in path:
            raise CaptureError(f"{path}: a path has no NUL in it")
        if glob.has_magic(path) and not os.path.lexists(path):
            names = sorted(name for name in glob.iglob(path) if not os.path.isdir(name))
            if not names:
                raise CaptureError(f"{path}: no file matches")
        else:
            names = [path]
        for name in names:
            found.setdefault(os.path.realpath(name), name)
        if len(found) > FILES_MAX:
            raise CaptureError(f"{path}: {len(found)} files; at most {FILES_MAX}")
    return list(found.values())


def lines(path: str, cut: Cut) -> Iterator[bytes]:
    """Every line of the file, without a byte order mark; `cut` is told where it ends too early.

    Raises:
        CaptureError: it is missing, of another format, or nothing of it can be read.
    """
    count = 0
    try:
        with _opened(path) as file:
            while line := file.readline(LINE_BYTES_MAX):
                if not count:
                    if line[:2] in _UTF16:
                        raise CaptureError(f"{path}: is UTF-16; make it UTF-8")
                    line = line.removeprefix(_BOM)
                count += 1
                yield line
    except CaptureError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        why = str(getattr(error, "strerror", None) or error)
        if not count and not isinstance(error, EOFError):
            raise CaptureError(f"{path}: {why}") from error
        cut(path, count, why)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    """The file as text of lines, whatever it is compressed by."""
    with open(path, "rb") as file:
        head = file.peek(16)
        for magic, name in _OTHERS.items():
            if head.startswith(magic):
                raise CaptureError(f"{path}: is {name}; a capture is plain, gzip or zstd")
        if head.startswith(_GZIP):
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast("IO[bytes]", unpacked)
        elif head.startswith(_ZSTD):
            with io.BufferedReader(_Zstd(file), io.DEFAULT_BUFFER_SIZE * 8) as unpacked:
                yield unpacked
        else:
            yield file


class _Zstd(io.RawIOBase):
    """The text of zstd's frames, one after the other. EOFError: the last one is not complete.

    The library's own reader takes an incomplete frame's end for the end of the file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        import zstandard

        self._file = file
        self._error = zstandard.ZstdError
        self._new = zstandard.ZstdDecompressor().decompressobj
        self._frame = self._new()
        self._begun = False
        self._packed = b""
        self._text = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        into = memoryview(buffer).cast("B")
        while not self._text:
            packed = self._packed or self._file.read(ZSTD_READ_BYTES)
            self._packed = b""
            if not packed:
                if self._begun:
                    raise EOFError("Compressed file ended before the end-of-frame was reached")
                return 0
            self._begun = True
            try:
                self._text = memoryview(self._frame.decompress(packed))
            except self._error as error:
                raise OSError(str(error)) from error
            if self._frame.eof:
                self._packed = self._frame.unused_data
                self._frame, self._begun = self._new(), False
        count = min(len(into), len(self._text))
        into[:count] = self._text[:count]
        self._text = self._text[count:]
        return count
