import pytest

from quorate.trusted.errors import BrokenInvariant
from quorate.trusted.quorum import is_split, may_lose_a_voter, seats_for, votes_needed


@pytest.mark.parametrize("f", range(1, 8))
def test_two_quorums_share_a_correct_replica_or_only_one_exists(f: int) -> None:
    seats, needed = seats_for(f), votes_needed(f)
    assert needed > seats - needed, "two different replies never both reach the quorum"
    assert needed > f, "the faulty alone never reach it"
    assert seats - f >= needed, "the correct alone always do"


@pytest.mark.parametrize("f", [0, -1])
def test_a_cell_tolerates_at_least_one_fault(f: int) -> None:
    with pytest.raises(BrokenInvariant):
        seats_for(f)
    with pytest.raises(BrokenInvariant):
        votes_needed(f)


@pytest.mark.parametrize("f", [1, 2, 3])
def test_a_voter_may_go_while_a_quorum_remains(f: int) -> None:
    allowed = [may_lose_a_voter(voters, f) for voters in range(seats_for(f) + 1)]
    assert allowed == [False] * (f + 2) + [True] * (f)


@pytest.mark.parametrize("f", [1, 2, 3])
def test_split_means_that_no_outcome_of_the_missing_replies_decides(f: int) -> None:
    for largest in range(seats_for(f) + 1):
        for outstanding in range(seats_for(f) + 1 - largest):
            best = largest + outstanding
            assert is_split(largest, outstanding, f) is (best < votes_needed(f))
