"""Numbers as Redis reads and prints them: strict 64-bit integers, C doubles, and the x87 long double of INCRBYFLOAT."""

import re
from decimal import Decimal
from fractions import Fraction
from math import inf, isinf, isnan, nan

from .errors import NOT_FLOAT, NOT_INTEGER, NOT_POSITIVE, Refusal

INTEGER_MIN = -(1 << 63)
INTEGER_MAX = (1 << 63) - 1
INTEGER_DIGITS_MAX = 20
LONG_DOUBLE_CHARACTERS_MAX = 5 * 1024
LONG_DOUBLE_EXPONENT_MAX = 4932
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
    exact = _hexadecimal(word)
    if exact is None:
        return None
    try:
        return float(exact)
    except OverflowError:
        return inf if exact > 0 else -inf


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
    exact = _decimal(word) if DECIMAL.fullmatch(word) else _hexadecimal(word)
    if exact is None or len(word) >= LONG_DOUBLE_CHARACTERS_MAX:
        raise refusal
    rounded = rounded_long_double(exact)
    if abs(rounded) >= 1 << (1 << 14):
        raise refusal
    return rounded


def rounded_long_double(exact: Fraction) -> Fraction:
    """The nearest number of 64 significant bits, ties to even: what the x87 unit computes."""
    if not exact:
        return exact
    numerator, denominator = abs(exact.numerator), exact.denominator
    shift = LONG_DOUBLE_BITS - (numerator.bit_length() - denominator.bit_length())
    scale = Fraction(1 << shift) if shift >= 0 else Fraction(1, 1 << -shift)
    if abs(exact) * scale >= 1 << LONG_DOUBLE_BITS:
        scale /= 2
    return Fraction(round(exact * scale)) / scale


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
    return number == 0 and any(digit in b"123456789" for digit in re.split(rb"[eEpP]", word)[0].lstrip(b"+-0xX"))


def _decimal(word: bytes) -> Fraction | None:
    number = Decimal(word.decode())
    if number and abs(number.adjusted()) > LONG_DOUBLE_EXPONENT_MAX:
        return None
    return Fraction(number)


def _hexadecimal(word: bytes) -> Fraction | None:
    match = HEXADECIMAL.fullmatch(word)
    if match is None or not (match[2] or match[3]) or len(match[4] or b"") > INTEGER_DIGITS_MAX // 4:
        return None
    exponent = int(match[4] or b"0") - 4 * len(match[3])
    number = Fraction(int(match[2] + match[3], 16)) * Fraction(2) ** exponent
    return -number if match[1] == b"-" else number
