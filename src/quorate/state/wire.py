"""Messages between the coordinator and its keeper: commands in the imperative, events in the past tense.

A frame is its length (32 bits, without itself), its kind (8 bits) and its body; numbers are big-endian. Pure functions
and an incremental `Decoder`; each length is checked before it is used. A replica's socket travels beside the frame of
its `Feed` (SCM_RIGHTS), not in it.

    to the keeper      Put Delete Clear Commit · Feed Seal Drop · AskPage Load Stop
    from the keeper    Opened Committed Miscounted · Progressed Fed Lagged Sealed Failed · Paged Found Loaded · Broke
"""

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from ..trusted.errors import invariant
from .anchor import ANCHOR_BYTES, Anchor, decode_anchor
from .rows import DIGEST_BYTES, Checkpoint

FRAME_BYTES_MAX = 1 << 30
TEXT_BYTES_MAX = 16_384


class WireFault(Exception):
    """Bytes that are no frame: one of the two ends is broken."""


# To the keeper.


class Put(NamedTuple):
    """`key` has `record` from the next commit on."""

    database: int
    key: bytes
    record: bytes


class Delete(NamedTuple):
    """`key` is absent from the next commit on."""

    database: int
    key: bytes


class Clear(NamedTuple):
    """The database is empty from the next commit on."""

    database: int


class Commit(NamedTuple):
    """All that came before is the checkpoint of `slot`, if it has as many keys of each database as `counts` says.

    Databases that `counts` does not name were not counted. `anchor` is how the journal stands.
    """

    slot: int
    is_durable: bool
    extras: bytes
    counts: dict[int, int]
    anchor: Anchor


class Feed(NamedTuple):
    """Make the replica behind the socket sent beside this what the store is."""

    feed: int


class Seal(NamedTuple):
    """Say when this feed's replica is proved to be exactly the last commit, and end the feed."""

    feed: int


class Drop(NamedTuple):
    """End this feed; nothing more is said of it."""

    feed: int


class AskPage(NamedTuple):
    """Tell of up to `keys_max` keys after `after` (database, key), or from the first on."""

    after: tuple[int, bytes] | None
    keys_max: int


class Load(NamedTuple):
    """Tell of all keys with a deadline."""


class Stop(NamedTuple):
    """End; what is not committed is forgotten."""


# From the keeper.


class Opened(NamedTuple):
    """The store is open; this was its last commit, sealed with `seal`."""

    checkpoint: Checkpoint
    extras: bytes
    seal: bytes
    anchor: Anchor


class Committed(NamedTuple):
    """A commit is done."""

    checkpoint: Checkpoint


class Miscounted(NamedTuple):
    """There was no commit at `slot`: of these databases there are more or fewer keys than it was told.

    The one before is the last commit still, and what was told since comes with the next.
    """

    slot: int
    databases: list[int]


class Progressed(NamedTuple):
    """So many rows of a feed's bulk are restored, and asked for again."""

    feed: int
    done: int
    total: int


class Fed(NamedTuple):
    """The replica was proved to be the checkpoint of `slot`, and follows the commits after it."""

    feed: int
    slot: int


class Lagged(NamedTuple):
    """So many changed keys are not proved on the feed's replica yet."""

    feed: int
    pending: int


class Sealed(NamedTuple):
    """The replica was proved to be exactly the checkpoint of `slot`; the feed is over."""

    feed: int
    slot: int


class Failed(NamedTuple):
    """The feed is over without success; `is_replicas` says that the replica misbehaved."""

    feed: int
    is_replicas: bool
    reason: str


class Paged(NamedTuple):
    """The keys asked for: database, key, kind."""

    items: list[tuple[int, bytes, int]]


class Found(NamedTuple):
    """Some of the keys with a deadline, in ms as replicas hold it, and some that are large, in bytes, by database."""

    deadlines: list[tuple[int, bytes, int]]
    sizes: list[tuple[int, bytes, int]]


class Loaded(NamedTuple):
    """All keys with a deadline, and all that are large, have been told."""

    slot: int
    extras: bytes


class Broke(NamedTuple):
    """The keeper cannot go on, and ends."""

    reason: str
    hint: str


