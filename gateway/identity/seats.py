"""How many connections each identity has, at all workers of the gateway together.

Each worker has a part of one shared memory, and writes that alone; a sum is of all parts. So there
is no lock, and nothing to be told. A worker counts a connection before it adds up: two that come
within a microsecond at two workers, before the one sees what the other has written, may both be let
in or both be refused; else a limit is exact. The part of a worker that has died is cleared by the
supervisor as soon as it knows: until then its connections count.

A part is a table of slots: the hash of an identity, and its count. A slot that counts nothing is
free for anybody, but keeps a hash, since others may stand behind it.
"""

import mmap
from collections import Counter
from hashlib import blake2b
from typing import Final

SLOTS: Final = 1 << 16
"""Identities that one worker counts for all, about; some more are counted at theirs alone."""
PROBES: Final = 32
"""Slots that an identity may be in, one after the other."""
_WORDS: Final = 2 * SLOTS
PART_BYTES: Final = 8 * _WORDS


class Seats:
    """Those of one worker's clients, seen with those of the others.

    Args:
        fd: of memory for so many workers' parts; -1: there is one worker.
        index: whose part this is; -1: nobody's, to clear others'.
        workers: how many there are.
    """

    def __init__(self, fd: int = -1, index: int = 0, workers: int = 1) -> None:
        self._memory = mmap.mmap(fd, PART_BYTES * workers)
        self._words = memoryview(self._memory).cast("Q")
        self._parts = range(0, _WORDS * workers, _WORDS)
        self._own = _WORDS * index
        self._slots: dict[str, int] = {}
        self._counts: Counter[str] = Counter()

    def close(self) -> None:
        """Nothing is counted any more."""
        self._words.release()
        self._memory.close()

    def take(self, who: str) -> int:
        """One more of somebody's connections; how many there are now."""
        self._counts[who] += 1
        key = _key(who)
        if who not in self._slots and (slot := self._free(key)) >= 0:
            self._slots[who] = slot
            self._words[slot] = key
        return self._show(who) + sum(self._count(part, key) for part in self._others())

    def give(self, who: str) -> None:
        """One of them has gone."""
        self._counts[who] -= 1
        self._show(who)
        if not self._counts[who]:
            del self._counts[who]
            self._slots.pop(who, None)

    def full(self) -> bool:
        """Whether there is somebody whom the other workers can't see."""
        return len(self._slots) < len(self._counts)

    def here(self) -> dict[str, int]:
        """What this worker counts."""
        return dict(self._counts)

    def clear(self, index: int) -> None:
        """A worker has died, and its clients with it."""
        self._memory.madvise(mmap.MADV_REMOVE, PART_BYTES * index, PART_BYTES)

    def _others(self) -> list[int]:
        return [part for part in self._parts if part != self._own]

    def _show(self, who: str) -> int:
        count = self._counts[who]
        if (slot := self._slots.get(who, -1)) >= 0:
            self._words[slot + 1] = count
        return count

    def _free(self, key: int) -> int:
        """A slot that counts nothing; -1: none of its own is left."""
        words = self._words
        for n in range(PROBES):
            slot = self._own + 2 * ((key + n) % SLOTS)
            if not words[slot + 1]:
                return slot
        return -1

    def _count(self, part: int, key: int) -> int:
        words = self._words
        for n in range(PROBES):
            slot = part + 2 * ((key + n) % SLOTS)
            if (
                words[slot] == key
            ):  # one that it had before is never in front of the one that it has
                return words[slot + 1]
            if not words[slot]:
                break
        return 0


def _key(who: str) -> int:
    """Never 0: that is a slot where nobody was."""
    return int.from_bytes(blake2b(who.encode(), digest_size=8).digest(), "little") | 1
