"""Texts to integers and floating-point numbers exactly as Redis reads them. Knows no command and no key."""

import re
from math import isinf, isnan

from .faults import Refusal, error, out_of_range

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
INT32_MIN = -(2**31)
INT32_MAX = 2**31 - 1

_DECIMAL = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEXADECIMAL = re.compile(rb"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?")
_INFINITY = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)
_ZERO = re.compile(rb"[+-]?(?:0[xX][0.]*(?:[pP].*)?|[0.]*(?:[eE].*)?)")


def parse_integer(text: bytes) -> int | None:
    """The 64-bit integer that `text` is the one decimal spelling of, or None."""
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or len(digits) > 19 or (digits[0] == 0x30 and text != b"0"):
        return None
    number = int(text)
    return number if INT64_MIN <= number <= INT64_MAX else None


def integer_of(text: bytes, refusal: Refusal | None = None) -> int:
    """The 64-bit integer that `text` spells. Raises `refusal`, or Redis's common one."""
    number = parse_integer(text)
    if number is None:
        raise refusal or out_of_range()
    return number


def integer_within(text: bytes, least: int, most: int, refusal: Refusal | None = None) -> int:
    """An integer between two bounds, both included. Raises `refusal`, or Redis's common ones."""
    number = integer_of(text, refusal)
    if not least <= number <= most:
        raise refusal or error(b"value is out of range, value must between %d and %d" % (least, most))
    return number


def count_of(text: bytes) -> int:
    """A number of things to return: not negative. Raises Refusal."""
    return integer_within(text, 0, INT64_MAX, error(b"value is out of range, must be positive"))


def _strtod(text: bytes) -> float | None:
    """What C's strtod makes of all of `text` (no space before it), overflow as infinity; None where it would stop."""
    if _DECIMAL.fullmatch(text):
        return float(text)
    if _INFINITY.fullmatch(text):
        return float(text)
    if _HEXADECIMAL.fullmatch(text):
        try:
            return float.fromhex(text.decode())
        except OverflowError:
            return float("-inf" if text[:1] == b"-" else "inf")
    return None


def float_of(text: bytes, refusal: Refusal) -> float:
    """The double that `text` spells; too large or too small to be one is refused. Raises `refusal`."""
    number = _strtod(text)
    if number is None or isnan(number):
        raise refusal
    if isinf(number) and not _INFINITY.fullmatch(text):
        raise refusal
    if number == 0 and not _ZERO.fullmatch(text):
        raise refusal
    return number


def bound_of(text: bytes) -> tuple[float, bool] | None:
    """A bound of a score range and whether it is excluded: `1.5`, `(1.5`, `-inf`; None when it is not one."""
    excluded = text[:1] == b"("
    number_text = text[excluded:].split(b"\0", 1)[0]
    if not number_text:
        return 0.0, excluded
    number = _strtod(number_text.lstrip(b" \t\n\v\f\r"))
    return None if number is None else (number, excluded)
