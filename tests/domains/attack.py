"""A hostile service: it tries to get out of its domain, listens on its lane, and tells there what became of each try.

    python attack.py SOCKET HOST_PORT ABSTRACT_NAME HOST_PID SECRET_FILE [NAME_OF_A_TRY ...]

Runs inside the domain with nothing but the standard library. Each outcome is "refused: …" or what was reached.
"""

import ctypes
import errno
import json
import mmap
import os
import platform
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNS = 0x1000_0000, 0x0002_0000
PTRACE_ATTACH = 16
libc = ctypes.CDLL(None, use_errno=True)


def tried(attempt: Callable[[], object]) -> str:
    try:
        return f"reached: {attempt()}"
    except OSError as error:
        return f"refused: {errno.errorcode.get(error.errno or 0, error)}"
    except ValueError as error:  # how Python's resource module says EPERM
        return f"refused: {error}"


def call(number: int, *arguments: object) -> int:
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def connect(family: int, address: object) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(2)
        connection.connect(address)  # type: ignore[arg-type]
        return "connected"


def make(family: int) -> str:
    socket.socket(family, socket.SOCK_RAW if family == socket.AF_PACKET else socket.SOCK_DGRAM).close()
    return "made"


def write(path: str) -> str:
    Path(path).write_text("1")
    return "written"


def machine_code(code: bytes) -> str:
    """Run x86 instructions in a child of ours, and tell how it ended."""
    child = os.fork()
    if child == 0:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        address = ctypes.addressof(ctypes.c_char.from_buffer(page))
        os._exit(0 if ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0 else 1)
    status = os.waitpid(child, 0)[1]
    return "refused: killed" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS else f"ended {status}"


def clone_flags(flags: int) -> str:
    """clone(2) through the raw system call: glibc's wrappers would add nothing."""
    child = call(56, flags | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return "cloned"


def listed(path: str) -> list[str]:
    return [entry.name for entry in Path(path).iterdir()]


def seen_processes() -> list[str]:
    return sorted(Path("/proc", name, "comm").read_text().strip() for name in listed("/proc") if name.isdecimal())


def status_field(name: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))


def attempts(host_port: int, abstract: str, host_pid: int, secret: str) -> dict[str, Callable[[], object]]:
    return {
        "host loopback": lambda: connect(socket.AF_INET, ("127.0.0.1", host_port)),
        "host loopback 6": lambda: connect(socket.AF_INET6, ("::1", host_port)),
        "private address": lambda: connect(socket.AF_INET, ("10.0.0.1", 80)),
        "public address": lambda: connect(socket.AF_INET, ("192.0.2.1", 80)),
        "link local": lambda: connect(socket.AF_INET, ("169.254.169.254", 80)),
        "public address 6": lambda: connect(socket.AF_INET6, ("2001:db8::1", 80)),
        "abstract socket": lambda: connect(socket.AF_UNIX, f"\0{abstract}"),
        "vsock": lambda: make(socket.AF_VSOCK),
        "netlink": lambda: make(socket.AF_NETLINK),
        "packet": lambda: make(socket.AF_PACKET),
        "alg": lambda: make(socket.AF_ALG),
        "tipc pair": lambda: socket.socketpair(30, socket.SOCK_SEQPACKET),
        "write /": lambda: write("/planted"),
        "write /usr": lambda: write("/usr/planted"),
        "write /etc": lambda: write("/etc/planted"),
        "write /run": lambda: write("/run/planted"),
        "write /dev": lambda: write("/dev/planted"),
        "write /proc/sys": lambda: write("/proc/sys/kernel/hostname"),
        "write sysrq": lambda: write("/proc/sysrq-trigger"),
        "write the program": lambda: os.open(sys.executable, os.O_WRONLY),
        "read a secret": lambda: Path(secret).read_text(),
        "list its directory": lambda: listed(str(Path(secret).parent)),
        "read /etc/passwd": lambda: Path("/etc/passwd").read_text(),
        "list /home": lambda: listed("/home"),
        "list /sys": lambda: listed("/sys"),
        "signal a host process": lambda: os.kill(host_pid, signal.SIGKILL),
        "see a host process": lambda: listed(f"/proc/{host_pid}"),
        "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)),
        "chroot": lambda: os.chroot("/tmp"),
        "become root": lambda: os.setuid(0),
        "make a device": lambda: os.mknod("/tmp/disk", 0o660 | 0o060000, os.makedev(8, 0)),
    }


