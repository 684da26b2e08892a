"""What the doctor says of this machine is true, and every missing piece is named with its cost."""

from dataclasses import replace
from pathlib import Path

import pytest

from quorate.domains import cgroup, probe, syscalls
from quorate.domains.interpreter import interpreter, readable


@pytest.mark.needs("bwrap", "libseccomp.so.2")
def test_this_machine_can_make_sandboxes() -> None:
    found = probe.probe()
    assert found.bubblewrap is not None
    assert found.bubblewrap_version[0].isdigit()
    assert (found.user_namespaces, found.seccomp, found.why_no_sandbox) == (True, True, "")
    assert found.controllers.keys() == cgroup.places().keys()
    assert {finding.name: finding.good for finding in found.findings()}["bubblewrap"]


@pytest.mark.needs("bwrap")
def test_every_missing_piece_says_what_it_costs_and_what_to_do() -> None:
    nothing = replace(
        probe.probe(),
        bubblewrap=None,
        user_namespaces=False,
        why_no_sandbox="it was refused",
        controllers={},
        seccomp=False,
        memory_bytes=1,
        cpus=1,
    )
    findings = nothing.findings()
    assert not any(finding.good for finding in findings)
    assert all(finding.found and finding.costs for finding in findings)
    assert all(finding.hint for finding in findings if finding.name != "user namespaces")
    assert len({finding.name for finding in findings}) == len(findings)


def test_a_machine_without_bubblewrap_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = probe.probe() if cgroup.places() is not None else None
    assert found is not None
    assert (found.bubblewrap, found.user_namespaces) == (None, False)


def test_switches_that_forbid_user_namespaces_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed, forbidden = tmp_path / "allowed", tmp_path / "forbidden"
    allowed.write_text("1\n")
    forbidden.write_text("0\n")
    switches = [(str(path), "0", f"open {path.name}") for path in (tmp_path / "missing", allowed, forbidden)]
    monkeypatch.setattr(probe, "USER_NAMESPACE_SWITCHES", switches[:2])
    assert probe.user_namespaces_hint() == ""
    monkeypatch.setattr(probe, "USER_NAMESPACE_SWITCHES", switches)
    assert "open forbidden" in probe.user_namespaces_hint()


@pytest.mark.needs("libseccomp.so.2")
def test_the_filter_is_a_program_of_whole_instructions() -> None:
    assert len(syscalls.program()) % 8 == 0
    assert len(syscalls.program()) > 80 * 8


def test_the_interpreter_needs_no_directory_twice() -> None:
    paths = readable()
    assert Path(interpreter()).exists()
    assert all(path.is_absolute() for path in paths)
    assert not [one for one in paths for other in paths if one != other and one.is_relative_to(other)]
