# SPDX-License-Identifier: GPL-2.0-only
"""Settings of the whole machine, changed for the length of a test and put back whatever happens to it."""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import struct
import sys

LOCK = "/run/heaptrace-tests.lock"
SWAP = "swap"
PAGE = os.sysconf("SC_PAGESIZE")


def read(path):
    """The text of a file of the kernel, or "" where there is none."""
    with contextlib.suppress(OSError), open(path, encoding="ascii", errors="replace") as file:
        return file.read().strip()
    return ""


def write(path, value):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))


def _swap_begin(path, size):
    """Has the machine swap to a new file: a header of version 1 in its first page, without holes."""
    libc, fd = ctypes.CDLL(None, use_errno=True), os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(fd, 0, size)
        os.pwrite(fd, struct.pack("<III", 1, size // PAGE - 1, 0), 1024)
        os.pwrite(fd, b"SWAPSPACE2", PAGE - 10)
        os.fsync(fd)
    finally:
        os.close(fd)
    if libc.swapon(os.fsencode(path), 0):
        raise OSError(ctypes.get_errno(), f"swapon: {os.strerror(ctypes.get_errno())}")


def _swap_end(path):
    ctypes.CDLL(None).swapoff(os.fsencode(path))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _put_back(file):
    """Writes back what is noted in the lock file, last change first; then empties it."""
    file.seek(0)
    for line in reversed(file.read().splitlines()):
        with contextlib.suppress(OSError, ValueError):
            path, value = json.loads(line)
            if path == SWAP:
                _swap_end(value)
            else:
                write(path, value)
    file.seek(0)
    file.truncate()


def _end(number, _):
    sys.exit(128 + number)


@contextlib.contextmanager
def settings(changes, swap=None):
    """Sets {path: value}; with @swap, (path, bytes), the machine also swaps to that new file. One test of this machine at a time
    may: the others wait. The old values are noted in the lock file before anything is changed, so that even after a SIGKILL the
    next one puts them back."""
    fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "r+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _put_back(file)
        before = signal.signal(signal.SIGTERM, _end)  # so that a time limit unwinds too
        try:
            for path, value in changes.items():
                file.write(json.dumps([path, chosen(read(path))]) + "\n")
                file.flush()
                write(path, value)
            if swap:
                file.write(json.dumps([SWAP, swap[0]]) + "\n")
                file.flush()
                _swap_begin(*swap)
            yield
        finally:
            _put_back(file)
            signal.signal(signal.SIGTERM, before)


def chosen(text):
    """What to write to get a setting back: of a list of choices the one in brackets."""
    for word in text.split():
        if word.startswith("[") and word.endswith("]"):
            return word[1:-1]
    return text


def counters(names, *files):
    """Lines for a failure report: the rows of /proc/vmstat that begin with one of the names, and whole files."""
    lines = [line for line in read("/proc/vmstat").splitlines() if line.startswith(tuple(names)) and not line.endswith(" 0")]
    return [", ".join(lines)] + [f"{path}: {read(path)}" for path in files]
