"""Long lists in pieces: nothing lost, nothing over the limits but what is so alone."""

import pytest

from quorate.trusted.protocols.redis.batches import batches


@pytest.mark.parametrize(
    ("parts", "stride", "groups_max", "bytes_max", "pieces"),
    [
        ([], 1, 5, 10, []),
        (["a", "b", "c"], 1, 5, 10, [["a", "b", "c"]]),
        (["a", "b", "c"], 1, 2, 10, [["a", "b"], ["c"]]),
        (["aaaa", "bbbb", "cccc"], 1, 5, 8, [["aaaa", "bbbb"], ["cccc"]]),
        (["f", "v", "g", "w"], 2, 1, 10, [["f", "v"], ["g", "w"]]),
        (["f", "vvvv", "g", "wwww"], 2, 5, 5, [["f", "vvvv"], ["g", "wwww"]]),
        (["a", "too long", "b"], 1, 5, 3, [["a"], ["too long"], ["b"]]),
    ],
)
def test_pieces(parts: list[str], stride: int, groups_max: int, bytes_max: int, pieces: list[list[str]]) -> None:
    cut = batches([part.encode() for part in parts], stride, groups_max, bytes_max)
    assert [[part.decode() for part in piece] for piece in cut] == pieces
