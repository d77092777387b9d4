"""The filter of system calls that bwrap is given: what no program of a task needs, and what namespaces do not hold back.

System V shared memory outlives its process and is counted by no limit. Namespaces inside the namespace, tracing, keys, io_uring
and the like are large parts of the kernel with a history of holes. A classic BPF program, `struct sock_filter` after
`struct sock_filter` (linux/filter.h, linux/seccomp.h); numbers of calls are those of the kernel's tables.
"""

from __future__ import annotations

import errno
import os
import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # places in struct seccomp_data
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_CLONE3 = 435
_X32 = 0x40000000


@dataclass(frozen=True, slots=True)
class _Machine:
    architecture: int
    clone: int
    denied: Mapping[str, int]


_MACHINES = {
    "x86_64": _Machine(0xC000003E, 56, {
        "shmget": 29, "semget": 64, "msgget": 68, "ptrace": 101, "pivot_root": 155, "mount": 165, "umount2": 166,
        "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "perf_event_open": 298, "open_by_handle_at": 304,
        "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425,
    }),
    "aarch64": _Machine(0xC00000B7, 220, {
        "shmget": 194, "semget": 190, "msgget": 186, "ptrace": 117, "pivot_root": 41, "mount": 40, "umount2": 39,
        "add_key": 217, "request_key": 218, "keyctl": 219, "unshare": 97, "perf_event_open": 241, "open_by_handle_at": 265,
        "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "bpf": 280, "userfaultfd": 282, "io_uring_setup": 425,
    }),
}  # fmt: skip


def program(machine: str | None = None) -> bytes:
    """The filter for a machine; empty for one whose numbers are not here."""
    about = _MACHINES.get(machine or platform.machine())
    if about is None:
        return b""
    refuse, unknown = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, about.architecture),
        (_RETURN, 0, 0, _KILL),  # a call of a 32-bit program has other numbers
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, refuse),
        (_EQUAL, 0, 1, _CLONE3),  # its flags are in memory; without it the C library takes clone
        (_RETURN, 0, 0, unknown),
    ]
    for number in about.denied.values():
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, refuse)]
    lines += [
        (_EQUAL, 0, 3, about.clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, refuse),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def descriptor() -> int | None:
    """An open file with the filter, for the caller to close; None where there is no filter. Raises `OSError`."""
    content = program()
    if not content:
        return None
    number = os.memfd_create("simko-seccomp")
    os.write(number, content)
    os.lseek(number, 0, os.SEEK_SET)
    return number
