"""Whatever writers do, and whatever becomes of slots: each checkpoint holds exactly what there was at its slot."""

from random import Random

import pytest

from quorate.trusted.changes import LIST, STRING, UNKNOWN
from quorate.trusted.sweep import PAUSE_NS_MAX
from tests.trusted.room import Room


class Chaos:
    """Writers, undecided slots, decisions told late, hints that are wrong, at random by a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.room = Room(sweep_bytes=40, sweep_keys_max=6, closing_keys_max=8)
        self.keys = [b"%d" % number for number in range(self.chance.choice([3, 12, 40]))]

    def value(self) -> bytes | None:
        kind = self.chance.choice([b"s", b"l", b"s", b"l", b"?"] if self.chance.random() < 0.1 else [b"s", b"l"])
        return None if self.chance.random() < 0.3 else kind + b"%d" % self.chance.randrange(1_000)

    def step(self) -> None:
        chance, room = self.chance, self.room
        drawn = chance.random()
        if drawn < 0.4:
            hint = chance.choice([UNKNOWN, STRING, LIST])
            room.writes(chance.choice(self.keys), self.value(), chance.randrange(3), hint)
        elif drawn < 0.42:
            room.flushes(chance.randrange(3))
        elif drawn < 0.44:
            room.swaps(*chance.sample(range(3), 2))
        elif drawn < 0.5:
            room.wants(is_urgent=chance.random() < 0.5)
        elif drawn < 0.6:
            room.now += chance.randrange(PAUSE_NS_MAX)
            room.goes_on()
        elif drawn < 0.62:
            room.sweep.is_held = not room.sweep.is_held
        elif drawn < 0.65 and room.sweep.is_sealed():
            room.sweep.unseal(will_seal=chance.random() < 0.5)
        elif drawn < 0.66:
            room.sweep.is_sealing = True
        elif room.asked:
            self.decide()
        else:
            room.goes_on()

    def decide(self) -> None:
        is_decided = self.chance.random() < 0.95
        count = self.chance.choice([1, 2, 100]) if is_decided else 1
        self.room.decides(count, is_decided, is_told=self.chance.random() < 0.7)
        if self.chance.random() < 0.5:
            self.room.tells()

    def ends(self) -> None:
        """Nothing more is written, all is decided: there is a checkpoint, and it is sound."""
        room = self.room
        room.tells()
        room.decides_all()
        for place, value in list(room.world.items()):
            if value.startswith(b"?"):
                room.writes(place[1], None, place[0])
        room.sweep.is_held = False
        room.sweep.unseal(will_seal=False)
        room.decides_all()
        before = len(room.checkpoints)
        room.wants()
        room.settles(1_000)
        assert len(room.checkpoints) > before
        assert room.store == room.world


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_each_checkpoint_is_what_there_was(seed: int) -> None:
    chaos = Chaos(seed)
    for _ in range(400):
        chaos.step()
    chaos.ends()
