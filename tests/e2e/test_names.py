#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Names that a process gives itself, its marks and its files are not trusted: valid JSON, and nothing for a terminal."""

import os
import re
import shutil

import harness
from harness import HEAPTRACE, case, folder, new_path, observe, prog, run

# Everything that a terminal might obey, C1 controls and changes of writing direction among them.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@case()
def hostile_names(t, source):
    done = observe(source, [prog("names"), folder()])
    if not t.balanced(done, "the output is valid JSON and the books balance"):
        return
    t.agrees(done)
    comms = {row["comm"] for row in done.books.rows}
    t.ok("\x1b[31mred\x1b[0m" in comms, "a name with control characters arrives whole in jsonl", comms)
    t.ok('"quote\\"' in comms and "</script><b>" in comms, "and so do quotes", comms)
    marks = [mark["name"] for mark in done.books.marks]
    t.ok("a\nb\tc\rd" in marks, "marks too", marks[:20])
    long = [name for name in marks if name and set(name) == {"m"}]
    t.ok(long and max(map(len, long)) <= 255, "a long mark is cut at 255 bytes", [len(name) for name in long])
    paths = [row["region"]["path"] for row in done.books.rows if row["region"] and row["region"]["path"]]
    t.ok(any("\x1b[31m" in path for path in paths), "the path of a mapped file", paths[-20:])


@case()
def nothing_for_the_terminal(t, source):
    for form in ("text", "summary"):
        path = new_path(".txt")
        done = run([HEAPTRACE, "-s", source, "-f", form, "-o", path, "--", prog("names"), folder()])
        t.equal(done.rc, 0, f"{form}: status", done)
        with open(path, "rb") as file:
            data = file.read()
        text = data.decode("utf-8", "replace")
        t.none([line for line in text.split("\n") if CONTROL.search(line) or "\ufffd" in line],
               f"{form}: no control character, and valid UTF-8")


@case()
def hostile_program(t, source):
    path = os.path.join(folder(), "\x1b[2J\n\"'\\\u202eprogram")
    shutil.copy(prog("signals"), path)
    os.chmod(path, 0o755)
    done = observe(source, [path, "exit", "3"])
    t.balanced(done, rc=3)
    t.ok(path in {ledger["image"] for ledger in done.books.ledgers.values()}, "the image's path arrives whole in jsonl")
    t.equal(done.books.header["cmd"][0], path, "and the command in the header")
    text = run([HEAPTRACE, "-s", source, "--", path, "exit", "3"])
    t.none([line for line in text.err.split("\n") if CONTROL.search(line)], "text: no control character", text.err[:500])
    binary = observe(source, [prog("signals"), "exit", b"3\xff\xfe"])
    t.none(binary.books.problems(), "an argument that is no UTF-8: valid JSON")
    missing = run([HEAPTRACE, "-s", source, "--", "/no/such/\x1b[31m\n"])
    t.ok(missing.rc == 127 and not CONTROL.search(missing.err), "messages are escaped", missing)


if __name__ == "__main__":
    harness.main()
