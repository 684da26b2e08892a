"""The index of one list: an array of handles with room in front, so that both ends are cheap. Knows the log only."""

from array import array
from collections.abc import Iterable, Iterator
from typing import ClassVar

from .records import RecordLog

ROOM_MIN = 16


class Sequence:
    """A list of records; positions count from 0 at the left and must exist."""

    __slots__ = ("_first", "_handles", "_log")
    kind: ClassVar[bytes] = b"list"

    def __init__(self, log: RecordLog) -> None:
        self._log = log
        self._handles = array("Q")
        self._first = 0

    def __len__(self) -> int:
        return len(self._handles) - self._first

    @property
    def is_void(self) -> bool:
        """Whether no element is left."""
        return len(self._handles) == self._first

    def at(self, position: int) -> bytes:
        """The element at `position`."""
        return self._log.read(self._handles[self._first + position])

    def slice(self, start: int, stop: int) -> list[bytes]:
        """The elements from `start` up to, not including, `stop`."""
        return list(map(self._log.read, self._handles[self._first + start : self._first + stop]))

    def elements(self) -> Iterator[bytes]:
        """All elements from the left."""
        return (self.at(position) for position in range(len(self)))

    def push(self, element: bytes, at_left: bool) -> None:
        """Add an element at one end."""
        handle = self._log.append(element)
        if not at_left:
            self._handles.append(handle)
            return
        if not self._first:
            self._make_room()
        self._first -= 1
        self._handles[self._first] = handle

    def pop(self, at_left: bool) -> bytes:
        """Remove and return the element at one end; there must be one."""
        handle = self._handles[self._first] if at_left else self._handles.pop()
        if at_left:
            self._first += 1
            self._give_room_back()
        element = self._log.read(handle)
        self._log.release(handle)
        return element

    def put(self, position: int, element: bytes) -> None:
        """Put another element in the place of one."""
        former = self._handles[self._first + position]
        self._handles[self._first + position] = self._log.append(element)
        self._log.release(former)

    def insert(self, position: int, element: bytes) -> None:
        """Add an element before `position`, which may be one past the end."""
        self._handles.insert(self._first + position, self._log.append(element))

    def keep(self, start: int, stop: int) -> None:
        """Remove all elements but those from `start` up to, not including, `stop`."""
        kept = self._handles[self._first + start : self._first + stop]
        dropped = self._handles[self._first : self._first + start] + self._handles[self._first + stop :]
        self._log.abandon(dropped)
        self._handles, self._first = kept, 0

    def remove_at(self, positions: list[int]) -> None:
        """Remove the elements at these ascending positions."""
        gone = set(positions)
        for position in positions:
            self._log.release(self._handles[self._first + position])
        living = (handle for at, handle in enumerate(self._handles[self._first :]) if at not in gone)
        self._handles, self._first = array("Q", living), 0

    def handles(self) -> Iterable[int]:
        """The records that the list is made of."""
        return self._handles[self._first :]

    def duplicate(self) -> "Sequence":
        """An independent copy, in records of its own."""
        copy = Sequence(self._log)
        for element in self.elements():
            copy.push(element, at_left=False)
        return copy

    def _make_room(self) -> None:
        room = max(ROOM_MIN, len(self._handles))
        self._handles[:0] = array("Q", bytes(room * self._handles.itemsize))
        self._first = room

    def _give_room_back(self) -> None:
        # A queue is pushed at one end and popped at the other: without this its array would only grow.
        if self._first > 4 * ROOM_MIN and self._first > len(self):
            room = self._first // 2
            del self._handles[:room]
            self._first -= room
