"""What the sandbox promises beyond every domain: its bounds in force, its roots, its refusals, its allocators."""

import os
import shutil
import signal
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from quorate.domains import cgroup, probe, syscalls
from quorate.domains.port import Domain, Recipe
from quorate.domains.sandbox import SandboxDomain
from quorate.trusted.errors import OperatorFault
from tests.domains.harness import LISTENER, asked, pid_of, python, redis, run, text_of, traces
from tests.domains.harness import short_directory as make_short_directory

pytestmark = pytest.mark.needs("bwrap", "libseccomp.so.2")

MIB = 1 << 20
ALLOCATION = ("malloc", "free", "calloc", "realloc", "malloc_usable_size")
NOWHERE = "/no-such-program"
GREEDY = """
try:
    held = [bytearray(1 << 20) for _ in range(1024)]
except MemoryError:
    import os
    os._exit(77)
"""
FORKING = """
import os, signal
born = []
try:
    while len(born) < 1000:
        pid = os.fork()
        if pid == 0:
            signal.pause()
        born.append(pid)
except OSError as error:
    print("born", len(born), flush=True)
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    with make_short_directory() as short:
        yield short


def sandbox(recipe: Recipe, directory: Path) -> SandboxDomain:
    return SandboxDomain(recipe, directory / "domain", 60_801 if os.geteuid() == 0 else None)


def bindings(domain: Domain) -> dict[str, str]:
    """Which object each symbol of the service's own program was bound to, by the dynamic linker's account."""
    private = Path("/proc", str(pid_of(domain)), "root", "run", "quorate")
    found = {}
    for line in text_of(next(private.glob("bindings.*"))).splitlines():
        before, _, symbol = line.partition("normal symbol `")
        if "binding file redis-server [0] to " in before:
            found[symbol.split("'")[0]] = before.split(" to ")[1].split(" [")[0]
    return found


def allocator_in_use(domain: Domain) -> str:
    """The one object that all of the service's allocations go to; fails when there are several."""
    bound = bindings(domain)
    objects = {Path(bound[name]).name for name in ALLOCATION}
    assert len(objects) == 1, f"allocations go to several objects: {objects}"
    return objects.pop()