Command = Put | Delete | Clear | Commit | Feed | Seal | Drop | AskPage | Load | Stop
FeedEvent = Progressed | Fed | Lagged | Sealed | Failed
Event = FeedEvent | Opened | Committed | Miscounted | Paged | Found | Loaded | Broke
Message = Command | Event

# Each kind of frame: its message, and how the fields are laid out (see _ENCODERS).
_KINDS: tuple[tuple[type[Any], str], ...] = (
    (Put, "ibb"),
    (Delete, "ib"),
    (Clear, "i"),
    (Commit, "i?bna"),
    (Feed, "i"),
    (Seal, "i"),
    (Drop, "i"),
    (AskPage, "ki"),
    (Load, ""),
    (Stop, ""),
    (Opened, "cbba"),
    (Committed, "c"),
    (Miscounted, "id"),
    (Progressed, "iii"),
    (Fed, "ii"),
    (Lagged, "ii"),
    (Sealed, "ii"),
    (Failed, "i?t"),
    (Paged, "l"),
    (Found, "ll"),
    (Loaded, "ib"),
    (Broke, "tt"),
)
_KIND_OF = {message: (kind, layout) for kind, (message, layout) in enumerate(_KINDS)}
_PUT_KIND = 0

_HEAD = struct.Struct(">IB")
_LENGTH = struct.Struct(">I")
_NUMBER = struct.Struct(">q")
_FLAG = struct.Struct(">?")
_DIGEST = struct.Struct(f">{DIGEST_BYTES}s")
_ANCHOR = struct.Struct(f">{ANCHOR_BYTES}s")
# The hot path, one struct for all that comes before the key.
_PUT_HEAD = struct.Struct(">IBqI")
_PUT_BODY_HEAD = struct.Struct(">qI")


def _text(text: str) -> bytes:
    return text.encode("utf-8", "replace")[:TEXT_BYTES_MAX]


def _block(data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + data


def _items(items: list[tuple[int, bytes, int]]) -> bytes:
    parts = [_NUMBER.pack(one) + _block(key) + _NUMBER.pack(other) for one, key, other in items]
    return _LENGTH.pack(len(items)) + b"".join(parts)


def _numbers(numbers: list[int]) -> bytes:
    return _LENGTH.pack(len(numbers)) + b"".join(map(_NUMBER.pack, numbers))


def _counts(counts: dict[int, int]) -> bytes:
    parts = [_NUMBER.pack(database) + _NUMBER.pack(count) for database, count in counts.items()]
    return _LENGTH.pack(len(counts)) + b"".join(parts)


def _checkpoint(checkpoint: Checkpoint) -> bytes:
    digest = checkpoint.digest.to_bytes(DIGEST_BYTES, "big")
    return _NUMBER.pack(checkpoint.slot) + digest + _counts(checkpoint.counts)


def _key(after: tuple[int, bytes] | None) -> bytes:
    return _FLAG.pack(False) if after is None else _FLAG.pack(True) + _NUMBER.pack(after[0]) + _block(after[1])


_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "i": _NUMBER.pack,
    "?": _FLAG.pack,
    "b": _block,
    "t": lambda text: _block(_text(text)),
    "k": _key,
    "l": _items,
    "c": _checkpoint,
    "d": _numbers,
    "n": _counts,
    "a": Anchor.encode,
}


def encode(message: Message) -> bytes:
    """One frame."""
    kind, layout = _KIND_OF[type(message)]
    body = b"".join([_ENCODERS[code](field) for code, field in zip(layout, message, strict=True)])
    invariant(len(body) < FRAME_BYTES_MAX, "a frame is not longer than its reader takes")
    return _HEAD.pack(1 + len(body), kind) + body


def encode_put(database: int, key: bytes, record: bytes) -> bytes:
    """The frame of a `Put`, which is what nearly all frames are."""
    size = 1 + _PUT_BODY_HEAD.size + len(key) + _LENGTH.size + len(record)
    invariant(size <= FRAME_BYTES_MAX, "a frame is not longer than its reader takes")
    return b"%b%b%b%b" % (_PUT_HEAD.pack(size, _PUT_KIND, database, len(key)), key, _LENGTH.pack(len(record)), record)


