"""Sums as x86's 80-bit floating point makes them: exact rational numbers, rounded to 64 bits of mantissa.

For INCRBYFLOAT: Redis adds in `long double` and prints with `%.17Lf`; a double would differ in the last digits.
Knows no command.
"""

import re
from decimal import Context, Decimal
from fractions import Fraction

MANTISSA_BITS = 64
EXPONENT_MAX = 16384
LAST_BIT = 16445
TEXT_BYTES_MAX = 5 * 1024 - 1
FRACTION_DIGITS = 17

_DECIMAL = re.compile(rb"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]+))?")
_HEXADECIMAL = re.compile(rb"([+-]?)0[xX]([0-9a-fA-F]*)\.?([0-9a-fA-F]*)(?:[pP]([+-]?[0-9]+))?")
_INFINITY = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)
_EXACT = Context(prec=4 * TEXT_BYTES_MAX, Emax=10**6, Emin=-(10**6))

Extended = Fraction | None  # None stands for an infinity


class NotANumber(Exception):
    """The text spells no extended floating-point number."""


def parse(text: bytes) -> Extended:
    """The number nearest to what `text` spells. Raises NotANumber."""
    if len(text) > TEXT_BYTES_MAX:
        raise NotANumber
    if _INFINITY.fullmatch(text):
        return None
    exact = _exact_decimal(text) if (_DECIMAL.fullmatch(text)) else _exact_hexadecimal(text)
    rounded = _round(exact)
    # The least number above zero: what rounds to no multiple of it is zero, which C takes for an error.
    if rounded is None or (exact and not round(exact * 2**LAST_BIT)):
        raise NotANumber
    return rounded


def add(left: Extended, right: Extended) -> Extended:
    """The rounded sum; an infinity when a side is one, or when the sum overflows."""
    return None if left is None or right is None else _round(left + right)


def spell(number: Fraction) -> bytes:
    """Seventeen digits behind the point, trailing zeros left out."""
    scaled = round(number * 10**FRACTION_DIGITS)  # rounds half to even, as C does
    # Through Decimal, because Python bounds the digits of an int that it prints.
    text = format(_EXACT.scaleb(Decimal(scaled), -FRACTION_DIGITS), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return b"0" if text in ("-0", "") else text.encode()


def _exact_decimal(text: bytes) -> Fraction:
    matched = _DECIMAL.fullmatch(text)
    if matched is None:
        raise NotANumber
    digits, exponent_text = matched.groups()
    mantissa = Fraction(Decimal(digits.decode()))
    exponent = _exponent(exponent_text)
    # Beyond these the number is over- or underflow whatever its digits, and need not be computed.
    if mantissa and abs(exponent) > 3 * TEXT_BYTES_MAX:
        raise NotANumber
    return mantissa * Fraction(10) ** exponent if mantissa else mantissa


def _exact_hexadecimal(text: bytes) -> Fraction:
    matched = _HEXADECIMAL.fullmatch(text)
    if matched is None or not matched[2] + matched[3]:
        raise NotANumber
    sign, whole, part, exponent_text = matched.groups()
    mantissa = Fraction(int(whole + part, 16), 16 ** len(part))
    exponent = _exponent(exponent_text)
    if mantissa and abs(exponent) > 8 * TEXT_BYTES_MAX:
        raise NotANumber
    magnitude = mantissa * Fraction(2) ** exponent if mantissa else mantissa
    return -magnitude if sign == b"-" else magnitude


def _exponent(text: bytes | None) -> int:
    if not text:
        return 0
    # As many digits as can matter: the rest would only make a larger over- or underflow.
    digits = text.lstrip(b"+-").lstrip(b"0")[:8] or b"0"
    return -int(digits) if text[:1] == b"-" else int(digits)


def _round(exact: Fraction) -> Extended:
    if not exact:
        return exact
    top, bottom = abs(exact.numerator), exact.denominator
    shift = top.bit_length() - bottom.bit_length() - MANTISSA_BITS
    if Fraction(top, bottom) >= Fraction(2) ** (shift + MANTISSA_BITS):
        shift += 1
    unit = Fraction(2) ** shift
    mantissa = round(Fraction(top, bottom) / unit)
    rounded = mantissa * unit
    if rounded >= 2**EXPONENT_MAX:
        return None
    return rounded if exact > 0 else -rounded
