"""What a client is told when its command cannot be done, in Redis's own words. Knows nothing else.

Refusal             any error reply; the command has changed nothing
  WrongKind         the key holds another kind of value
"""


class Refusal(Exception):
    """A command that is answered by an error; `text` is the whole line without its leading minus."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


class WrongKind(Refusal):
    """The key holds another kind of value."""

    def __init__(self) -> None:
        super().__init__(b"WRONGTYPE Operation against a key holding the wrong kind of value")


def error(text: bytes) -> Refusal:
    """An error of the common kind."""
    return Refusal(b"ERR " + text)


def syntax_error() -> Refusal:
    """Options that do not fit together."""
    return Refusal(b"ERR syntax error")


def out_of_range() -> Refusal:
    """A text that should be a 64-bit integer."""
    return Refusal(b"ERR value is not an integer or out of range")


def wrong_arity(name: bytes) -> Refusal:
    """Too few or too many arguments for the command of this full name."""
    return Refusal(b"ERR wrong number of arguments for '%b' command" % name)


def bad_expiry(name: bytes) -> Refusal:
    """A deadline that the command of this full name cannot take."""
    return Refusal(b"ERR invalid expire time in '%b' command" % name)


def no_such_key() -> Refusal:
    """A key that must be there is not."""
    return Refusal(b"ERR no such key")
