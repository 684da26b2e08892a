"""The command line of bubblewrap: what a sandbox's file system and namespaces are made of.

Pure: from a recipe to a list of options. It touches the disk only to see how the host lays out /usr (`system_mounts`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quorate.trusted.errors import OperatorFault

from .port import Recipe

# The service's {directory}, and the bounds of what it may write: all of it in memory, charged to its own group.
PRIVATE = "/run/quorate"
PRIVATE_BYTES_MAX = 64 * 1024 * 1024
TMP_BYTES_MAX = 64 * 1024 * 1024
SHARED_BYTES_MAX = 16 * 1024 * 1024
SKELETON_BYTES_MAX = 64 * 1024

# The user and host that every replica believes in, the same in all, so that no reply can depend on them.
INNER_UID = 1000
INNER_HOST = "replica"

DEVICES = ("null", "zero", "full", "random", "urandom")
MADE_HERE = ("dev", "proc", "run", "sys", "tmp")


@dataclass(frozen=True, slots=True)
class Mount:
    """A host file or directory, and where the service sees it, read-only."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link of the sandbox's root."""

    text: str
    target: str


def entries(root: Path) -> Iterator[Mount | Link]:
    """The top of a file system at `root`, entry by entry, so that the sandbox's own directories can lie beside it."""
    for entry in sorted(root.iterdir()):
        if entry.name in MADE_HERE:
            continue
        if entry.is_symlink():
            yield Link(str(entry.readlink()), f"/{entry.name}")
        else:
            yield Mount(str(entry), f"/{entry.name}")


def system_mounts() -> Iterator[Mount | Link]:
    """The root that services share without a root of their own: the host's programs and libraries, nothing else."""
    yield Mount("/usr", "/usr")
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = Path("/", name)
        if path.is_symlink():
            yield Link(str(path.readlink()), str(path))
        elif path.exists():
            yield Mount(str(path), str(path))
    if Path("/etc/ld.so.cache").exists():
        yield Mount("/etc/ld.so.cache", "/etc/ld.so.cache")


def readable_mounts(recipe: Recipe) -> Iterator[Mount]:
    """What the recipe wants to be readable, at the same path. Raises `OperatorFault` for what cannot be."""
    for path in recipe.readable:
        if not path.is_absolute() or path == Path("/") or path.parts[1] in ("proc", "sys", "dev"):
            raise OperatorFault(
                f"replica {recipe.replica}: {path} cannot be made readable in a sandbox",
                "name absolute paths of single programs and libraries",
            )
        if recipe.root is None and path.is_relative_to("/usr"):
            continue
        yield Mount(str(path), str(path))


def namespaces() -> list[str]:
    """What the service is cut off from."""
    apart = ["user", "pid", "net", "ipc", "uts"]
    identity = ["--uid", str(INNER_UID), "--gid", str(INNER_UID), "--hostname", INNER_HOST]
    return [*(f"--unshare-{name}" for name in apart), "--unshare-cgroup-try", *identity]


def file_system(mounts: Sequence[Mount | Link]) -> list[str]:
    """The root: `mounts` in it read-only, and three writable directories of bounded size."""
    options: list[str] = []
    for mount in mounts:
        match mount:
            case Link(text, target):
                options += ["--symlink", text, target]
            case Mount(source, target) if target.count("/") == 1:
                options += ["--ro-bind", source, target]
    options += ["--proc", "/proc", *_memory("/dev", SKELETON_BYTES_MAX, "0755")]
    for name in DEVICES:
        options += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    options += ["--symlink", "/proc/self/fd", "/dev/fd"]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        options += ["--symlink", f"/proc/self/fd/{number}", f"/dev/{name}"]
    options += _memory("/dev/shm", SHARED_BYTES_MAX, "1777")  # noqa: S108 - it is made here, by us
    options += _memory("/tmp", TMP_BYTES_MAX, "1777")  # noqa: S108 - it is made here, by us
    options += _memory("/run", SKELETON_BYTES_MAX, "0755")
    options += _memory(PRIVATE, PRIVATE_BYTES_MAX, "0700")
    for mount in mounts:
        # Deeper ones may lie in one of those directories, so they come after them.
        if isinstance(mount, Mount) and mount.target.count("/") > 1:
            options += ["--ro-bind", mount.source, mount.target]
    return [*options, "--remount-ro", "/dev", "--remount-ro", "/run", "--remount-ro", "/"]


def _memory(target: str, size_bytes: int, permissions: str) -> list[str]:
    return ["--perms", permissions, "--size", str(size_bytes), "--tmpfs", target]


def options(mounts: Sequence[Mount | Link], env: dict[str, str]) -> list[str]:
    """Everything before the program, but the descriptors of the run."""
    setting = [word for name, value in env.items() for word in ("--setenv", name, value)]
    ending = ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--chdir", PRIVATE, "--clearenv"]
    return [*namespaces(), *file_system(mounts), *ending, *setting]
