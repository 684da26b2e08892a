"""Patterns match as Redis matches them, quirks included, and never for long."""

import pytest

from quorate.trusted.protocols.redis.base import Refusal
from quorate.trusted.protocols.redis.glob import Glob, matches


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        (b"h?llo", b"hello", True),
        (b"h?llo", b"hllo", False),
        (b"h*llo", b"heeeello", True),
        (b"*", b"anything", True),
        (b"**a", b"bba", True),
        (b"a*b*c", b"a-b-b-c", True),
        (b"a*b*c", b"a-c-b", False),
        (b"a*", b"a", True),
        (b"a*?", b"a", False),
        (b"abc", b"ab", False),
        (b"ab", b"abc", False),
        (b"h[ae]llo", b"hallo", True),
        (b"h[ae]llo", b"hillo", False),
        (b"h[^e]llo", b"hallo", True),
        (b"h[^e]llo", b"hello", False),
        (b"[a-c]x", b"bx", True),
        (b"[c-a]x", b"bx", True),
        (b"[a-c]x", b"dx", False),
        (b"[a\\]b]", b"]", True),
        (b"[\\", b"\\", True),
        (b"\\*", b"*", True),
        (b"\\*", b"x", False),
        (b"a\\", b"a\\", True),
        (b"[]a]", b"a]", False),
        (b"[abc", b"b", True),
        (b"[a-", b"-", True),
        (b"[", b"[", False),
        (b"[^", b"x", True),
        (b"", b"", True),
        (b"", b"a", False),
        (b"*", b"", False),
    ],
)
def test_a_pattern_matches_as_in_redis(pattern: bytes, text: bytes, fits: bool) -> None:
    assert matches(pattern, text) is fits


def test_the_work_is_bounded() -> None:
    glob = Glob(b"*a*a*a*b", 100, 1000)
    assert not glob.matches(b"a" * 20)
    with pytest.raises(Refusal, match="match_steps_max"):
        glob.matches(b"a" * 10_000)
    with pytest.raises(Refusal, match="pattern_bytes_max"):
        Glob(b"x" * 101, 100, 1000)
    assert not matches(b"x" * 5000, b"x" * 5000)
