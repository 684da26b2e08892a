"""The log: immutable records of bytes, appended to segments, named by handles that stay valid while records move.

A handle is a small number which the log gives out at `append` and takes back at `release`. Only the table of positions
knows where a record lies, so compaction moves records without anybody else noticing. A segment is open for appending,
then frozen; it is dropped as soon as nothing in it is alive. When dead bytes outweigh the allowed share, the frozen
segment with the most of them is the victim: its living records are appended again, a few at each step, so that no
request waits long.

Knows nothing of keys, kinds of values or requests.
"""

from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from struct import Struct

SEGMENT_BYTES = 1 << 20
# Dead bytes may be this share of all bytes before compaction begins.
GARBAGE_SHARE_MAX = 0.5
# One step ends after this many records, or this many bytes moved, whichever comes first.
STEP_RECORDS_MAX = 64
STEP_BYTES_MAX = 64 * 1024

_HEADER = Struct("<II")  # the record's handle, the payload's length in bytes
_LENGTH = Struct("<I")
_OFFSET_BITS = 32
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
_NOWHERE = (1 << 64) - 1


class RecordLog:
    """An append-only log in memory; `append` and `release` each do a bounded share of the cleaning."""

    def __init__(self) -> None:
        self._segments: dict[int, bytes | bytearray] = {}
        self._live_bytes: dict[int, int] = {}
        self._positions = array("Q")
        self._free_handles: list[int] = []
        self._abandoned: deque[Iterator[int]] = deque()
        self._held_bytes = 0
        self._dead_bytes = 0
        self._victim: int | None = None
        self._victim_offset = 0
        self._next_segment = 0
        self._open_segment()

    @property
    def held_bytes(self) -> int:
        """Bytes of all segments, dead records included."""
        return self._held_bytes

    @property
    def dead_bytes(self) -> int:
        """Bytes of released records that their segments still hold."""
        return self._dead_bytes

    def append(self, payload: bytes) -> int:
        """Add a record; the handle returned names it until it is released."""
        if self._free_handles:
            handle = self._free_handles.pop()
        else:
            handle = len(self._positions)
            self._positions.append(_NOWHERE)
        self._place(handle, payload)
        if self.has_work:
            self.tidy()
        return handle

    def read(self, handle: int) -> bytes:
        """The payload of a record that was not released."""
        position = self._positions[handle]
        segment = self._segments[position >> _OFFSET_BITS]
        start = (position & _OFFSET_MASK) + _HEADER.size
        (length,) = _LENGTH.unpack_from(segment, start - _LENGTH.size)
        # Slicing a frozen segment gives bytes already, and bytes() of bytes copies nothing.
        return bytes(segment[start : start + length])

    def length(self, handle: int) -> int:
        """The payload's length in bytes."""
        position = self._positions[handle]
        segment = self._segments[position >> _OFFSET_BITS]
        length: int = _HEADER.unpack_from(segment, position & _OFFSET_MASK)[1]
        return length

    def release(self, handle: int) -> None:
        """Declare a record dead; its handle may name another record from now on."""
        size = _HEADER.size + self.length(handle)
        number = self._positions[handle] >> _OFFSET_BITS
        self._positions[handle] = _NOWHERE
        self._free_handles.append(handle)
        self._live_bytes[number] -= size
        self._dead_bytes += size
        if not self._live_bytes[number] and number != self._open_number:
            self._drop(number)

    def abandon(self, handles: Iterable[int]) -> None:
        """Release many records later, a few at each step; `handles` must not change any more."""
        self._abandoned.append(iter(handles))

    @property
    def has_work(self) -> bool:
        """Whether `tidy` has something to do."""
        if self._abandoned or self._victim is not None:
            return True
        return self._dead_bytes > SEGMENT_BYTES and self._dead_bytes > self._held_bytes * GARBAGE_SHARE_MAX

    def tidy(self) -> None:
        """One bounded step: release abandoned records, then move living records out of the victim."""
        if self._abandoned:
            self._release_abandoned()
        if self._victim is None and self.has_work:
            self._choose_victim()
        if self._victim is not None:
            self._empty_victim(self._victim)

    def _release_abandoned(self) -> None:
        for _ in range(STEP_RECORDS_MAX):
            handle = next(self._abandoned[0], None)
            if handle is not None:
                self.release(handle)
                continue
            self._abandoned.popleft()
            if not self._abandoned:
                return

    def _open_segment(self) -> None:
        self._open_number = self._next_segment
        self._next_segment += 1
        self._open = bytearray()
        self._segments[self._open_number] = self._open
        self._live_bytes[self._open_number] = 0

    def _place(self, handle: int, payload: bytes) -> None:
        size = _HEADER.size + len(payload)
        if size > SEGMENT_BYTES:
            self._place_alone(handle, payload)
            return
        if len(self._open) + size > SEGMENT_BYTES:
            self._freeze()
        self._positions[handle] = self._open_number << _OFFSET_BITS | len(self._open)
        self._open += _HEADER.pack(handle, len(payload))
        self._open += payload
        self._live_bytes[self._open_number] += size
        self._held_bytes += size

    def _place_alone(self, handle: int, payload: bytes) -> None:
        """A record larger than a segment is a frozen segment of its own, and never moves."""
        number = self._next_segment
        self._next_segment += 1
        segment = _HEADER.pack(handle, len(payload)) + payload
        self._segments[number] = segment
        self._live_bytes[number] = len(segment)
        self._held_bytes += len(segment)
        self._positions[handle] = number << _OFFSET_BITS

    def _freeze(self) -> None:
        number = self._open_number
        self._segments[number] = bytes(self._open)
        self._open_segment()
        if not self._live_bytes[number]:
            self._drop(number)

    def _drop(self, number: int) -> None:
        size = len(self._segments.pop(number))
        self._dead_bytes -= size - self._live_bytes.pop(number)
        self._held_bytes -= size
        if number == self._victim:
            self._victim = None

    def _choose_victim(self) -> None:
        candidates = [number for number in self._segments if number != self._open_number]
        if candidates:
            self._victim = min(candidates, key=lambda number: self._live_bytes[number] / len(self._segments[number]))
            self._victim_offset = 0

    def _empty_victim(self, number: int) -> None:
        segment = self._segments[number]
        moved_bytes = 0
        for _ in range(STEP_RECORDS_MAX):
            offset = self._victim_offset
            handle, length = _HEADER.unpack_from(segment, offset)
            end = offset + _HEADER.size + length
            self._victim_offset = end
            if self._positions[handle] == number << _OFFSET_BITS | offset:
                self._place(handle, bytes(segment[offset + _HEADER.size : end]))
                self._live_bytes[number] -= end - offset
                self._dead_bytes += end - offset
                moved_bytes += end - offset
            if not self._live_bytes[number]:
                self._drop(number)
                return
            if moved_bytes > STEP_BYTES_MAX:
                return
