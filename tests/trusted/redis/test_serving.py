"""Who serves which command. That each is one of the table's is checked where the table is (tests/real)."""

from quorate.trusted.protocols.redis.serving import COMPILERS, PLANNERS, RESPONDERS


def test_a_command_is_served_in_one_way() -> None:
    assert COMPILERS.keys() & RESPONDERS.keys() == set()
    assert PLANNERS.keys() & RESPONDERS.keys() == set()