class _Body:
    """A frame's body, read from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def read(self, message: type[Any], layout: str) -> Message:
        """The message that the body holds, all of it."""
        readers: dict[str, Callable[[], Any]] = {
            "i": self._number,
            "?": lambda: self._take(_FLAG),
            "b": self._block,
            "t": lambda: self._block().decode("utf-8", "replace"),
            "k": self._key,
            "l": self._items,
            "c": self._checkpoint,
            "d": self._numbers,
            "n": self._counts,
            "a": lambda: decode_anchor(self._take(_ANCHOR)),
        }
        found: Message = message(*[readers[code]() for code in layout])
        if self._position != len(self._data):
            raise WireFault("a frame holds more than its message")
        return found

    def _take(self, layout: struct.Struct) -> Any:
        end = self._advance(layout.size)
        return layout.unpack_from(self._data, end - layout.size)[0]

    def _advance(self, size: int) -> int:
        end = self._position + size
        if end > len(self._data):
            raise WireFault("a frame ends early")
        self._position = end
        return end

    def _number(self) -> int:
        number: int = self._take(_NUMBER)
        return number

    def _block(self) -> bytes:
        size: int = self._take(_LENGTH)
        end = self._advance(size)
        return self._data[end - size : end]

    def _many(self, bytes_min: int) -> range:
        """A count, of things that take at least so many bytes each."""
        count: int = self._take(_LENGTH)
        if count * bytes_min > len(self._data) - self._position:
            raise WireFault("a frame ends early")
        return range(count)

    def _key(self) -> tuple[int, bytes] | None:
        return (self._number(), self._block()) if self._take(_FLAG) else None

    def _items(self) -> list[tuple[int, bytes, int]]:
        return [(self._number(), self._block(), self._number()) for _ in self._many(2 * _NUMBER.size + _LENGTH.size)]

    def _numbers(self) -> list[int]:
        return [self._number() for _ in self._many(_NUMBER.size)]

    def _counts(self) -> dict[int, int]:
        return {self._number(): self._number() for _ in self._many(2 * _NUMBER.size)}

    def _checkpoint(self) -> Checkpoint:
        slot = self._number()
        digest = int.from_bytes(self._take(_DIGEST), "big")
        return Checkpoint(slot, self._counts(), digest)


def decode(frame: bytes) -> Message:
    """The message of one frame without its length. Raises `WireFault` when it is none."""
    kind = frame[0]
    if kind >= len(_KINDS):
        raise WireFault(f"there is no frame of kind {kind}")
    if kind == _PUT_KIND and len(frame) > _PUT_BODY_HEAD.size:
        database, length = _PUT_BODY_HEAD.unpack_from(frame, 1)
        start = 1 + _PUT_BODY_HEAD.size
        end = start + length + _LENGTH.size
        if end <= len(frame) and _LENGTH.unpack_from(frame, start + length)[0] == len(frame) - end:
            return Put(database, frame[start : start + length], frame[end:])
        raise WireFault("a frame ends early, or holds more than its message")
    return _Body(frame[1:]).read(*_KINDS[kind])


class Decoder:
    """Cuts one direction's bytes into messages; what is incomplete waits."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._needed = _LENGTH.size

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete with `data`. Raises `WireFault` at bytes that are no frame."""
        self._chunks.append(data)
        self._size += len(data)
        if self._size < self._needed:
            return []
        buffer = b"".join(self._chunks)
        messages: list[Message] = []
        position = 0
        while True:
            start = position + _LENGTH.size
            if start > len(buffer):
                self._needed = _LENGTH.size
                break
            (size,) = _LENGTH.unpack_from(buffer, position)
            if not 0 < size <= FRAME_BYTES_MAX:
                raise WireFault(f"a frame of {size} bytes")
            if start + size > len(buffer):
                self._needed = _LENGTH.size + size
                break
            messages.append(decode(buffer[start : start + size]))
            position = start + size
        self._chunks = [buffer[position:]] if position < len(buffer) else []
        self._size = len(buffer) - position
        return messages
