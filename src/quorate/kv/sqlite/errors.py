"""What a command may be refused with, in Redis 7.0's exact words. Knows no command, no session and no storage.

A `CommandError` is the client's mistake: it is raised before anything has changed and becomes one error reply.
"""

WRONG_TYPE = b"WRONGTYPE Operation against a key holding the wrong kind of value"
SYNTAX = b"ERR syntax error"
NOT_AN_INTEGER = b"ERR value is not an integer or out of range"
NOT_A_FLOAT = b"ERR value is not a valid float"
NOT_POSITIVE = b"ERR value is out of range, must be positive"
NO_SUCH_KEY = b"ERR no such key"
SAME_OBJECT = b"ERR source and destination objects are the same"
DATABASE_RANGE = b"ERR DB index is out of range"
INDEX_RANGE = b"ERR index out of range"
INTEGER_OVERFLOW = b"ERR increment or decrement would overflow"
FLOAT_OVERFLOW = b"ERR increment would produce NaN or Infinity"
SCORE_NAN = b"ERR resulting score is not a number (NaN)"
STRING_TOO_LONG = b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"
NUMKEYS = b"ERR numkeys should be greater than 0"
NUMKEYS_RANGE = b"ERR Number of keys can't be greater than number of args"
COUNT = b"ERR count should be greater than 0"
LIMIT = b"ERR LIMIT can't be negative"
NO_SCRIPT = b"NOSCRIPT No matching script. Please use EVAL."


class CommandError(Exception):
    """A command that is refused; `text` is the error reply without its leading dash and line end."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


class ProtocolError(Exception):
    """Bytes that are no request; the connection answers `text` and closes."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


def arity_error(name: bytes) -> CommandError:
    """The refusal of a command called with too few or too many arguments."""
    return CommandError(b"ERR wrong number of arguments for '%s' command" % name)


def expire_error(name: bytes) -> CommandError:
    """The refusal of a deadline that is not positive or does not fit 64 bits."""
    return CommandError(b"ERR invalid expire time in '%s' command" % name)
