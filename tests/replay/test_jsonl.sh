#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The expected jsonl outputs, which test_replay compares byte by byte, are what a strict reader of JSON takes: valid UTF-8,
# no NaN, no key twice, the fields that are fixed, and books whose sums are right.
set -u

cd "$(dirname "$0")/../.." || exit 1
set -- tests/replay/*.jsonl.expect
echo "1..$#"
number=0
status=0
for file; do
    number=$((number + 1))
    if message=$(python3 - "$file" 2>&1 <<'PYTHON'
import json
import sys

EVENT = ["type", "ts_ns", "pid", "tid", "comm", "mm", "cause", "name", "args", "ret", "error", "virt", "rss", "anon",
         "file", "shmem", "swap", "virt_after", "rss_after", "region", "count", "stack", "stack_complete"]
FIXED = {
    "header": ["type", "version", "source", "caps", "page_size", "cmd", "start_ns"],
    "event": EVENT,
    "mark": ["type", "ts_ns", "pid", "tid", "name"],
    "sample": ["type", "ts_ns", "pid", "virt", "rss", "anon", "file", "shmem", "swap"],
    "ledger": ["type", "pid", "mm", "image", "opening", "closing", "proc", "by_cause", "unattributed", "lost_events",
               "coalesced_events", "balanced"],
    "end": ["type", "ts_ns", "exit", "processes", "events"],
    "lost": ["type", "ts_ns", "records", "what"],
}


def unique(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), keys
    return dict(pairs)


def refuse(word):
    raise ValueError(word)


with open(sys.argv[1], "rb") as lines:
    rows = [json.loads(line.decode("utf-8", "strict"), object_pairs_hook=unique, parse_constant=refuse) for line in lines]
for row in rows:
    missing = [key for key in FIXED[row["type"]] if key not in row]
    assert not missing, (row["type"], missing)
assert rows[0]["type"] == "header" and rows[-1]["type"] == "end"
assert rows[-1]["events"] == sum(row["type"] == "event" for row in rows)
for row in rows:
    if row["type"] == "event":
        assert row["rss"] == row["anon"] + row["file"] + row["shmem"], row
        for frame in row["stack"]:
            assert set(frame) >= {"addr", "sym", "off", "obj", "file", "line"}, frame
        if row["args"] is not None and row["cause"] == "syscall" and row["name"] == "mmap":
            assert list(row["args"]) == ["addr", "len", "prot", "flags", "fd", "off"], row
        assert (row["error"] is None) or row["ret"] == -1, row
for ledger in (row for row in rows if row["type"] == "ledger"):
    own = [row for row in rows if row["type"] == "event" and row["mm"] == ledger["mm"] and row["cause"] != "exit"]
    for part in ("virt", "rss"):
        moved = sum(row[part] for row in own)
        assert moved == sum(line[part] for line in ledger["by_cause"]), (ledger["mm"], part)
        if ledger["balanced"]:
            assert moved == ledger["closing"][part] - ledger["opening"][part], (ledger["mm"], part)
    assert sum(line["count"] for line in ledger["by_cause"]) == sum(row["count"] for row in own)
PYTHON
    ); then
        echo "ok $number - $file"
    else
        echo "not ok $number - $file"
        printf '%s\n' "$message" | sed 's/^/# /'
        status=1
    fi
done
exit $status
