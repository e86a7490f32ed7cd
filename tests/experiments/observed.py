# SPDX-License-Identifier: GPL-2.0-only
"""One run of a program under heaptrace, read back from its jsonl rows: steps, blocks, levels, and glibc's arithmetic."""

import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from books import Books  # noqa: E402  pylint: disable=wrong-import-position

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30
PAGE, WORD = 4096, 8

MEMORY_CALLS = {"brk", "mmap", "munmap", "mremap", "mprotect", "madvise"}


def size_text(size):
    """2 KiB, 2 MiB; bytes where it is no whole number of a unit."""
    for unit, bytes_ in (("GiB", GB), ("MiB", MB), ("KiB", KB)):
        if size >= bytes_ and size % bytes_ == 0:
            return f"{size // bytes_} {unit}"
    return f"{size:,} bytes"


def kb(size):
    """Whole kB with thousands separated; a minus sign only where it is below 0."""
    return f"{size // KB:,}"


class Glibc:
    """The thresholds of glibc's malloc, told from outside: free of a mapped chunk above mmap_threshold and up to 32 MiB
    makes that its size, and trim_threshold twice that (malloc.c, free of a chunk that is a mapping)."""

    MAX = 4 * MB * WORD  # DEFAULT_MMAP_THRESHOLD_MAX on 64 bits

    def __init__(self, frozen=False):
        self.mmap, self.trim, self.frozen = 128 * KB, 128 * KB, frozen
        self.raised_by = None  # the size of the block whose free moved it last

    @staticmethod
    def chunk(request):
        """request2size: a word of header, rounded up to two words."""
        return max(4 * WORD, (request + WORD + 2 * WORD - 1) & -(2 * WORD))

    @staticmethod
    def mapped(request):
        """sysmalloc: a chunk that is a mapping has a further word and whole pages."""
        return (Glibc.chunk(request) + WORD + PAGE - 1) & -PAGE

    def freed(self, chunk, request):
        """A mapped chunk was unmapped. True where that moved the thresholds."""
        if self.frozen or not self.mmap < chunk <= self.MAX:
            return False
        self.mmap, self.trim, self.raised_by = chunk, 2 * chunk, request
        return True


class Block:
    """One block of the target's sequence: its rows and levels, step by step."""

    def __init__(self, size, number, thread, touch):
        self.size, self.round, self.thread, self.touched = size, number, thread, int(size * touch)
        self.levels, self.rows = {}, {}

    def change(self, first, last, part):
        return self.levels[last][part] - self.levels[first][part]

    def calls(self, step, *names):
        """The memory calls that succeeded between the mark before and the mark of @step."""
        return [row for row in self.rows.get(step, ()) if row["cause"] == "syscall" and row["error"] is None
                and row["name"] in (names or MEMORY_CALLS)]

    @property
    def freed(self):
        return "free" in self.levels

    @property
    def source(self):
        """Where it came from: the name of the call that brought most addresses (the first allocation of all also makes
        the heap), or None where none was needed."""
        grown = [row for row in self.calls("alloc") if row["virt"] > 0 or row["name"] == "mprotect"]
        return max(grown, key=lambda row: row["virt"])["name"] if grown else None

    @property
    def rss_back(self):
        return -self.change("touch", "free", "rss")

    @property
    def virt_back(self):
        return -self.change("touch", "free", "virt")

    @property
    def returned(self):
        """Its free gave back at least what was touched in whole pages less one: both ends may be shared. Of less than two
        pages, any page."""
        return self.rss_back >= max(PAGE, self.touched // PAGE * PAGE - PAGE)


class Observed:
    """The books of one run; where the program was the target, what it said of itself."""

    def __init__(self, name, command, status, out, err, path):
        self.name, self.command, self.status, self.out, self.err = name, command, status, out, err
        with open(path, "rb") as file:
            self.books = Books(file.read())
        self.document = json.loads(out) if out.startswith('{"type":') and out.rstrip().endswith("}") else None
        self.marks = self.books.marks
        mms = [mark["_mm"] for mark in self.marks]
        self.mm = mms[0] if mms else None
        self.rows = self.books.rows_of(self.mm) if self.mm else self.books.rows

    @property
    def thread_rows(self):
        return [row for row in self.rows if row["tid"] != row["pid"]]

    def mark(self, name):
        for mark in self.marks:
            if mark["name"] == name:
                return mark
        raise ValueError(f"{self.name}: no mark {name!r} among {[mark['name'] for mark in self.marks][:40]}")

    def level(self, name, part):
        return self.mark(name)[part]

    def between(self, first, last):
        low, high = (0 if first is None else self.mark(first)["_line"]), self.mark(last)["_line"]
        return [row for row in self.rows if low < row["_line"] < high]

    def step(self, name):
        """The rows of a step of play: from the mark before it to its own."""
        at = [mark["name"] for mark in self.marks].index(name)
        return self.between(self.marks[at - 1]["name"], name)

    def change(self, name, part):
        """What a step of play changed."""
        at = [mark["name"] for mark in self.marks].index(name)
        return self.marks[at][part] - self.marks[at - 1][part]

    def calls(self, *names, rows=None, error=None):
        """Rows of these calls; those that failed with @error, or that succeeded."""
        return [row for row in (self.rows if rows is None else rows) if row["cause"] == "syscall"
                and row["error"] == error and row["name"] in (names or MEMORY_CALLS)]

    def experiment(self):
        """The rows between the first mark and the last one."""
        return self.between("opening", "closing")

    def blocks(self, touch=1.0):
        """The blocks in their order, of all threads; @touch is how much of each was written to."""
        found, open_blocks = [], {}
        lines = []
        for mark in self.marks:
            word, _, rest = mark["name"].partition(" ")
            match = re.fullmatch(r"(\d+)(?: #(\d+))?(?: @(\d+))?", rest)
            if not match:
                continue
            size, number, thread = int(match[1]), int(match[2] or 1), int(match[3] or 1)
            if word == "before":
                open_blocks[thread] = Block(size, number, thread, touch)
                found.append(open_blocks[thread])
            block = open_blocks[thread]
            block.levels["free" if word == "keep" else word] = mark
            block.kept_alive = word == "keep"
            lines.append((mark["_line"], block, "free" if word == "keep" else word))
        self._share_rows(lines)
        return found

    def _share_rows(self, lines):
        """Gives each row to the step in which it is; with several threads to the thread whose row it is."""
        of_thread = {}
        for line, block, word in lines:
            of_thread.setdefault(block.levels["before"]["tid"], []).append((line, block, word))
        for row in self.rows:
            steps = of_thread.get(row["tid"])
            if steps is None:
                continue
            for line, block, word in steps:
                if row["_line"] < line:
                    if word != "before":
                        block.rows.setdefault(word, []).append(row)
                    break

    def heap_bytes(self, line):
        """How long the heap of brk is at a line of the output: what the brk rows before it made of nothing."""
        return sum(row["virt"] for row in self.rows if row["_line"] < line and row["name"] == "brk" and row["cause"] == "syscall")
