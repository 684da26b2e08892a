"""Numbers as Redis reads and prints them: strict 64-bit integers, C doubles, and the x87 long double of INCRBYFLOAT."""

import re
from decimal import Decimal
from fractions import Fraction
from math import inf, isinf, isnan, nan

from .errors import INFINITE_SUM, NOT_FLOAT, NOT_INTEGER, NOT_POSITIVE, Refusal

INTEGER_MIN = -(1 << 63)
INTEGER_MAX = (1 << 63) - 1
INTEGER_DIGITS_MAX = 20
LONG_DOUBLE_CHARACTERS_MAX = 5 * 1024
# Decimal exponents beyond which a number is an infinity or a zero whatever its digits, and need not be computed.
LONG_DOUBLE_EXPONENTS = range(-4952, 4933)
LONG_DOUBLE_TOP = 1 << 14
LONG_DOUBLE_LAST_BIT = 16_445
LONG_DOUBLE_BITS = 64
LONG_DOUBLE_DECIMALS = 17

DECIMAL = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
HEXADECIMAL = re.compile(rb"([+-]?)0[xX]([0-9a-fA-F]*)\.?([0-9a-fA-F]*)(?:[pP]([+-]?[0-9]+))?")
INFINITE = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)
NOT_A_NUMBER = re.compile(rb"[+-]?nan(?:\([0-9a-z_]*\))?", re.IGNORECASE)
WHITESPACE = b" \t\n\v\f\r"


def parsed_integer(word: bytes) -> int | None:
    """The 64-bit integer that `word` is, or None: no blanks, no plus, no leading zeros."""
    if len(word) > INTEGER_DIGITS_MAX:
        return None
    try:
        number = int(word)
    except ValueError:
        return None
    return number if INTEGER_MIN <= number <= INTEGER_MAX and b"%d" % number == word else None


def integer(word: bytes, refusal: Refusal = NOT_INTEGER) -> int:
    """The 64-bit integer that `word` is; raises `refusal` where it is none."""
    number = parsed_integer(word)
    if number is None:
        raise refusal
    return number


def integer_between(word: bytes, least: int, most: int, refusal: Refusal | None = None) -> int:
    """The integer that `word` is; raises `refusal`, or Redis's own text, where it is none or out of bounds."""
    number = integer(word, refusal or NOT_INTEGER)
    if not least <= number <= most:
        raise refusal or Refusal(b"ERR value is out of range, value must between %d and %d" % (least, most))
    return number


def positive(word: bytes, refusal: Refusal = NOT_POSITIVE) -> int:
    """The integer not below zero that `word` is; raises `refusal` where it is none."""
    return integer_between(word, 0, INTEGER_MAX, refusal)


def small_integer(word: bytes) -> int:
    """The 32-bit integer that `word` is."""
    return integer_between(word, -(1 << 31), (1 << 31) - 1)


def c_double(word: bytes) -> float | None:
    """What C's `strtod` makes of the whole word, NaN and infinities included; None where it stops before the end."""
    if DECIMAL.fullmatch(word):
        return float(word)
    if INFINITE.fullmatch(word):
        return -inf if word.startswith(b"-") else inf
    if NOT_A_NUMBER.fullmatch(word):
        return nan
    match = HEXADECIMAL.fullmatch(word)
    if match is None or not (match[2] or match[3]):
        return None
    try:
        return float.fromhex(word.decode())
    except OverflowError:
        return -inf if word.startswith(b"-") else inf


def double(word: bytes, refusal: Refusal = NOT_FLOAT) -> float:
    """The double that `word` is; raises `refusal` for NaN and for what a double cannot hold."""
    number = c_double(word)
    if number is None or isnan(number) or _is_out_of_range(word, number):
        raise refusal
    return number


def bound(word: bytes) -> tuple[float, bool]:
    """One end of a range of scores and whether it is excluded; as lenient as C's `strtod` on a C string."""
    excluded = word.startswith(b"(")
    text = (word[1:] if excluded else word).split(b"\0", 1)[0]
    number = 0.0 if not text else c_double(text.lstrip(WHITESPACE))
    if number is None or isnan(number):
        raise Refusal(b"ERR min or max is not a float")
    return number, excluded


