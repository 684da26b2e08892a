"""Numbers in requests, read as strictly as Redis reads them: what is refused here, every replica would refuse too.

Knows no command.
"""

from .base import Refusal

INTEGER_MAX = 2**63 - 1
INTEGER_MIN = -(2**63)
MILLISECOND_NS = 1_000_000

# Longer than any process lives: no deadline at all.
_FOR_EVER_MS = 2**40
_INTEGER_DIGITS_MAX = 19
_FLOAT_BYTES_MAX = 5 * 1024
_FLOAT_BYTES = frozenset(b"0123456789abcdefinptxyABCDEFINPTXY+-.")


def integer_argument(text: bytes) -> int | None:
    """The 64-bit number that `text` is in plain decimal: no plus, no blank, no leading zero. None when it is not."""
    digits = text[1:] if text.startswith(b"-") else text
    if not digits.isdigit() or len(digits) > _INTEGER_DIGITS_MAX or (digits.startswith(b"0") and text != b"0"):
        return None
    number = int(text)
    return number if INTEGER_MIN <= number <= INTEGER_MAX else None


def timeout_seconds(text: bytes) -> int:
    """The wait of a blocking command given in seconds, in ns, rounded up to milliseconds as in Redis; 0 is for ever.

    Raises `Refusal` with Redis's own words.
    """
    seconds = float_argument(text)
    if seconds is None or seconds != seconds:
        raise Refusal("ERR timeout is not a float or out of range")
    milliseconds = seconds * 1000
    if not -1 < milliseconds < INTEGER_MAX:
        raise Refusal("ERR timeout is negative")
    whole = int(milliseconds)
    return _wait(whole + 1 if whole < milliseconds else whole)


def timeout_milliseconds(text: bytes) -> int:
    """The wait of a BLOCK option given in milliseconds, in ns; 0 is for ever. Raises `Refusal` in Redis's own words."""
    milliseconds = integer_argument(text)
    if milliseconds is None:
        raise Refusal("ERR timeout is not an integer or out of range")
    if milliseconds < 0:
        raise Refusal("ERR timeout is negative")
    return _wait(milliseconds)


def _wait(milliseconds: int) -> int:
    return milliseconds * MILLISECOND_NS if milliseconds < _FOR_EVER_MS else 0


def float_argument(text: bytes) -> float | None:
    """What C's strtold makes of the whole of `text`, hexadecimal and `inf` included; None when it is no number."""
    if len(text) >= _FLOAT_BYTES_MAX or not all(byte in _FLOAT_BYTES for byte in text):
        return None
    try:
        return float.fromhex(text.decode()) if b"x" in text.lower() else float(text)
    except (ValueError, OverflowError):
        return None