@pytest.mark.needs("redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
@pytest.mark.parametrize(
    "name", ["libjemalloc.so.2", "libmimalloc.so.2", "libtcmalloc_minimal.so.4", "libc_malloc_debug.so.0"]
)
def test_malloc_resolves_to_the_preload(name: str, directory: Path) -> None:
    """Mapped is not used: Debian's Redis links its own allocator, which stays mapped beside the preloaded one."""
    library = next(Path("/usr/lib").glob(f"*/{name}"))
    env = {"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": "/run/quorate/bindings", "LD_BIND_NOW": "1"}
    preload = () if name == "libjemalloc.so.2" else (str(library),)

    async def main() -> None:
        domain = sandbox(redis(preload=preload, env=env, memory_bytes_max=256 * MIB), directory)
        await domain.start()
        assert await asked(domain, b"PING\r\n", b"\r\n") == b"+PONG\r\n"
        assert allocator_in_use(domain) == name
        assert "libjemalloc" in text_of(f"/proc/{pid_of(domain)}/maps")
        await domain.kill()

    run(main())


def test_memory_over_the_bound_ends_the_service(directory: Path) -> None:
    async def main() -> None:
        domain = sandbox(python(GREEDY, memory_bytes_max=96 * MIB), directory)
        await domain.start()
        code = (await domain.ended()).code
        assert code == (-signal.SIGKILL if "memory" in cgroup.places() else 77), domain.guarantees
        await domain.kill()

    run(main())
    assert traces() == []


def test_processes_over_the_bound_are_not_made(directory: Path) -> None:
    async def main() -> None:
        domain = sandbox(python(FORKING + LISTENER, "{socket}", processes_max=40), directory)
        await domain.start()
        assert await asked(domain, b"", b"") == b"hello"
        ended = await domain.kill()
        assert 20 <= int(ended.console.split()[1]) <= 40

    run(main())


def test_guarantees_name_what_is_in_force(directory: Path) -> None:
    bounded = sandbox(redis(memory_bytes_max=7 * MIB), directory).guarantees
    assert str(7 * MIB) in bounded["memory"]
    assert ("(cgroup" in bounded["memory"]) == ("memory" in cgroup.places())
    assert "not bounded" in sandbox(redis(), directory).guarantees["memory"]
    assert bounded.keys() == {"user", "memory", "processes", "cpu", "files", "network", "syscalls"}


def test_guarantees_admit_that_no_group_is_writable(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "places", dict)
    guarantees = sandbox(redis(memory_bytes_max=MIB), directory).guarantees
    assert "rlimit" in guarantees["memory"]
    assert "rlimit" in guarantees["processes"]
    assert "not bounded" in guarantees["cpu"]


def test_bounds_hold_without_groups(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "places", dict)
    test_memory_over_the_bound_ends_the_service(directory)
    test_processes_over_the_bound_are_not_made(directory)


@pytest.mark.needs("redis-server", "libmimalloc.so.2", "libtcmalloc_minimal.so.4")
@pytest.mark.parametrize("name", ["libmimalloc.so.2", "libtcmalloc_minimal.so.4", "libc_malloc_debug.so.0"])
def test_allocators_live_with_the_bound_on_data(name: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without groups memory is bounded by RLIMIT_DATA, and some allocators reserve far more than they use."""
    monkeypatch.setattr(cgroup, "places", dict)

    library = str(next(Path("/usr/lib").glob(f"*/{name}")))

    async def main() -> None:
        domain = sandbox(redis(preload=(library,), memory_bytes_max=256 * MIB), directory)
        await domain.start()
        value = b"SET k " + b"x" * 30_000 + b"\r\n"
        assert await asked(domain, value, b"\r\n") == b"+OK\r\n"
        await domain.kill()

    run(main())


def test_what_only_the_coordinator_can_reach_is_readable_when_named(directory: Path) -> None:
    """As root's own interpreter is: under a directory that no other user may traverse."""
    closed = directory / "closed"
    (closed / "open").mkdir(parents=True)
    (closed / "open" / "file").write_text("seen")
    (closed / "hidden").write_text("not seen")
    closed.chmod(stat.S_IRWXU)
    code = LISTENER.replace('b"hello"', "open(sys.argv[2], 'rb').read() + repr(os.listdir(sys.argv[3])).encode()")

    async def main() -> None:
        recipe = python("import os\n" + code, "{socket}", str(closed / "open" / "file"), str(closed))
        wider = (*recipe.readable, closed / "open")
        domain = sandbox(replace(recipe, readable=wider), directory)
        await domain.start()
        assert await asked(domain, b"", b"") == b"seen['open']"
        await domain.kill()

    run(main())


def test_what_cannot_be_readable_is_refused(directory: Path) -> None:
    for path in (Path("/"), Path("/proc/1"), Path("relative"), directory / "missing"):
        with pytest.raises(OperatorFault, match=path.name or "/"):
            run(sandbox(redis(readable=(path,)), directory).start())
    assert traces() == []


@pytest.mark.needs("redis-server")
def test_a_root_of_its_own_replaces_the_hosts(directory: Path) -> None:
    root = directory / "root"

    async def mapped() -> str:
        """What a running Redis has mapped is all that another one needs."""
        domain = sandbox(redis(), directory)
        await domain.start()
        await asked(domain, b"PING\r\n", b"\r\n")
        maps = text_of(f"/proc/{pid_of(domain)}/maps")
        await domain.kill()
        return maps

    for path in {Path(line.split()[5]) for line in run(mapped()).splitlines() if " /usr/" in line}:
        copy(path.parent.glob(f"{path.name.split('.so')[0]}.so*" if ".so" in path.name else "redis-server"), root)
    copy(Path("/usr").glob("lib*/ld-linux*"), root)
    program = str(Path("/", next(iter(root.glob("usr/*bin/redis-server"))).relative_to(root)))
    (root / "lib64").symlink_to("usr/lib64")
    (root / "lib").symlink_to("usr/lib")
    (root / "etc").mkdir()

    def check_root(inside: Path) -> None:
        assert not (inside / "usr" / "share").exists()
        expected = {entry.name for entry in root.iterdir()} | {"dev", "proc", "run", "tmp"}
        assert {entry.name for entry in inside.iterdir()} == expected

    async def main() -> None:
        domain = sandbox(redis(program=program, root=root), directory)
        await domain.start()
        assert await asked(domain, b"PING\r\n", b"\r\n") == b"+PONG\r\n"
        check_root(Path(f"/proc/{pid_of(domain)}/root"))
        await domain.hog()  # which needs programs that this root has not
        await domain.kill()

    run(main())


def copy(files: Iterable[Path], root: Path) -> None:
    for file in files:
        target = root / file.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)


def test_a_root_that_does_not_exist_is_refused(directory: Path) -> None:
    with pytest.raises(OperatorFault, match="root"):
        run(sandbox(redis(root=directory / "missing"), directory).start())
    assert traces() == []


def test_a_service_that_dies_in_its_sandbox_at_once_is_told_from_one_that_never_started(directory: Path) -> None:
    with pytest.raises(OperatorFault, match="no-such-program") as refused:
        run(sandbox(redis(program=NOWHERE), directory).start())
    assert "options: --unshare-user" in str(refused.value)


def test_missing_bubblewrap_is_an_error_with_the_install_command(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(directory))
    with pytest.raises(OperatorFault, match="bubblewrap") as refused:
        run(sandbox(redis(), directory).start())
    assert refused.value.hint == "apt-get install bubblewrap"


def test_missing_libseccomp_is_an_error_with_the_install_command(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise RuntimeError("Unable to find libseccomp")

    syscalls.program.cache_clear()
    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(OperatorFault, match="libseccomp") as refused:
        run(sandbox(redis(), directory).start())
    assert refused.value.hint == "apt-get install libseccomp2"
    assert traces() == []


def test_disabled_user_namespaces_are_an_error_that_says_how_to_enable_them(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = directory / "switch"
    switch.write_text("0\n")
    monkeypatch.setattr(probe, "USER_NAMESPACE_SWITCHES", ((str(switch), "0", "sysctl user.namespaces=1"),))
    with make_short_directory("/var/tmp") as programs:
        bubblewrap = programs / "bwrap"
        bubblewrap.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
        bubblewrap.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        with pytest.raises(OperatorFault, match="No permissions to create new namespace") as refused:
            run(sandbox(redis(), directory).start())
    assert "exit code 1" in str(refused.value)
    assert "sysctl user.namespaces=1" in refused.value.hint


def test_root_gives_every_sandbox_a_user(directory: Path) -> None:
    wrong = None if os.geteuid() == 0 else 60_801
    with pytest.raises(OperatorFault, match="unprivileged user"):
        SandboxDomain(redis(), directory, wrong)
    with pytest.raises(OperatorFault, match="unprivileged user"):
        SandboxDomain(redis(), directory, 0)


def test_the_host_sees_the_service_as_its_own_user(directory: Path) -> None:
    async def main() -> None:
        domain = sandbox(python(LISTENER, "{socket}"), directory)
        await domain.start()
        status = text_of(f"/proc/{pid_of(domain)}/status")
        user = 60_801 if os.geteuid() == 0 else os.geteuid()
        assert f"Uid:\t{user}\t{user}\t{user}\t{user}" in status
        assert "Groups:\t \n" in status or os.geteuid() != 0
        await domain.kill()

    run(main())
