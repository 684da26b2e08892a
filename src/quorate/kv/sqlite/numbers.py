"""Numbers as Redis reads and prints them: 64-bit integers, doubles, and the x87 long doubles of INCRBYFLOAT.

Pure functions. Long doubles are exact fractions rounded to 64 significant bits, because Python's floats have only 53.
"""

import re
from fractions import Fraction

from .errors import NOT_A_FLOAT, NOT_AN_INTEGER, NOT_POSITIVE, CommandError

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
INT32_MAX = 2**31 - 1
INT32_MIN = -(2**31)

INTEGER = re.compile(rb"(?:0|-?[1-9][0-9]{0,18})\Z")
NUMBER = re.compile(
    rb"[ \t\n\v\f\r]*(?P<sign>[+-]?)(?:"
    rb"(?P<special>inf(?:inity)?|nan(?:\([0-9a-z_]*\))?)"
    rb"|0x(?P<hexadecimal>(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?)"
    rb"|(?P<decimal>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)"
    rb")\Z",
    re.IGNORECASE,
)
SPACE = b" \t\n\v\f\r"

MANTISSA_BITS = 64
EXPONENT_MAX = 16384
EXPONENT_MIN = -16445
# Redis reads a long double through a buffer of this many bytes.
LONG_DOUBLE_BYTES_MAX = 5 * 1024
# No decimal exponent beyond this can be finite and not zero, given the length limit above.
DECIMAL_EXPONENT_MAX = 20_000


def parse_integer(text: bytes, refusal: bytes = NOT_AN_INTEGER) -> int:
    """The 64-bit integer that `text` spells strictly; raises `CommandError(refusal)` otherwise."""
    if INTEGER.match(text):
        value = int(text)
        if INT64_MIN <= value <= INT64_MAX:
            return value
    raise CommandError(refusal)


def parse_range(text: bytes, low: int, high: int, refusal: bytes | None = None) -> int:
    """The integer in `text` if it lies in low..high; raises `CommandError` otherwise."""
    value = parse_integer(text, refusal or NOT_AN_INTEGER)
    if low <= value <= high:
        return value
    raise CommandError(refusal or b"ERR value is out of range, value must between %d and %d" % (low, high))


def parse_positive(text: bytes, refusal: bytes = NOT_POSITIVE) -> int:
    """The integer in `text` if it is not negative; raises `CommandError(refusal)` otherwise."""
    return parse_range(text, 0, INT64_MAX, refusal)


def parse_int32(text: bytes, refusal: bytes | None = None) -> int:
    """The 32-bit integer in `text`; raises `CommandError` otherwise."""
    return parse_range(text, INT32_MIN, INT32_MAX, refusal)


def strtod(text: bytes) -> float | None:
    """What C's strtod makes of all of `text`, or None if something is left over; NaN is possible."""
    if not text:
        return 0.0
    found = NUMBER.match(text)
    if not found:
        return None
    sign = -1.0 if found["sign"] == b"-" else 1.0
    if found["special"]:
        return sign * float(found["special"][:3])
    if found["hexadecimal"]:
        try:
            return sign * float.fromhex(found["hexadecimal"].decode())
        except OverflowError:
            return sign * float("inf")
    return sign * float(found["decimal"])


def parse_double(text: bytes, refusal: bytes = NOT_A_FLOAT) -> float:
    """The double in `text`, infinities included; raises `CommandError(refusal)` for anything else."""
    value = None if not text or text[0] in SPACE else strtod(text)
    if value is None or value != value or _out_of_range(text, value):
        raise CommandError(refusal)
    return value


def _out_of_range(text: bytes, value: float) -> bool:
    """Whether C would have reported ERANGE: digits that overflowed to infinity or vanished into zero."""
    if value in (float("inf"), float("-inf")):
        return b"i" not in text.lower()
    digits, _, _ = text.lower().partition(b"p" if b"x" in text.lower() else b"e")
    return value == 0.0 and bool(re.search(rb"[1-9a-f]", digits))


def parse_long_double(text: bytes, refusal: bytes = NOT_A_FLOAT) -> Fraction | None:
    """The long double in `text`, None for an infinity; raises `CommandError(refusal)` for anything else."""
    found = NUMBER.match(text) if 0 < len(text) < LONG_DOUBLE_BYTES_MAX and text[0] not in SPACE else None
    if found is None:
        raise CommandError(refusal)
    if found["special"]:
        if found["special"][:1].lower() == b"i":
            return None
        raise CommandError(refusal)
    exact = _hexadecimal(found["hexadecimal"]) if found["hexadecimal"] else _decimal(found["decimal"])
    value = round_long_double(exact) if exact is not None else None
    if value is None or (exact and not value):
        raise CommandError(refusal)
    return -value if found["sign"] == b"-" else value


def _decimal(text: bytes) -> Fraction | None:
    """The exact value of a decimal numeral, None when its exponent puts it out of any range."""
    mantissa, _, exponent = text.lower().partition(b"e")
    return _scaled(mantissa, 10, 10, _exponent(exponent))


def _hexadecimal(text: bytes) -> Fraction | None:
    """The exact value of a hexadecimal numeral without its 0x, None when it is out of any range."""
    mantissa, _, exponent = text.lower().partition(b"p")
    return _scaled(mantissa, 16, 2, _exponent(exponent))


def _exponent(text: bytes) -> int:
    """The number of an exponent; of one with very many digits only the first, for it is out of any range anyway."""
    value = int(text.lstrip(b"+-").lstrip(b"0")[:9] or b"0")
    return -value if text.startswith(b"-") else value


def _scaled(mantissa: bytes, base: int, scale: int, exponent: int) -> Fraction | None:
    whole, _, part = mantissa.partition(b".")
    # Python limits the conversion of decimal digits to 4,300 at once, so they are read in pieces.
    digits = 0
    for start in range(0, len(whole + part), 1000):
        piece = (whole + part)[start : start + 1000]
        digits = digits * base ** len(piece) + int(piece, base)
    if not digits:
        return Fraction(0)
    if abs(exponent) > DECIMAL_EXPONENT_MAX * 4:
        return None
    factor = Fraction(scale**exponent) if exponent >= 0 else Fraction(1, scale**-exponent)
    return Fraction(digits, base ** len(part)) * factor


def round_long_double(exact: Fraction) -> Fraction | None:
    """The long double nearest to `exact`, ties to even; None when it overflows to infinity."""
    if not exact:
        return exact
    magnitude = abs(exact)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if magnitude < Fraction(2) ** exponent:
        exponent -= 1
    if exponent >= EXPONENT_MAX:
        return None
    unit = Fraction(2) ** max(exponent - MANTISSA_BITS + 1, EXPONENT_MIN)
    rounded = round(exact / unit) * unit
    return None if abs(rounded) >= Fraction(2) ** EXPONENT_MAX else rounded


def format_long_double(value: Fraction) -> bytes:
    """`value` with at most 17 decimals, correctly rounded, without trailing zeros and never as minus zero."""
    scaled = round(abs(value) * 10**17)
    whole, part = divmod(scaled, 10**17)
    text = _digits(whole) + (b".%017d" % part).rstrip(b"0").rstrip(b".")
    return b"-" + text if value < 0 and text != b"0" else text


def _digits(whole: int) -> bytes:
    """The decimal digits of `whole`, in pieces, for the same limit of 4,300 digits."""
    pieces = []
    while whole >= 10**1000:
        whole, piece = divmod(whole, 10**1000)
        pieces.append(b"%01000d" % piece)
    return b"%d" % whole + b"".join(reversed(pieces))
