# SPDX-License-Identifier: GPL-2.0-only
"""The BPF programs that are in the kernel, and whose they are."""

import contextlib
import ctypes
import os
import re

BPF_CALL = {"x86_64": 321, "aarch64": 280}[os.uname().machine]


def programs_of(pid):
    """The ids of those that a process holds; it may end at any moment."""
    found = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for name in os.listdir(f"/proc/{pid}/fdinfo"):
            with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as file:
                found.update(int(number) for number in re.findall(r"^prog_id:\s*(\d+)", file.read(), re.M))
    return found


def all_programs():
    """The ids of all, by the bpf(2) call itself: no tool is needed for it."""
    libc, attributes, found = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 32)(), set()
    while libc.syscall(BPF_CALL, 11, ctypes.byref(attributes), ctypes.sizeof(attributes)) == 0:  # BPF_PROG_GET_NEXT_ID
        found.add(attributes[1])
        attributes[0] = attributes[1]
    return found
