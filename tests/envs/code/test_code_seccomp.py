"""The filter of system calls, by a small interpreter of its BPF."""

from __future__ import annotations

import struct

import pytest

from simko.envs.code import seccomp

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026


def answer(machine: str, architecture: int, number: int, argument: int = 0) -> int:
    """What the filter says of a call."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, argument, 0, 0, 0, 0, 0)
    lines = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))
    at = value = 0
    while True:
        code, yes, no, k = lines[at]
        at += 1
        if code == 0x06:
            return k
        if code == 0x20:
            (value,) = struct.unpack_from("=I", data, k)
        else:
            holds = {0x15: value == k, 0x35: value >= k, 0x45: value & k != 0}[code]
            at += yes if holds else no


@pytest.mark.parametrize(
    ("machine", "architecture", "denied", "clone", "harmless"),
    [
        ("x86_64", 0xC000003E, (29, 101, 272, 425), 56, (0, 1, 39, 57, 231)),
        ("aarch64", 0xC00000B7, (194, 117, 97), 220, (63, 64, 93)),
    ],
)
def test_what_is_refused(
    machine: str, architecture: int, denied: tuple[int, ...], clone: int, harmless: tuple[int, ...]
) -> None:
    assert {answer(machine, architecture, number) for number in denied} == {EPERM}
    assert {answer(machine, architecture, number) for number in harmless} == {ALLOW}
    assert answer(machine, architecture, clone, 0x3D0F00) == ALLOW  # a thread
    assert answer(machine, architecture, clone, 0x10000000 | 17) == EPERM  # a user namespace
    assert answer(machine, architecture, 435) == ENOSYS
    assert answer(machine, architecture, 0x40000000 + 29) == EPERM
    assert answer(machine, 0x40000003, 1) == KILL


def test_an_unknown_machine_has_no_filter() -> None:
    assert seccomp.program("riscv64") == b""