def interfaces() -> list[str]:
    return [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]


def raw_attempts() -> dict[str, Callable[[], object]]:
    """System calls by their numbers on x86-64, which no library of ours has a function for."""
    buffer = ctypes.create_string_buffer(256)
    return {
        "high bits in the family": lambda: call(41, ctypes.c_ulong(1 << 32 | socket.AF_NETLINK), 3, 0),
        "trace its init": lambda: call(101, PTRACE_ATTACH, 1, 0, 0),
        "read its init's memory": lambda: call(310, 1, buffer, 0, buffer, 0, 0),
        "take its init's descriptors": lambda: call(438, os.pidfd_open(1), 0, 0),
        "unshare user": lambda: call(272, CLONE_NEWUSER),
        "clone user": lambda: clone_flags(CLONE_NEWUSER),
        "clone mount": lambda: clone_flags(CLONE_NEWNS),
        "clone3": lambda: call(435, buffer, 64),
        "join a namespace": lambda: call(308, os.open("/proc/self/ns/net", os.O_RDONLY), 0),
        "mount": lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, None),
        "new mount interface": lambda: call(430, b"tmpfs", 0),
        "bpf": lambda: call(321, 0, buffer, 64),
        "perf": lambda: call(298, buffer, 0, -1, -1, 0),
        "io_uring": lambda: call(425, 8, buffer),
        "userfaultfd": lambda: call(323, 0),
        "keyring": lambda: call(250, 0, -3, 0),
        "open by handle": lambda: call(304, -100, buffer, 0),
        "load a kernel": lambda: call(246, 0, 0, None, 0),
        "load a module": lambda: call(175, buffer, 0, b""),
        "kernel log": lambda: call(103, 3, buffer, 256),
        "personality": lambda: call(135, 0x0040000),
        "type into a terminal": lambda: call(16, 0, ctypes.c_ulong(0x5412), buffer),
        "type, high bits": lambda: call(16, 0, ctypes.c_ulong(1 << 32 | 0x5412), buffer),
    }


def facts() -> dict[str, object]:
    return {
        "processes": seen_processes(),
        "descriptors": sorted(int(name) for name in listed("/proc/self/fd")),
        "environment": dict(os.environ),
        "capabilities": [status_field(name) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "CapInh")],
        "no new privileges": status_field("NoNewPrivs"),
        "seccomp": status_field("Seccomp"),
        "interfaces": interfaces(),
        "hostname": platform.node(),
        "user": os.getuid(),
        "terminal": Path("/dev/tty").exists(),
        "environment of its init": tried(lambda: Path("/proc/1/environ").read_bytes()),
        "init": Path("/proc/1/cmdline").read_bytes().decode().split("\0"),
        "writable": [name for name in ("/tmp", "/run/quorate", "/dev/shm") if os.access(name, os.W_OK)],
    }


def main() -> None:
    path, host_port, abstract, host_pid, secret, *only = sys.argv[1:]
    report: dict[str, object] = {"facts": facts()}
    ways = attempts(int(host_port), abstract, int(host_pid), secret)
    if platform.machine() == "x86_64":
        ways |= raw_attempts()
        report["i386"] = machine_code(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
        report["x32"] = machine_code(bytes.fromhex("b8270000400f05c3"))  # mov eax, 0x40000027; syscall; ret
    report["tries"] = {name: tried(way) for name, way in ways.items() if not only or name in only}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            with listener.accept()[0] as connection:
                connection.sendall(json.dumps(report).encode())


if __name__ == "__main__":
    main()