def shown_double(number: float) -> bytes:
    """The double as Redis prints it."""
    return b"%.17g" % number


def long_double(word: bytes, refusal: Refusal = NOT_FLOAT) -> Fraction | None:
    """The long double that `word` is, exactly; None for an infinity; raises `refusal` where it is none."""
    if INFINITE.fullmatch(word):
        return None
    if len(word) >= LONG_DOUBLE_CHARACTERS_MAX:
        raise refusal
    exact = _decimal(word) if DECIMAL.fullmatch(word) else _hexadecimal(word)
    rounded = None if exact is None else rounded_long_double(exact)
    # What is no zero must not become one either.
    if rounded is None or (exact and not rounded):
        raise refusal
    return rounded


def rounded_long_double(exact: Fraction) -> Fraction | None:
    """The nearest number of 64 significant bits, ties to even, as the x87 unit computes it; None for an infinity.

    Near zero there are fewer bits: the last one is worth 2**-16445.
    """
    if not exact:
        return exact
    numerator, denominator = abs(exact.numerator), exact.denominator
    shift = LONG_DOUBLE_BITS - (numerator.bit_length() - denominator.bit_length())
    scale = Fraction(2) ** shift
    if abs(exact) * scale >= 1 << LONG_DOUBLE_BITS:
        scale /= 2
    scale = min(scale, Fraction(1 << LONG_DOUBLE_LAST_BIT))
    rounded = Fraction(round(exact * scale)) / scale
    return rounded if abs(rounded) < 1 << LONG_DOUBLE_TOP else None


def long_double_sum(one: Fraction | None, other: Fraction | None) -> bytes:
    """The printed sum of two long doubles; raises the refusal of a sum that is not finite."""
    rounded = None if one is None or other is None else rounded_long_double(one + other)
    if rounded is None:
        raise INFINITE_SUM
    return shown_long_double(rounded)


def shown_long_double(number: Fraction) -> bytes:
    """The long double as C's `%.17Lf` with the trailing zeros cut off."""
    scaled = round(number * 10**LONG_DOUBLE_DECIMALS)
    # By way of Decimal, because int refuses to print more than 4,300 digits.
    digits = str(Decimal(abs(scaled))).zfill(LONG_DOUBLE_DECIMALS + 1)
    whole, fraction = digits[:-LONG_DOUBLE_DECIMALS], digits[-LONG_DOUBLE_DECIMALS:].rstrip("0")
    return f"{'-' if scaled < 0 else ''}{whole}{'.' if fraction else ''}{fraction}".encode()


def _is_out_of_range(word: bytes, number: float) -> bool:
    if isinf(number):
        return not INFINITE.fullmatch(word)
    power = b"p" if b"x" in word.lower() else b"e"
    return number == 0 and re.search(rb"[1-9a-f]", word.lower().partition(power)[0]) is not None


def _decimal(word: bytes) -> Fraction | None:
    digits, _, power = word.lower().partition(b"e")
    number = Decimal(digits.decode())
    if not number:
        return Fraction(0)
    exponent = _exponent(power)
    if number.adjusted() + exponent not in LONG_DOUBLE_EXPONENTS:
        return None
    return Fraction(number) * Fraction(10) ** exponent


def _hexadecimal(word: bytes) -> Fraction | None:
    match = HEXADECIMAL.fullmatch(word)
    if match is None or not (match[2] or match[3]):
        return None
    digits = int(match[2] + match[3], 16)
    exponent = _exponent(match[4] or b"") - 4 * len(match[3])
    if digits and abs(digits.bit_length() + exponent) > 2 * LONG_DOUBLE_LAST_BIT:
        return None
    number = Fraction(digits) * Fraction(2) ** exponent if digits else Fraction(0)
    return -number if match[1] == b"-" else number


def _exponent(digits: bytes) -> int:
    """The number, cut to one that is as good where it is longer than any that matters."""
    sign, digits = digits[:1] == b"-", digits.lstrip(b"+-").lstrip(b"0")
    number = int(digits or b"0") if len(digits) < INTEGER_DIGITS_MAX else 10**INTEGER_DIGITS_MAX
    return -number if sign else number
