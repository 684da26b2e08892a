"""A coordinator that is killed leaves no service running: by root and by an ordinary user, in each kind of domain."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.domains import cgroup
from quorate.domains.interpreter import interpreter
from tests.domains.harness import LISTENER, WAIT_SECONDS_MAX, as_ordinary_user, coordinator, is_gone
from tests.domains.harness import short_directory as make_short_directory

pytestmark = pytest.mark.needs("bwrap", "setpriv", "libseccomp.so.2")

KEEPER = Path(__file__).with_name("keeper.py")


@pytest.fixture
def directory() -> Iterator[Path]:
    with make_short_directory() as short:
        yield short


@pytest.mark.parametrize("user", ["our user", "ordinary user"])
@pytest.mark.parametrize("kind", ["process", "sandbox"])
def test_killing_the_coordinator_ends_its_domains(kind: str, user: str, directory: Path) -> None:
    # It ignores what can be ignored, and is closed to inspection (PR_SET_DUMPABLE): lanes reach it all the same.
    ignore = "import ctypes, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    hardened = ignore + "ctypes.CDLL(None).prctl(4, 0)\n"
    fields = {
        "replica": "a",
        "variant": "v",
        "program": "/usr/bin/python3",
        "args": ["-c", hardened + LISTENER, "{socket}"],
    }
    home = directory / "home"
    home.mkdir()
    home.chmod(0o777)
    arguments = (kind, str(home / "domain"), json.dumps(fields))
    if user == "our user":
        command = [interpreter(), str(KEEPER), *arguments]
    else:
        command = as_ordinary_user(directory, KEEPER, *arguments)
    with coordinator(command) as keeper:
        assert keeper.stdout is not None
        report = json.loads(keeper.stdout.readline())
        assert report["answer"] == "hello"
        assert report["pid"] in report["processes"]
        assert len(report["processes"]) > len(os.sched_getaffinity(0))
        keeper.kill()
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while left := [pid for pid in report["processes"] if not is_gone(pid)]:
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.01)
    for place in cgroup.places().values():
        cgroup.remove_stale(place.directory)
        assert list(place.directory.glob(f"quorate-{keeper.pid}-*")) == []
