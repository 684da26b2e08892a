"""scripts/install_packages leaves nothing behind but packages; scripts/setup says what to run where it may not install.

apt and its neighbours are stand-ins that record how they were called; a real installation is what `make setup` on a
fresh machine is for.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.repository.sources import ROOT

INSTALL = ROOT / "scripts" / "install_packages"
APT = """#!/bin/sh
echo "$@" >>"$RECORD/calls"
cp "$POLICY_RC_D" "$RECORD/policy-during"
exit "${APT_FAILS:-0}"
"""
QUIET = "#!/bin/sh\nexit 0\n"
REFUSING = "#!/bin/sh\nexit 1\n"
ORDINARY_USER = "#!/bin/sh\necho 1000\n"


def stand_in(directory: Path, name: str, script: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(script)
    (directory / name).chmod(0o755)


def install(place: Path, fails: int = 0) -> int:
    """Run install_packages with apt stood in for, and policy-rc.d at `place / "policy"`; returns its exit code."""
    stand_in(place / "bin", "apt-get", APT)
    stand_in(place / "bin", "dpkg-query", QUIET)
    environment = {
        "PATH": f"{place / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
        "POLICY_RC_D": str(place / "policy"),
        "RECORD": str(place),
        "APT_FAILS": str(fails),
    }
    return subprocess.run([str(INSTALL), "some-package"], env=environment, capture_output=True, check=False).returncode


def what_lies_beside(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir() if path.name.startswith("policy") and "during" not in path.name)


@pytest.mark.parametrize("fails", [0, 100])
def test_no_service_starts_while_packages_are_installed(tmp_path: Path, fails: int) -> None:
    assert install(tmp_path, fails) == fails
    assert "exit 101" in (tmp_path / "policy-during").read_text()
    assert what_lies_beside(tmp_path) == []


@pytest.mark.parametrize("fails", [0, 100])
def test_an_existing_policy_comes_back_exactly(tmp_path: Path, fails: int) -> None:
    policy = tmp_path / "policy"
    policy.write_text("#!/bin/sh\nexit 104\n")
    policy.chmod(0o710)
    before = policy.stat()
    assert install(tmp_path, fails) == fails
    after = policy.stat()
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)
    assert "exit 101" in (tmp_path / "policy-during").read_text()
    assert what_lies_beside(tmp_path) == ["policy"]


def test_a_policy_that_is_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "policy").symlink_to("nowhere")
    install(tmp_path)
    assert (tmp_path / "policy").readlink() == Path("nowhere")


def test_what_a_killed_run_left_is_put_right(tmp_path: Path) -> None:
    install(tmp_path)
    shutil.copy(tmp_path / "policy-during", tmp_path / "policy")
    (tmp_path / "policy.kept-by-quorate").write_text("theirs")
    install(tmp_path)
    assert (tmp_path / "policy").read_text() == "theirs"
    assert what_lies_beside(tmp_path) == ["policy"]


def test_the_package_lists_are_fetched_before_packages(tmp_path: Path) -> None:
    install(tmp_path)
    update, packages = (tmp_path / "calls").read_text().splitlines()
    assert update.startswith("update")
    assert packages.startswith("install --yes --no-install-recommends")
    assert packages.endswith("some-package")


def test_setup_prints_the_one_command_where_it_may_not_install(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "project" / "scripts")
    project = tmp_path / "project"
    (project / "packages.txt").write_text("some-package | demo | a-program-that-nobody-has | for this test\n")
    stand_in(tmp_path / "bin", "id", ORDINARY_USER)
    stand_in(tmp_path / "bin", "sudo", REFUSING)
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    script = str(project / "scripts" / "setup")
    run = subprocess.run([script, "demo"], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stdout == f"sudo {project}/scripts/install_packages some-package \n"
    assert "some-package" in run.stderr
    assert not (project / ".venv").exists()
