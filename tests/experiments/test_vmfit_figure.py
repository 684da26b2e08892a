"""Figure 2 as a picture: that it is one, and that it shows what was seen."""

import importlib.util
from pathlib import Path

import matplotlib.image
import pytest

from quorate.experiments import vmfit_figure
from quorate.experiments.vmfit_figure import FAULT, draw, require_matplotlib
from quorate.trusted.errors import OperatorFault
from tests.experiments.vmfit_runs import made, runs


def colours(path: Path) -> dict[tuple[int, int, int], int]:
    """How many pixels have each colour."""
    found: dict[tuple[int, int, int], int] = {}
    for row in (matplotlib.image.imread(path)[:, :, :3] * 255).round().astype(int).tolist():
        for red, green, blue in row:
            found[red, green, blue] = found.get((red, green, blue), 0) + 1
    return found


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))


def test_the_figure_has_all_panels(tmp_path: Path) -> None:
    draw(runs(), tmp_path / "four.png")
    draw(runs()[:1], tmp_path / "one.png")
    four, one = (matplotlib.image.imread(tmp_path / name).shape for name in ("four.png", "one.png"))
    assert four[1] == one[1]
    assert four[0] > 2 * one[0]


def test_time_without_service_is_seen(tmp_path: Path) -> None:
    draw([made("A", {0.0: 4_000})], tmp_path / "served.png")
    draw([made("A", {0.0: 4_000, 15.0: 0})], tmp_path / "gone.png")
    served, gone = (colours(tmp_path / name)[rgb(FAULT)] for name in ("served.png", "gone.png"))  # type: ignore[index]
    assert gone > served + 1_000


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OperatorFault, match="needs matplotlib") as found:
        require_matplotlib()
    assert "quorate[lab]" in found.value.hint
    with pytest.raises(OperatorFault, match="needs matplotlib"):
        vmfit_figure.draw(runs(), tmp_path / "none.png")
