"""How single values of a configuration are read: names, addresses, sizes, paths, programs, shared objects.

Knows the file system, as far as asking whether something exists, and nothing of sections or of how they relate.
Every refusal is a `PydanticCustomError` of type "refused", which carries a hint for the operator.
"""

import ipaddress
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationInfo
from pydantic_core import ErrorDetails, PydanticCustomError

NAME_PATTERN = re.compile(r"[a-z0-9-]{1,32}")
DIGEST_PATTERN = re.compile(r"[0-9a-f]{40}")
ENVIRONMENT_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DURATION_PATTERN = re.compile(r"(\d{1,9}) ?(ms|s|m|h|d)")
SIZE_PATTERN = re.compile(r"(\d{1,15}) ?([KMGT]?i?B)")
PLACEHOLDER_PATTERN = re.compile(r"\{([a-z_]+)\}")
INTERPRETER_PLACEHOLDER = "{python}"
PLACEHOLDERS = ("socket", "directory")
MEMORY_BYTES_MIN = 1_048_576
SLOTS_MAX = 10**12

SIZE_UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}

DURATION_UNITS_NS = {
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3_600 * 10**9,
    "d": 86_400 * 10**9,
}
DURATION_NS_MIN = DURATION_UNITS_NS["ms"] * 100
DURATION_NS_MAX = DURATION_UNITS_NS["d"] * 365

# What Debian calls the packages of the programs and libraries that the examples use.
PACKAGES = {
    "redis-server": "redis-server",
    "libmimalloc.so.2": "libmimalloc2.0",
    "libtcmalloc_minimal.so.4": "libtcmalloc-minimal4",
    "libjemalloc.so.2": "libjemalloc2",
    "libc_malloc_debug.so.0": "libc6",
}

