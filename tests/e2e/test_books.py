#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""The checker itself: a small output whose books balance passes, and every way of spoiling it is found."""

import copy
import json

import harness
from books import PARTS, Books, compare_points, parse
from harness import once


def usage(virt=0, anon=0, file=0, shmem=0):
    return {"virt": virt, "rss": anon + file + shmem, "anon": anon, "file": file, "shmem": shmem, "swap": 0}


def row(cause, name, level, ret=None, error=None, **change):
    delta = usage(**change)
    for part in PARTS:
        level[part] += delta[part]
    return {"type": "event", "ts_ns": 1, "pid": 7, "tid": 7, "comm": "x", "mm": 1, "cause": cause, "name": name, "args": None,
            "ret": ret, "error": error, **delta, "virt_after": level["virt"], "rss_after": level["rss"], "region": None,
            "count": 1, "stack": [], "stack_complete": False}


def sound():
    """Opening 8 pages; mmap 4, fault 2, a failed call, munmap 1; exit."""
    level = usage(virt=32768, anon=4096)
    opening = dict(level)
    rows = [row("exec", "exec", level), row("syscall", "mmap", level, ret=1 << 30, virt=16384),
            row("fault", "minor", level, anon=8192)]
    mark = {"type": "mark", "ts_ns": 2, "pid": 7, "tid": 7, "name": "here", "mm": 1, **level}
    rows += [row("syscall", "mmap", level, ret=-1, error="ENOMEM"),
             row("syscall", "munmap", level, ret=0, virt=-4096, anon=-4096)]
    closing = dict(level)
    rows.append(row("exit", "exit", level, virt=-closing["virt"], anon=-closing["anon"]))
    by_cause = [{"cause": "exec", "name": "exec", "count": 1, "virt": 0, "rss": 0},
                {"cause": "syscall", "name": "mmap", "count": 2, "virt": 16384, "rss": 0},
                {"cause": "fault", "name": "minor", "count": 1, "virt": 0, "rss": 8192},
                {"cause": "syscall", "name": "munmap", "count": 1, "virt": -4096, "rss": -4096}]
    return [{"type": "header", "version": 1, "source": "bpf", "caps": [], "page_size": 4096, "cmd": ["x"], "start_ns": 0},
            *rows[:3], mark, *rows[3:],
            {"type": "ledger", "pid": 7, "mm": 1, "image": "/x", "opening": opening, "closing": closing, "proc": dict(closing),
             "by_cause": by_cause, "unattributed": usage(), "lost_events": 0, "coalesced_events": 0, "balanced": True},
            {"type": "end", "ts_ns": 9, "exit": {"code": 0, "signal": None}, "processes": 1, "events": 6}]


def written(records):
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def spoil(index, key, value):
    def change(records):
        at = records[index]
        *path, last = key.split(".")
        for step in path:
            at = at[int(step) if step.isdigit() else step]
        at[last] = value
    return change


LOST_DETAIL = {"type": "lost", "ts_ns": 1, "records": 1, "what": "marks", "detail": True}

SPOILED = {
    "no header": lambda records: records.pop(0),
    "two headers": lambda records: records.insert(1, dict(records[0])),
    "header without caps": lambda records: records[0].pop("caps"),
    "no end": lambda records: records.pop(),
    "something after the end": lambda records: records.append(dict(records[1])),
    "a row left out": lambda records: records.pop(3),
    "a row twice": lambda records: records.insert(3, dict(records[3])),
    "no ledger": lambda records: records.pop(-2),
    "the ledger twice": lambda records: records.insert(-1, dict(records[-2])),
    "a row after the exit": lambda records: records.insert(8, dict(records[1])),
    "virt": spoil(2, "virt", 20480),
    "rss that does not add up": spoil(3, "rss", 4096),
    "part of a page": spoil(3, "anon", 8193),
    "virt_after": spoil(2, "virt_after", 0),
    "rss_after": spoil(3, "rss_after", 0),
    "an effect of a failed call": spoil(5, "virt", 4096),
    "an error that is no name": spoil(5, "error", "12"),
    "ret of an error": spoil(5, "ret", -12),
    "unknown cause": spoil(2, "cause", "magic"),
    "name missing": spoil(2, "name", ""),
    "count 0": spoil(2, "count", 0),
    "region": spoil(2, "region", {"kind": "moon", "start": 0, "end": 0, "path": None}),
    "field missing": lambda records: records[2].pop("stack"),
    "the level of a mark": spoil(4, "virt", 0),
    "exit that leaves something": spoil(7, "virt", -4096),
    "opening": spoil(-2, "opening.virt", 0),
    "closing": spoil(-2, "closing.anon", 0),
    "/proc": spoil(-2, "proc.rss", 0),
    "unattributed": spoil(-2, "unattributed.virt", 4096),
    "lost": spoil(-2, "lost_events", 1),
    "a lost line": lambda records: records.insert(1, {"type": "lost", "ts_ns": 1, "records": 1, "what": "rows", "detail": False}),
    "a lost detail": lambda records: records.insert(1, LOST_DETAIL),
    "coalesced": spoil(-2, "coalesced_events", 1),
    "not balanced": spoil(-2, "balanced", False),
    "balanced, but no bool": spoil(-2, "balanced", 1),
    "count of a line": spoil(-2, "by_cause.1.count", 1),
    "virt of a line": spoil(-2, "by_cause.1.virt", 0),
    "a line too many": lambda records: records[-2]["by_cause"].append(dict(records[-2]["by_cause"][0], name="brk")),
    "a line twice": lambda records: records[-2]["by_cause"].append(dict(records[-2]["by_cause"][0])),
}


@once
def balanced_books_pass(t):
    t.none(Books(written(sound())).problems(), "no problem is found in a sound output")


@once
def an_overflow_is_allowed(t):
    """Where the stream may be too slow, rows may be folded and details may be missing."""
    records = copy.deepcopy(sound())
    records[-2]["coalesced_events"] = 3
    records.insert(-1, dict(LOST_DETAIL))
    t.none(Books(written(records)).problems(coalesced=True), "no problem is found")


@once
def spoiled_books_fail(t):
    for name, change in SPOILED.items():
        records = copy.deepcopy(sound())
        change(records)
        t.ok(Books(written(records)).problems(), f"{name}: found")


@once
def readings(t):
    books = Books(written(sound()))
    good = {"pid": 7, "name": "here", **usage(virt=49152, anon=12288)}
    t.none(compare_points(books, [good]), "a reading that agrees")
    t.ok(compare_points(books, [dict(good, anon=8192)]), "one that does not")
    t.ok(compare_points(books, [dict(good, name="there")]), "one without a mark")
    t.ok(compare_points(books, [good, good]), "two for one mark")


@once
def lines_that_are_no_records(t):
    for name, data in (("an unfinished line", b'{"type":"end"}'), ("invalid UTF-8", b'{"a":"\xff"}\n'), ("NaN", b'{"a":NaN}\n'),
                       ("a raw control character", b'{"a":"\x01"}\n'), ("a key twice", b'{"a":1,"a":2}\n'), ("text", b"x\n")):
        try:
            parse(data)
            t.ok(False, f"{name}: refused")
        except ValueError:
            t.ok(True, f"{name}: refused")


if __name__ == "__main__":
    harness.main()
