"""SORT: numeric sorting is the replicas' own, for it leaves nothing open; what is left open is settled here.

    ALPHA         follows each replica's locale, and equal weights its own order: all weights are asked for, sorted here
                  by their bytes, then by the elements
    BY nosort     keeps a list's or a sorted set's order; a set's is each replica's own, so its elements are sorted here
    ALPHA STORE   with weights is refused: elements of equal weight would be stored in each replica's own order

LIMIT then applies to what was sorted here.
"""

from ...span import Effect
from .arguments import integer_argument
from .base import Call, Compiled, Compiler, Dialect, Refusal, Transform
from .framing import encode_request
from .values import array, elements, is_error, is_null, payload, value_end

_SET = b"+set\r\n"
_WITH_ONE = (b"BY", b"GET", b"STORE")


class Sorting:
    """The options of a SORT. `is_valid` is false when Redis answers them with an error."""

    def __init__(self, arguments: list[bytes], is_read_only: bool) -> None:
        self.is_alpha = False
        self.is_descending = False
        self.is_constant = False
        self.by = b""
        self.gets: list[bytes] = []
        self.is_storing = False
        self.start = 0
        self.count = -1
        self.is_valid = True
        position = 2
        while position < len(arguments) and self.is_valid:
            position += self._read(arguments, position, is_read_only)

    def _read(self, arguments: list[bytes], position: int, is_read_only: bool) -> int:
        """Read one option; how many arguments it took."""
        option = arguments[position].upper()
        following = arguments[position + 1 : position + 3]
        if option in (b"ASC", b"DESC"):
            self.is_descending = option == b"DESC"
        elif option == b"ALPHA":
            self.is_alpha = True
        elif option == b"LIMIT" and len(following) == 2:
            self._limit(integer_argument(following[0]), integer_argument(following[1]))
            return 3
        elif option in _WITH_ONE and following and not (option == b"STORE" and is_read_only):
            self._note(option, following[0])
            return 2
        else:
            self.is_valid = False
        return 1

    def _note(self, option: bytes, value: bytes) -> None:
        if option == b"GET":
            self.gets.append(value)
        elif option == b"STORE":
            self.is_storing = True
        else:
            self.by = value
            # As in Redis, one constant pattern is enough, whatever comes after it.
            self.is_constant = self.is_constant or b"*" not in value.partition(b"\0")[0]

    def _limit(self, start: int | None, count: int | None) -> None:
        if start is None or count is None:
            self.is_valid = False
            return
        self.start = max(start, 0)
        self.count = count

    def page(self, groups: list[list[bytes]]) -> list[list[bytes]]:
        """What LIMIT leaves of the sorted groups."""
        return groups[self.start :] if self.count < 0 else groups[self.start : self.start + self.count]


class Sorted(Transform):
    """An ALPHA sorting: each element comes with its weight, if there are weights, and with what is to be got."""

    is_exact = False

    def __init__(self, sorting: Sorting) -> None:
        self._sorting = sorting
        self._helpers = 2 if sorting.by else 1
        self._stride = self._helpers + len(sorting.gets)

    def canonical(self, reply: bytes) -> bytes:
        """The groups by weight (none comes first) and element; as it came when it cannot be a right reply."""
        if is_error(reply) or len(elements(reply)) % self._stride:
            return reply
        return array([part for group in self._sorted(reply) for part in group])

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """What was asked for, of the elements within LIMIT."""
        if is_error(reply):
            return reply
        groups = self._sorted(reply)
        if self._sorting.is_descending:
            groups.reverse()
        first = self._helpers if self._sorting.gets else 0
        last = self._stride if self._sorting.gets else 1
        return array([part for group in self._sorting.page(groups) for part in group[first:last]])

    def _sorted(self, reply: bytes) -> list[list[bytes]]:
        return sorted(_groups(reply, self._stride), key=self._rank)

    def _rank(self, group: list[bytes]) -> tuple[bool, bytes, bytes]:
        weight = group[self._helpers - 1] if self._sorting.by else b"$0\r\n\r\n"
        return not is_null(weight), payload(weight), payload(group[0])


class Unsorted(Transform):
    """A sorting that keeps the order: two replies, the key's type and the elements in groups."""

    is_exact = False

    def __init__(self, sorting: Sorting) -> None:
        self._sorting = sorting
        self._stride = len(sorting.gets) or 1

    def canonical(self, reply: bytes) -> bytes:
        """The elements; a set's groups in the order of their bytes."""
        end = value_end(reply, 0)
        answer = reply[end:]
        if reply[:end] != _SET:
            return answer
        return array([part for group in sorted(_groups(answer, self._stride)) for part in group])

    def tell(self, reply: bytes, dialect: Dialect, now: int, effects: list[Effect]) -> bytes:
        """The elements within LIMIT."""
        if is_error(reply):
            return reply
        return array([part for group in self._sorting.page(_groups(reply, self._stride)) for part in group])


def _groups(reply: bytes, stride: int) -> list[list[bytes]]:
    parts = elements(reply)
    return [parts[start : start + stride] for start in range(0, len(parts), stride)]


def _got(patterns: list[bytes]) -> list[bytes]:
    return [word for pattern in patterns for word in (b"GET", pattern)]


def _sort(dialect: Dialect, call: Call) -> Compiled:
    sorting = Sorting(call.arguments, call.command.name == "sort_ro")
    if not sorting.is_valid:
        return Compiled(call.raw)
    is_weighed = bool(sorting.by) and not sorting.is_constant
    if sorting.is_storing:
        if sorting.is_alpha and is_weighed:
            raise Refusal(
                "ERR quorate refuses SORT with BY, ALPHA and STORE: elements of equal weight have no order of their own"
            )
        return Compiled(call.raw)
    key = call.arguments[1]
    if sorting.is_constant:
        words = [b"SORT", key, b"BY", b"nosort", *_got(sorting.gets)]
        # A sorted set can be walked backwards.
        words += [b"DESC"] if sorting.is_descending else []
        return Compiled(encode_request([b"TYPE", key]) + encode_request(words), Unsorted(sorting), frames=2)
    if not sorting.is_alpha:
        return Compiled(call.raw)
    if not is_weighed:
        sorting.by = b""
    patterns = [b"#", *([sorting.by] if is_weighed else []), *sorting.gets]
    return Compiled(encode_request([b"SORT", key, b"BY", b"nosort", *_got(patterns)]), Sorted(sorting))


COMPILERS: dict[str, Compiler] = {"sort": _sort, "sort_ro": _sort}
