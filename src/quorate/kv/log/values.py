"""The index of one string, hash or set: handles of the records that make it up. Knows the log; no key and no reply.

Every kind of value has the same outside: its length, `is_void` (an empty collection does not exist), `handles` (what
to release with it) and `duplicate`.
"""

from collections.abc import Iterable, Iterator
from typing import ClassVar

from .records import RecordLog

# A string grows by appending pieces; past this many it is written again as one record.
PIECES_MAX = 64


class Text:
    """A string: the records whose payloads, joined, are its bytes."""

    __slots__ = ("_log", "_pieces", "length")
    kind: ClassVar[bytes] = b"string"

    def __init__(self, log: RecordLog, content: bytes) -> None:
        self._log = log
        self._pieces = [log.append(content)]
        self.length = len(content)

    def __len__(self) -> int:
        return self.length

    @property
    def is_void(self) -> bool:
        """Never: an empty string exists."""
        return False

    def read(self) -> bytes:
        """All bytes of the string."""
        if len(self._pieces) > 1:
            self.replace(b"".join(map(self._log.read, self._pieces)))
        return self._log.read(self._pieces[0])

    def append(self, content: bytes) -> None:
        """Add bytes at the end."""
        if len(self._pieces) >= PIECES_MAX:
            self.read()
        self._pieces.append(self._log.append(content))
        self.length += len(content)

    def replace(self, content: bytes) -> None:
        """Put other bytes in the place of all."""
        former, self._pieces = self._pieces, [self._log.append(content)]
        self.length = len(content)
        for handle in former:
            self._log.release(handle)

    def handles(self) -> Iterable[int]:
        """The records that the string is made of."""
        return self._pieces

    def duplicate(self) -> "Text":
        """An independent copy, in records of its own."""
        return Text(self._log, self.read())


class Fields:
    """A hash: for each field the record that holds its value."""

    __slots__ = ("_log", "_records")
    kind: ClassVar[bytes] = b"hash"

    def __init__(self, log: RecordLog) -> None:
        self._log = log
        self._records: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, field: bytes) -> bool:
        return field in self._records

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._records)

    @property
    def is_void(self) -> bool:
        """Whether no field is left."""
        return not self._records

    def get(self, field: bytes) -> bytes | None:
        """The field's value, or None."""
        handle = self._records.get(field)
        return None if handle is None else self._log.read(handle)

    def length(self, field: bytes) -> int:
        """The length of the field's value in bytes; 0 when there is no such field."""
        handle = self._records.get(field)
        return 0 if handle is None else self._log.length(handle)

    def values(self) -> Iterator[bytes]:
        """All values, in the order of the fields."""
        return map(self._log.read, self._records.values())

    def put(self, field: bytes, value: bytes) -> bool:
        """Set the field; returns whether it is new."""
        former = self._records.get(field)
        self._records[field] = self._log.append(value)
        if former is not None:
            self._log.release(former)
        return former is None

    def remove(self, field: bytes) -> bool:
        """Remove the field; returns whether it was there."""
        handle = self._records.pop(field, None)
        if handle is not None:
            self._log.release(handle)
        return handle is not None

    def handles(self) -> Iterable[int]:
        """The records that the hash is made of."""
        return self._records.values()

    def duplicate(self) -> "Fields":
        """An independent copy, in records of its own."""
        copy = Fields(self._log)
        for field, handle in self._records.items():
            copy.put(field, self._log.read(handle))
        return copy


class Members:
    """A set: for each member the record that added it."""

    __slots__ = ("_log", "_records")
    kind: ClassVar[bytes] = b"set"

    def __init__(self, log: RecordLog, members: Iterable[bytes] = ()) -> None:
        self._log = log
        self._records: dict[bytes, int] = {}
        for member in members:
            self.add(member)

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, member: bytes) -> bool:
        return member in self._records

    def __iter__(self) -> Iterator[bytes]:
        return map(self._log.read, self._records.values())

    @property
    def is_void(self) -> bool:
        """Whether no member is left."""
        return not self._records

    def add(self, member: bytes) -> bool:
        """Add the member; returns whether it is new."""
        if member in self._records:
            return False
        self._records[member] = self._log.append(member)
        return True

    def remove(self, member: bytes) -> bool:
        """Remove the member; returns whether it was there."""
        handle = self._records.pop(member, None)
        if handle is not None:
            self._log.release(handle)
        return handle is not None

    def handles(self) -> Iterable[int]:
        """The records that the set is made of."""
        return self._records.values()

    def duplicate(self) -> "Members":
        """An independent copy, in records of its own."""
        return Members(self._log, self)
