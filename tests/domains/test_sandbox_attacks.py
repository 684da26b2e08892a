"""Promise 6, no way out: a service that really tries reaches nothing (attack.py), whoever runs the coordinator."""

import json
import platform
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from quorate.domains.interpreter import interpreter, readable
from tests.domains.harness import as_ordinary_user, coordinator, short_directory

HERE = Path(__file__).parent
SECRET = "a secret of the host"
PARAMETERS = ("HOME", "LC_ALL", "PATH", "TZ")

# What an ordinary process reaches, and may be let try on any machine.
HARMLESS = ("host loopback", "abstract socket", "netlink", "read a secret", "see a host process", "personality")


@contextmanager
def host_to_attack() -> Iterator[tuple[int, str, int, Path]]:
    """A TCP server, an abstract socket, a process and a file, each of which a way out would reach."""
    name = f"quorate-test-{secrets.token_hex(8)}"
    with (
        subprocess.Popen(["cat"], stdin=subprocess.PIPE) as bystander,
        short_directory() as directory,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        secret = directory / "secret"
        secret.write_text(SECRET)
        secret.chmod(0o666)
        abstract.bind(f"\0{name}")
        abstract.listen()
        yield server.getsockname()[1], name, bystander.pid, secret
        assert secret.read_text() == SECRET
        assert bystander.poll() is None, "the sandbox killed a process of the host"


def recipe(target: tuple[int, str, int, Path], paths: list[str], program: str, attack: Path, *only: str) -> str:
    port, name, pid, secret = target
    arguments = [str(attack), "{socket}", str(port), name, str(pid), str(secret), *only]
    fields = {"replica": "a", "variant": "attack", "program": program, "args": arguments}
    return json.dumps(fields | {"readable": [*paths, str(attack)], "memory_bytes_max": 512 << 20})


def report_of(command: list[str]) -> dict[str, Any]:
    keeper = coordinator(command)
    output, _ = keeper.communicate("\n", timeout=100)
    assert keeper.returncode == 0
    report, ended = map(json.loads, output.splitlines())
    assert (ended["code"], ended["left"]) == (-9, []), ended["console"]
    found: dict[str, Any] = json.loads(report["answer"])
    return found


@pytest.fixture(scope="module", params=["our user", "ordinary user"])
def report(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    with host_to_attack() as target, short_directory() as directory:
        attack = directory / "attack.py"
        attack.write_text((HERE / "attack.py").read_text())
        domain = directory / "domain"
        if request.param == "our user":
            what = recipe(target, list(map(str, readable())), interpreter(), attack)
            command = [interpreter(), str(HERE / "keeper.py"), "sandbox", str(domain), what]
        else:
            what = recipe(target, [], "/usr/bin/python3", attack)
            command = as_ordinary_user(directory, HERE / "keeper.py", "sandbox", str(domain), what)
        yield report_of(command)


pytestmark = pytest.mark.needs("bwrap", "setpriv", "libseccomp.so.2")


def test_no_attempt_reaches_anything(report: dict[str, Any]) -> None:
    reached = {name: outcome for name, outcome in report["tries"].items() if not outcome.startswith("refused")}
    assert reached == {}


def test_the_same_attempts_reach_the_host_from_a_process_domain() -> None:
    """Or else they would prove nothing."""
    with host_to_attack() as target, short_directory() as directory:
        what = recipe(target, [], interpreter(), HERE / "attack.py", *HARMLESS)
        command = [interpreter(), str(HERE / "keeper.py"), "process", str(directory / "domain"), what]
        tries = report_of(command)["tries"]
    assert tries.keys() == set(HARMLESS) if platform.machine() == "x86_64" else tries
    assert [outcome for outcome in tries.values() if not outcome.startswith("reached")] == []


def test_addresses_are_unreachable_rather_than_refused_by_a_peer(report: dict[str, Any]) -> None:
    for name in ("private address", "public address", "link local", "public address 6"):
        assert report["tries"][name] in ("refused: ENETUNREACH", "refused: EADDRNOTAVAIL")


def test_sockets_of_other_families_do_not_exist(report: dict[str, Any]) -> None:
    for name in ("vsock", "netlink", "packet", "alg", "tipc pair"):
        assert report["tries"][name] == "refused: EAFNOSUPPORT"


def test_foreign_architectures_are_killed(report: dict[str, Any]) -> None:
    assert [report.get("i386", "refused: killed"), report.get("x32", "refused: killed")] == ["refused: killed"] * 2


def test_nothing_of_the_host_is_inherited(report: dict[str, Any]) -> None:
    facts = report["facts"]
    assert facts["descriptors"][:3] == [0, 1, 2]
    assert len(facts["descriptors"]) == 4  # the fourth is the directory that is being listed
    assert tuple(sorted(set(facts["environment"]) - {"PWD", "LC_CTYPE"})) == PARAMETERS
    assert facts["environment"]["HOME"] == "/run/quorate"


def test_no_other_process_is_visible(report: dict[str, Any]) -> None:
    assert len(report["facts"]["processes"]) == 2  # the service, and bubblewrap as its init
    assert "bwrap" in report["facts"]["processes"]


def test_its_init_tells_no_path_of_the_host(report: dict[str, Any]) -> None:
    assert report["facts"]["init"][1] == "--args"
    assert report["facts"]["environment of its init"] in ("reached: b''", "refused: EACCES", "refused: EPERM")


def test_no_privilege_is_left(report: dict[str, Any]) -> None:
    facts = report["facts"]
    assert set(facts["capabilities"]) == {"0000000000000000"}
    assert (facts["no new privileges"], facts["seccomp"], facts["user"]) == ("1", "2", 1000)
    assert (facts["hostname"], facts["terminal"], facts["interfaces"]) == ("replica", False, ["lo"])
