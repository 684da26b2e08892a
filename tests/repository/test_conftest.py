"""The rules of tests/conftest.py: what is missing is skipped with its reason, and fails in continuous integration."""

from pathlib import Path

import pytest

PLUGIN = Path(__file__).resolve().parents[1] / "conftest.py"
MISSING = """
import pytest

@pytest.mark.needs("a-program-that-nobody-has")
def test_program(): pass

@pytest.mark.needs("libnobodyhasthis.so.1")
def test_library(): pass
"""
PRESENT = """
import pytest

@pytest.mark.needs("sh", "libc.so.6")
def test_it(): pass
"""
SKIPPED = """
import pytest

def test_skip(): pytest.skip("why not")

@pytest.mark.skip(reason="never")
def test_never(): pass

@pytest.mark.xfail(strict=True)
def test_expected(): assert False

@pytest.mark.xfail(strict=False)
def test_unexpected(): pass

@pytest.mark.parametrize("nothing", [])
def test_empty(nothing): pass

def test_passes(): pass
"""
MODULE_SKIPPED = """
import pytest

pytest.skip("all of it", allow_module_level=True)
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """An empty project with our conftest."""
    pytester.makeconftest(PLUGIN.read_text())
    return pytester


def set_ci(monkeypatch: pytest.MonkeyPatch, value: bool) -> None:
    if value:
        monkeypatch.setenv("CI", "true")
    else:
        monkeypatch.delenv("CI", raising=False)


@pytest.mark.parametrize(("in_ci", "outcome"), [(False, "skipped"), (True, "errors")])
def test_a_missing_component(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, in_ci: bool, outcome: str
) -> None:
    set_ci(monkeypatch, in_ci)
    project.makepyfile(MISSING)
    result = project.runpytest("-rA")
    result.assert_outcomes(**{outcome: 2})
    result.stdout.fnmatch_lines(["*not on this machine: a-program-that-nobody-has*"])
    assert bool(result.ret) == in_ci


@pytest.mark.parametrize("in_ci", [False, True])
def test_a_present_component(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, in_ci: bool) -> None:
    set_ci(monkeypatch, in_ci)
    project.makepyfile(PRESENT)
    project.runpytest().assert_outcomes(passed=1)


def test_skips_are_quiet_elsewhere(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    set_ci(monkeypatch, False)
    project.makepyfile(SKIPPED)
    project.runpytest().assert_outcomes(passed=1, skipped=3, xfailed=1, xpassed=1)


def test_every_skip_and_expected_failure_is_red_in_continuous_integration(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_ci(monkeypatch, True)
    project.makepyfile(SKIPPED)
    result = project.runpytest("-rA")
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 5
    assert not {"skipped", "xfailed", "xpassed"} & set(outcomes)
    assert outcomes["passed"] == 1


def test_a_skipped_module_is_red_in_continuous_integration(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_ci(monkeypatch, True)
    project.makepyfile(MODULE_SKIPPED)
    assert project.runpytest().ret != 0
