"""Ten times `kill -9` of every process of a durable cell: what was acknowledged is there. The script does 200."""

import pytest

from quorate.experiments import kill_nine

ROUNDS = 10


@pytest.mark.timeout(300)
@pytest.mark.needs("bwrap", "redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
def test_nothing_acknowledged_is_lost_when_everything_is_killed() -> None:
    told: list[str] = []
    result = kill_nine.run(ROUNDS, 4, told.append)
    assert kill_nine.is_right(result), result
    assert result["kills"] == ROUNDS
    assert result["acknowledged"] > 100
    assert result["in_doubt"] > 0
    assert result["machine"]["journal"] == "always"
    assert len(told) == 1
