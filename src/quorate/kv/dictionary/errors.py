"""What a command may be refused with, in Redis's own words. Knows no command."""


class Refusal(Exception):
    """A command that changes nothing and is answered by this error: its code and text, no minus, no line end."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text

    def taken(self) -> bytes:
        """The text, once caught. Many refusals are constants: each raise would add its frames to the one before."""
        self.__traceback__ = self.__context__ = None
        return self.text


class ProtocolFault(Exception):
    """Bytes that are no request: answered by this text, then the connection ends."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


ONE_LINE = bytes.maketrans(b"\r\n", b"  ")

WRONG_TYPE = Refusal(b"WRONGTYPE Operation against a key holding the wrong kind of value")
SYNTAX = Refusal(b"ERR syntax error")
NOT_INTEGER = Refusal(b"ERR value is not an integer or out of range")
NOT_FLOAT = Refusal(b"ERR value is not a valid float")
NOT_POSITIVE = Refusal(b"ERR value is out of range, must be positive")
NO_SUCH_KEY = Refusal(b"ERR no such key")
NO_SUCH_DATABASE = Refusal(b"ERR DB index is out of range")
SAME_OBJECT = Refusal(b"ERR source and destination objects are the same")
OVERFLOW = Refusal(b"ERR increment or decrement would overflow")
INFINITE_SUM = Refusal(b"ERR increment would produce NaN or Infinity")


def formatted(text: bytes) -> Refusal:
    """A refusal that quotes a client's words: one line, as Redis makes it one."""
    return Refusal(b"ERR " + text.strip(b"\r\n").translate(ONE_LINE))


def quoted(word: bytes, length_max: int = 1 << 30) -> bytes:
    """The word as C's `%.*s` prints it: it ends at the first zero byte."""
    return word.split(b"\0", 1)[0][:length_max]


def wrong_arity(name: bytes) -> Refusal:
    """The refusal of a wrong number of arguments to the command of this lower-case name."""
    return Refusal(b"ERR wrong number of arguments for '%b' command" % name)


def invalid_expiry(name: bytes) -> Refusal:
    """The refusal of a deadline that the command of this lower-case name cannot set."""
    return Refusal(b"ERR invalid expire time in '%b' command" % name)
