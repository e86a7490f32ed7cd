# SPDX-License-Identifier: GPL-2.0-only
"""The BPF programs and maps that are in the kernel, and whose they are."""

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


def bpf(command, attributes):
    """The bpf(2) call itself: no tool is needed for it."""
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(BPF_CALL, command, ctypes.byref(attributes), ctypes.sizeof(attributes))


def all_programs():
    """The ids of all."""
    attributes, found = (ctypes.c_uint32 * 32)(), set()
    while bpf(11, attributes) == 0:  # BPF_PROG_GET_NEXT_ID
        found.add(attributes[1])
        attributes[0] = attributes[1]
    return found


def arrays_of(pid):
    """The id, the size of a value, and the number of entries of each array that a process holds."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as file:
            words = dict(re.findall(r"^(\w+):\s*(\d+)", file.read(), re.M))
            if words.get("map_type") == "2":  # BPF_MAP_TYPE_ARRAY
                found.append((int(words["map_id"]), int(words["value_size"]), int(words["max_entries"])))
    return found


def first_words(array):
    """The first 8 bytes of each value of an array that arrays_of() told of."""
    number, size, count = array
    fd = bpf(14, (ctypes.c_uint32 * 8)(number))  # BPF_MAP_GET_FD_BY_ID
    key, value = ctypes.c_uint32(), (ctypes.c_uint64 * ((size + 7) // 8))()
    attributes, found = (ctypes.c_uint64 * 4)(fd, ctypes.addressof(key), ctypes.addressof(value), 0), []
    for key.value in range(count):
        found.append(value[0] if bpf(1, attributes) == 0 else None)  # BPF_MAP_LOOKUP_ELEM
    os.close(fd)
    return found