# What pydantic finds wrong with a value's shape, in our words: message and hint.
SHAPES = {
    "string_type": ("must be a string", "write it in double quotes"),
    "int_type": ("must be an integer", "write it without quotes and without a point"),
    "bool_type": ("must be true or false", "write it without quotes"),
    "tuple_type": ("must be a list", 'write it in brackets: ["first", "next"]'),
    "dict_type": ("must be a table of names and strings", 'write it in braces: { NAME = "value" }'),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a configuration comes from: its file's directory, to which paths are relative, and the environment."""

    directory: Path
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address to listen on. Port 0 lets the kernel choose."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address. A name other than `localhost` may lead anywhere."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Duration:
    """How long something takes or how often it happens, in nanoseconds."""

    ns: int

    def __str__(self) -> str:
        for unit in reversed(DURATION_UNITS_NS):
            count, rest = divmod(self.ns, DURATION_UNITS_NS[unit])
            if count and not rest:
                return f"{count}{unit}"
        return f"{self.ns / DURATION_UNITS_NS['s']:g}s"


def refusal(message: str, hint: str = "") -> PydanticCustomError:
    """The error to raise for a value that cannot be used, with one sentence of what to do about it."""
    return PydanticCustomError("refused", "{message}", {"message": message, "hint": hint})


def explain_value(detail: ErrorDetails) -> tuple[str, str]:
    """Say what pydantic found wrong with a single value in our words: message and hint."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "greater_than_equal":
        return f"must be at least {context['ge']}, not {detail['input']}", ""
    if kind == "less_than_equal":
        return f"must be at most {context['le']}, not {detail['input']}", ""
    if kind == "too_short":
        return "must not be empty", f"name at least {context['min_length']}"
    return SHAPES.get(kind, (f"{detail['input']!r} cannot be used", ""))


def origin(info: ValidationInfo) -> Origin:
    """The origin that the loader passed along as pydantic's context."""
    found = info.context
    assert isinstance(found, Origin)
    return found


def read_name(value: str) -> str:
    """A name of a cell, variant or replica: it becomes part of paths, metrics and commands."""
    if not NAME_PATTERN.fullmatch(value):
        raise refusal(f"{value!r} is no name", "use 1 to 32 of a-z, 0-9 and -")
    return value


def read_digest(value: str) -> str:
    """The SHA-1 digest of a client script, lower-case hexadecimal."""
    if not DIGEST_PATTERN.fullmatch(value):
        raise refusal(f"{value!r} is no SHA-1 digest", "use the 40 lower-case digits that SCRIPT LOAD replies")
    return value


def read_address(value: object) -> Address:
    """Read "host:port" or "[ipv6]:port"."""
    hint = 'write it as "127.0.0.1:7379" or "[::1]:7379"'
    if isinstance(value, Address):
        return value
    if not isinstance(value, str):
        raise refusal("an address is a string", hint)
    host, _, port = value.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise refusal(f"{value!r} is ambiguous", "put an IPv6 address in brackets")
    if not host or any(character.isspace() for character in host):
        raise refusal(f"{value!r} names no host", hint)
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65_535:
        raise refusal(f"{value!r} has no port from 0 to 65535", hint)
    return Address(host, int(port))


def read_optional_address(value: object) -> Address | None:
    """Read an address, or the empty string as None."""
    return None if value in ("", None) else read_address(value)


def read_size(value: object) -> int:
    """Read a number of bytes: an integer, or "256MB" (10^6) or "256MiB" (2^20)."""
    hint = 'write bytes as an integer, or a size such as "256MB" or "256MiB"'
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise refusal("a size is an integer or a string", hint)
    if isinstance(value, str):
        parts = SIZE_PATTERN.fullmatch(value)
        if parts is None or parts[2] not in SIZE_UNITS:
            raise refusal(f"{value!r} is no size", hint)
        value = int(parts[1]) * SIZE_UNITS[parts[2]]
    if value != 0 and value < MEMORY_BYTES_MIN:
        raise refusal(f"{value} bytes of memory are too few to run anything", "use at least 1MiB, or 0 for no bound")
    return value


def read_duration(value: object) -> Duration:
    """Read a time such as "500ms", "90s", "10m", "1h" or "7d"."""
    hint = 'write a time with its unit: "500ms", "90s", "10m", "1h" or "7d"'
    if isinstance(value, Duration):
        return value
    parts = DURATION_PATTERN.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        raise refusal(f"{value!r} is no time", hint)
    ns = int(parts[1]) * DURATION_UNITS_NS[parts[2]]
    if not DURATION_NS_MIN <= ns <= DURATION_NS_MAX:
        raise refusal(f"{value!r} is out of bounds", f"use {Duration(DURATION_NS_MIN)} to {Duration(DURATION_NS_MAX)}")
    return Duration(ns)


def read_optional_duration(value: object) -> Duration | None:
    """Read a time, or None as None."""
    return None if value is None else read_duration(value)


def read_pace(value: object) -> Duration | int:
    """Read how often something happens: every so many slots, an integer, or a time."""
    if type(value) is int:
        if not 1 <= value <= SLOTS_MAX:
            raise refusal(f"{value} is no number of slots", f"use 1 to {SLOTS_MAX}")
        return value
    return read_duration(value)


def read_path(value: object, info: ValidationInfo) -> Path:
    """Read a path; a relative one starts at the configuration's directory, `~` at the user's home."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise refusal("a path is a non-empty string")
    try:
        expanded = Path(value).expanduser()
    except RuntimeError:
        raise refusal(f"the home directory in {value!r} is unknown", "write the path without ~") from None
    return Path(os.path.normpath(origin(info).directory / expanded))


def read_root(value: object, info: ValidationInfo) -> Path | None:
    """Read the directory that a variant uses as the root of its file system."""
    if value is None:
        return None
    root = read_path(value, info)
    if not root.is_dir():
        raise refusal(f"there is no directory {root}", "build the variant's root first, or leave the key out")
    return root


def read_secret_file(value: object, info: ValidationInfo) -> Path | None:
    """Read the path of a file that holds a password, which not everybody on the machine may read."""
    if value is None:
        return None
    path = read_path(value, info)
    try:
        mode, text = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise refusal(f"{path} cannot be read: {error.strerror}", "create it with one line, the password") from None
    if mode & 0o007:
        raise refusal(f"everybody on this machine may use {path}", f"chmod 600 {path}")
    if not text.strip() or len(text) > 4_096:
        raise refusal(f"{path} holds no password", "write one line of at most 4096 bytes")
    return path


def read_program(value: str, root: Path | None, info: ValidationInfo) -> str:
    """The absolute path of a variant's program: found on PATH, or inside the variant's root.

    `{python}` means the interpreter that runs this process.
    """
    if root is not None:
        return _program_in(root, value)
    if value == INTERPRETER_PLACEHOLDER:
        return sys.executable
    has_directory = "/" in value
    path = str(read_path(value, info)) if has_directory else value
    found = shutil.which(path, path=origin(info).environ.get("PATH", os.defpath))
    if found is None:
        raise refusal(f"there is no program {path}{'' if has_directory else ' on PATH'}", install_hint(value))
    return str(Path(found).absolute())


def _program_in(root: Path, value: str) -> str:
    if not value.startswith("/"):
        raise refusal(f"{value!r} is not absolute", "with a root, name the program by its path inside that root")
    if not os.access(root / value[1:], os.X_OK):
        raise refusal(f"there is no program {value} in {root}", "install it in the variant's root")
    return value


def install_hint(name: str) -> str:
    """How to come by this program or library."""
    package = PACKAGES.get(name)
    return f"apt-get install {package}" if package else "install it, or correct the path"


def library_directories() -> Iterator[Path]:
    """The directories in which a bare soname is looked for, in order.

    Never LD_LIBRARY_PATH: it does not reach a domain, so that a library found there would not be found inside.
    """
    multiarch = sysconfig.get_config_var("MULTIARCH") or f"{os.uname().machine}-linux-gnu"
    for base in ("/usr/lib", "/lib", "/usr/local/lib"):
        yield Path(base, multiarch)
    yield from (Path(base) for base in ("/usr/lib64", "/lib64", "/usr/lib", "/usr/local/lib"))


def find_library(name: str, root: Path = Path("/")) -> Path | None:
    """Where the shared object of this bare soname is, as seen below `root`."""
    candidates = (directory / name for directory in library_directories())
    return next((path for path in candidates if (root / str(path)[1:]).is_file()), None)


def read_preload(value: str, root: Path | None, info: ValidationInfo) -> str:
    """The absolute path of a shared object to preload: given as a path, or as a bare soname to look for."""
    if re.search(r"[\s:]", value) or not value:
        raise refusal(f"{value!r} cannot be preloaded", "LD_PRELOAD takes no path with a space or a colon")
    inside = root or Path("/")
    if "/" in value:
        path = Path(value) if root else read_path(value, info)
        found = path if path.is_absolute() and (inside / str(path)[1:]).is_file() else None
    else:
        found = find_library(value, inside)
    if found is None:
        raise refusal(f"there is no shared object {value}", install_hint(value))
    return str(found)


def read_environment(value: dict[str, str]) -> dict[str, str]:
    """The environment variables of a variant."""
    for name, content in value.items():
        if name == "LD_PRELOAD":
            raise refusal("LD_PRELOAD is not set here", "use the key preload, whose files are checked")
        if not ENVIRONMENT_PATTERN.fullmatch(name) or "\0" in content:
            raise refusal(f"{name!r} is no environment variable")
    return value


def read_argument(value: str) -> str:
    """One argument of a variant's program, with no placeholder but the known ones."""
    if "\0" in value:
        raise refusal("an argument holds no NUL byte")
    for word in PLACEHOLDER_PATTERN.findall(value):
        if word not in PLACEHOLDERS:
            raise refusal(f"unknown placeholder {{{word}}}", "the placeholders are {socket} and {directory}")
    return value
