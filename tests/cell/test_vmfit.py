"""The paper's experiment on a real cell, as short as it can be: what it looks for happens. No speed is asserted."""

from pathlib import Path

import pytest

from quorate.experiments import vmfit_run, vmfit_state
from quorate.experiments.cell import PrivateCell
from quorate.experiments.vmfit_schedule import INTERVAL_SECONDS, Schedule
from quorate.experiments.vmfit_state import Size
from tests.domains.harness import short_directory

# Faster than anybody may ask for: nobody looks at these numbers. Replicas are recovered every two seconds: where faults
# do not keep step with that, some of them live until they are found out.
SHORT, SHORTER = Schedule(140, 1), Schedule(250, 1)
REDIS = ("bwrap", "redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")


@pytest.mark.needs("bwrap")
def test_shadows_hide_malicious_replicas_from_the_client() -> None:
    with short_directory() as directory:
        run = vmfit_run.run("C", SHORT, directory)
    kinds = [event.kind for event in run.events]
    assert kinds.count("fault") == 3
    assert kinds.count("lost") >= 1
    assert kinds.count("rebuilt") >= 6
    assert sum(run.counted.failed) == run.counted.wrong == run.counted.unanswered_ms == 0
    assert sum(run.counted.requests) > 1_000


class Killed(PrivateCell):
    """It is not let drain: it would wait for what is never decided."""

    def stop(self) -> int:
        """Kill it, all of it."""
        self.kill()
        return super().stop()


@pytest.mark.needs("bwrap")
def test_without_recovery_the_second_fault_ends_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vmfit_run, "PrivateCell", Killed)
    with short_directory() as directory:
        run = vmfit_run.run("A", SHORTER, directory)
    first, second, *_ = (event.at for event in run.events if event.kind == "fault")
    assert run.worst_rtt_ms is None
    assert run.throughput(first, second) > 0
    assert run.throughput(second + INTERVAL_SECONDS / 2, SHORTER.seconds) == 0
    assert {event.replica for event in run.events if event.kind == "lost"} == {"a"}
    assert [event.kind for event in run.events if event.kind == "rebuilt"] == []


@pytest.mark.needs(*REDIS)
def test_state_is_transferred_under_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vmfit_state, "QUIET_SECONDS", 0.25)
    told: list[str] = []
    with short_directory() as directory:
        found = vmfit_state.measure(Size("small", 500), 1, 3.0, Path(directory), told.append)
    assert (found["failed"], found["wrong"]) == (0, 0)
    assert found["conviction_to_voting_seconds"] > 0
    assert found["rejuvenation_seconds"] > 0
    assert found["worst_rtt_ms"] > 0 < found["baseline_worst_rtt_ms"]
    assert 0 <= found["undisturbed"]["share"] <= 1
    assert (found["journal"], found["domain"]) == ("off", "sandbox")
    assert found["seconds"] >= 3.0
    assert len(told) == 2 + found["recoveries"]
