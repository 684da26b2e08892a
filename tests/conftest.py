"""What all tests share: the `needs` marker, the rule that continuous integration skips nothing, and `--compiled`.

    @pytest.mark.needs("redis-server", "libmimalloc.so.2")

A test that needs a program or a shared library which is missing fails with CI=true, and is skipped elsewhere, naming
what is missing. With CI=true any other skip, and any expected failure, is a failure too.
"""

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

# An ordinary user's PATH lacks the sbin directories, where Debian puts servers.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
LIBRARY_PATTERNS = ("lib", "usr/lib", "usr/local/lib", "lib/*-linux-gnu*", "usr/lib/*-linux-gnu*", "lib64", "usr/lib64")


def is_continuous_integration() -> bool:
    """Whether a missing component is a failure."""
    return os.environ.get("CI") == "true"


def is_missing(name: str) -> bool:
    """Whether this machine lacks the program, or the shared library (lib*.so*), of this name."""
    if name.startswith("lib") and ".so" in name:
        return not any(any(Path("/").glob(f"{pattern}/{name}")) for pattern in LIBRARY_PATTERNS)
    return shutil.which(name, path=SEARCH_PATH) is None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--compiled", action="store_true", help="test the compiled build of trusted/ (scripts/setup all)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*names): programs and shared libraries that must be on the machine")
    if config.getoption("--compiled"):
        from quorate import compiled  # here, so that trusted/ is not imported before

        if not compiled.prefer():
            raise pytest.UsageError("there is no compiled build of these sources: run scripts/compile_trusted.py")


def pytest_runtest_setup(item: pytest.Item) -> None:
    names = [name for marker in item.iter_markers("needs") for name in marker.args]
    missing = [name for name in names if is_missing(name)]
    if missing:
        reason = f"not on this machine: {', '.join(missing)} (`make setup` installs what packages.txt lists)"
        if is_continuous_integration():
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if is_continuous_integration() and (report.skipped or hasattr(report, "wasxfail")):
        reason = getattr(report, "wasxfail", None) or report.longrepr
        report.outcome = "failed"
        report.longrepr = f"with CI=true nothing may be skipped or expected to fail: {reason}"
        vars(report).pop("wasxfail", None)  # or the terminal counts it as expected all the same
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if is_continuous_integration() and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"with CI=true nothing may be skipped: {report.longrepr}"
    return report
