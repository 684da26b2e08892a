"""The seccomp filter of the sandbox: which doors of the shared kernel are shut.

Knows system calls and libseccomp, nothing of processes. A variant may be any program, so this is a list of what is
denied; namespaces, users and capabilities already deny most of it, and the filter keeps the kernel's code for it out of
reach. Foreign architectures (i386, x32), whose calls these rules could not see, are killed.
"""

import errno
import importlib
import os
import socket
from functools import cache
from typing import Any

from quorate.trusted.errors import OperatorFault

# socket(2) and socketpair(2) make these and nothing else: vsock and netlink, for two, pass through a network namespace.
FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)

# CLONE_NEWTIME is no flag of clone(2), whose lowest byte is a signal.
NEW_NAMESPACE_FLAGS = {
    "CLONE_NEWNS": 0x0002_0000,
    "CLONE_NEWCGROUP": 0x0200_0000,
    "CLONE_NEWUTS": 0x0400_0000,
    "CLONE_NEWIPC": 0x0800_0000,
    "CLONE_NEWUSER": 0x1000_0000,
    "CLONE_NEWPID": 0x2000_0000,
    "CLONE_NEWNET": 0x4000_0000,
}

# ioctl(2) requests that put characters into a terminal's input, as if the operator had typed them.
TIOCSTI, TIOCLINUX = 0x5412, 0x541C

DENIED = {
    "namespaces and mounts": "unshare setns mount umount2 pivot_root chroot",
    "other processes": "ptrace process_vm_readv process_vm_writev kcmp",
    "doors to much kernel code": "bpf perf_event_open userfaultfd keyctl add_key request_key",
    "code for the kernel": "kexec_load kexec_file_load init_module finit_module delete_module create_module",
    "files by handle, without a path": "open_by_handle_at name_to_handle_at fanotify_init lookup_dcookie",
    "the machine": "swapon swapoff reboot acct quotactl nfsservctl syslog vhangup uselib sysfs",
    "its name and its clock": "sethostname setdomainname settimeofday clock_settime adjtimex clock_adjtime",
    "its ports and segments": "iopl ioperm modify_ldt vm86 vm86old",
    "other processes' memory placement": "migrate_pages move_pages",
}

# From 424 on, system calls have one number on every architecture, and a libseccomp may be older than some of them.
DENIED_BY_NUMBER = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "statmount": 457,
    "listmount": 458,
    "open_tree_attr": 467,
}

LOW_HALF = 0xFFFF_FFFF


def _library() -> Any:
    """The bindings, imported only when a filter is built: importing them starts programs to find libseccomp."""
    try:
        return importlib.import_module("pyseccomp")
    except (ImportError, RuntimeError, OSError) as error:
        raise OperatorFault(f"no seccomp filter can be built: {error}", "apt-get install libseccomp2") from error


def _deny_sockets(library: Any, rules: Any) -> None:
    """Other families do not exist here. The kernel reads an int, so a number with high bits set is no way around."""
    for call in ("socket", "socketpair"):
        for family in range(max(FAMILIES)):
            if family not in FAMILIES:
                is_family = library.Arg(0, library.MASKED_EQ, LOW_HALF, family)
                rules.add_rule(library.ERRNO(errno.EAFNOSUPPORT), call, is_family)
        rules.add_rule(library.ERRNO(errno.EAFNOSUPPORT), call, library.Arg(0, library.GT, max(FAMILIES)))


def _deny_namespaces(library: Any, rules: Any) -> None:
    """Judge clone(2) by its flags. Those of clone3(2) lie in memory, unseen: without it, libc uses clone."""
    for flag in NEW_NAMESPACE_FLAGS.values():
        rules.add_rule(library.ERRNO(errno.EPERM), "clone", library.Arg(0, library.MASKED_EQ, flag, flag))
    rules.add_rule(library.ERRNO(errno.ENOSYS), "clone3")


def _deny_arguments(library: Any, rules: Any) -> None:
    for request in (TIOCSTI, TIOCLINUX):
        rules.add_rule(library.ERRNO(errno.EPERM), "ioctl", library.Arg(1, library.MASKED_EQ, LOW_HALF, request))
    # personality(2): other ones than Linux's own weaken the layout of addresses and the protection of memory.
    rules.add_rule(library.ERRNO(errno.EPERM), "personality", library.Arg(0, library.NE, 0))


@cache
def program() -> bytes:
    """The filter as a BPF program, for bubblewrap's --seccomp. Raises `OperatorFault` when it cannot be built."""
    library = _library()
    rules = library.SyscallFilter(library.ALLOW)
    rules.set_attr(library.Attr.ACT_BADARCH, library.KILL_PROCESS)
    try:
        for call in (*" ".join(DENIED.values()).split(), *DENIED_BY_NUMBER.values()):
            rules.add_rule(library.ERRNO(errno.EPERM), call)
        _deny_sockets(library, rules)
        _deny_namespaces(library, rules)
        _deny_arguments(library, rules)
    except OSError as error:
        raise OperatorFault(f"no seccomp filter can be built: {error}", "apt-get install libseccomp2") from error
    return _export(rules)


def _export(rules: Any) -> bytes:
    descriptor = os.memfd_create("filter", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "w+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
