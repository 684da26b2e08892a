"""Where state and running cells live."""

import os
from pathlib import Path

from quorate.directories import SOCKET_PATH_BYTES_MAX, runtime_directories, state_home


def test_state_home_follows_xdg() -> None:
    assert state_home({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/quorate")
    assert state_home({"XDG_STATE_HOME": "relative", "HOME": "/h"}) == Path("/h/.local/state/quorate")
    assert state_home({"HOME": "/h"}) == Path("/h/.local/state/quorate")
    assert state_home({}).is_absolute()


def test_runtime_directories_begin_with_xdg_and_end_in_tmp(tmp_path: Path) -> None:
    short = Path(f"/tmp/quorate-{os.getuid()}")
    assert runtime_directories({"XDG_RUNTIME_DIR": "/tmp/.."})[-1] == short
    assert runtime_directories({"XDG_RUNTIME_DIR": "relative"})[-1] == short
    assert short == runtime_directories({})[-1]
    assert Path("/absent/quorate") not in runtime_directories({"XDG_RUNTIME_DIR": "/absent"})


def test_a_directory_too_deep_for_a_socket_is_passed_over(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * SOCKET_PATH_BYTES_MAX)
    deep.mkdir()
    assert deep / "quorate" not in runtime_directories({"XDG_RUNTIME_DIR": str(deep)})
