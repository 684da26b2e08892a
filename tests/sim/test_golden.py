"""The golden traces still tell the truth."""

from pathlib import Path

import pytest

from tests.sim.golden import replayed, traces


@pytest.mark.parametrize("path", traces(), ids=lambda path: path.stem)
def test_the_trace_is_what_happens(path: Path) -> None:
    text = path.read_text()
    assert replayed(text) == text, "if this is meant: python -m tests.sim.golden --rewrite, and read the difference"


def test_there_are_traces() -> None:
    assert len(traces()) >= 10
