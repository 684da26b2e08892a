"""The options of SET and GETEX, read as Redis reads them. Knows words, not what they do."""

UNITS = frozenset((b"EX", b"PX", b"EXAT", b"PXAT"))


def word(argument: bytes) -> bytes:
    """An option as Redis compares it: without case, and only up to a zero byte."""
    return argument.partition(b"\0")[0].upper()


class Options:
    """The options of SET and GETEX. `conditions` are NX, XX and GET; `unit` is empty when no time is given."""

    __slots__ = ("amount", "conditions", "is_keeping", "is_persisting", "unit")

    def __init__(self) -> None:
        self.conditions: list[bytes] = []
        self.unit = b""
        self.amount = b""
        self.is_keeping = False
        self.is_persisting = False

    def take(self, option: bytes, following: bytes | None, is_set: bool) -> int:
        """Take one option; how many arguments it is, or 0 for a syntax error."""
        is_timeless = not (self.unit or self.is_keeping or self.is_persisting)
        if is_set and option in (b"NX", b"XX", b"GET"):
            if option != b"GET" and (b"XX" if option == b"NX" else b"NX") in self.conditions:
                return 0
            self.conditions.append(option)
            return 1
        if option in UNITS and following is not None and (is_timeless or option == self.unit):
            self.unit, self.amount = option, following
            return 2
        if option == b"KEEPTTL" and is_set and (is_timeless or self.is_keeping):
            self.is_keeping = True
            return 1
        if option == b"PERSIST" and not is_set and (is_timeless or self.is_persisting):
            self.is_persisting = True
            return 1
        return 0


def parse_options(arguments: list[bytes], start: int, is_set: bool) -> Options | None:
    """The options from `start` on, or None for a syntax error."""
    options = Options()
    position = start
    while position < len(arguments):
        following = arguments[position + 1] if position + 1 < len(arguments) else None
        taken = options.take(word(arguments[position]), following, is_set)
        if not taken:
            return None
        position += taken
    return options
