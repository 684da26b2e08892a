"""Random conversations through the dialect are those with a bare server (differential.py); seeded, some seconds."""

from pathlib import Path

import pytest

from tests.real.differential import Differential, servers

pytestmark = pytest.mark.needs("redis-server")

ROUNDS = 8
STEPS = 200


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("seed", [1, 2])
def test_no_difference_from_a_bare_server(tmp_path: Path, seed: int, protocol: int) -> None:
    with servers(tmp_path) as (lane, bare):
        differential = Differential(lane, bare, protocol, seed)
        for _ in range(ROUNDS):
            differential.round(STEPS)
        talk = differential.talk
        assert "\n\n".join(map(str, talk.differences)) == ""
        # What is refused by design is a small part, or this compares nothing.
        assert talk.compared > 0.85 * ROUNDS * STEPS
        assert talk.skipped < 0.1 * talk.compared
