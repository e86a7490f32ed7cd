#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Options that choose what is shown, formats, and what heaptrace says of itself."""

import json
import os
import re

import harness
from harness import HEAPTRACE, PYTHON, TARGET, case, folder, new_path, observe, once, prog, run


@case("syscalls")
def filter_by_cause(t, source):
    whole = observe(source, [prog("maps")])
    t.balanced(whole, "unfiltered")
    for expression, wanted in (("munmap", {"munmap"}), ("mmap,munmap", {"mmap", "munmap"})):
        done = observe(source, [prog("maps")], "-e", expression)
        t.balanced(done, f"-e {expression}", filtered=True)
        shown = {row["name"] for row in done.books.rows if row["cause"] not in ("exec", "exit", "fork")}
        t.equal(shown, wanted, f"-e {expression} shows only these")
        ledger = list(done.books.ledgers.values())[0]
        lines = {line["name"] for line in ledger["by_cause"]}
        t.ok(lines >= {"mmap", "munmap", "brk", "mprotect", "mremap"}, f"-e {expression}: the ledger counts all", lines)
        t.equal(ledger["closing"]["virt"] - ledger["opening"]["virt"], sum(line["virt"] for line in ledger["by_cause"]),
                f"-e {expression}: and its lines make its change")


@case("syscalls", "faults")
def filter_faults(t, source):
    done = observe(source, [prog("maps")], "-e", "fault")
    t.balanced(done, filtered=True)
    causes = {row["cause"] for row in done.books.rows} - {"exec", "exit", "fork"}
    t.equal(causes, {"fault"}, "-e fault shows faults")


@case("syscalls")
def hide_small_rows(t, source):
    done = observe(source, [prog("maps")], "--min", "1M")
    t.balanced(done, filtered=True)
    small = [row for row in done.books.rows if row["cause"] not in ("exec", "exit", "fork")
             and max(abs(row["virt"]), abs(row["rss"])) < 1 << 20]
    t.none(small, "--min 1M hides what changes less")
    t.ok([row for row in done.books.rows if row["virt"] == 400 * 4096], "and shows what changes more")


@case()
def samples(t, source):
    done = observe(source, [TARGET, "--sizes", "20M", "--rounds", "3"], "--sample", "2")
    t.balanced(done)
    found = done.books.of("sample")
    t.ok(found, "--sample leaves samples")
    t.none([one for one in found if one["rss"] != one["anon"] + one["file"] + one["shmem"]], "each adds up")
    t.none([one for one in found if one["virt"] <= 0 or one["ts_ns"] <= 0], "each has a time and a level")


@case()
def text_formats(t, source):
    """Text goes to standard error by default, to the file with -o; the last lines are the ledger."""
    command = [HEAPTRACE, "-s", source, "--", prog("signals"), "exit", "0"]
    plain = run(command)
    t.ok("mmap(" in plain.err and "VIRT" in plain.err and "RSS" in plain.err, "text is the default, on stderr", plain)
    t.ok("balanced" in plain.err, "it ends with the ledger", plain)
    t.equal([], re.findall(r"[\x00-\x08\x0b-\x1f\x7f]", plain.err), "no colour where there is no terminal")
    coloured = run([command[0], "--color", "always", *command[1:]])
    t.ok("\033[" in coloured.err, "--color always colours", coloured.err[:300])
    path = new_path(".txt")
    filed = run([command[0], "-o", path, *command[1:]])
    with open(path, encoding="utf-8") as file:
        text = file.read()
    t.ok("mmap(" in text and "mmap(" not in filed.err, "with -o it goes to the file only", filed)
    summary = run([command[0], "-f", "summary", *command[1:]])
    t.ok("balanced" in summary.err and "mmap(NULL" not in summary.err, "summary has the tables, not the rows", summary)
    quiet = run([command[0], "-q", *command[1:]])
    t.ok(len(quiet.err.splitlines()) < len(plain.err.splitlines()), "--quiet says less")


@case()
def columns_are_aligned(t, source):
    """From no change at all up to 2 TiB."""
    huge = "import mmap; mmap.mmap(-1, 2 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000).close()"
    done = run([HEAPTRACE, "-s", source, "--", PYTHON, "-c", huge])
    t.equal(done.rc, 0, "status", done)
    rows = [line for line in done.err.splitlines() if re.match(r"^ *\d+\.\d{6} ", line)]
    calls = {name: [line for line in rows if f" {name}(" in line] for name in ("mmap", "munmap", "mprotect", "brk")}
    t.ok(any(str(2 << 30) in line for line in calls["mmap"]), "2 TiB are there, in kB", done.err[:2000])
    columns = {line.index(f" {name}(") for name, lines in calls.items() for line in lines}
    t.equal(len(columns), 1, "the call begins in the same column in every row", *rows[:40])


@case()
def recording_and_report(t, source):
    path = new_path(".recording")
    done = run([HEAPTRACE, "-s", source, "-f", "recording", "-o", path, "--", TARGET, "--sizes", "2k,200k,2M,20M"])
    if not t.equal(done.rc, 0, "a recording is made", done):
        return
    out = new_path(".jsonl")
    replayed = run([HEAPTRACE, "report", "-f", "jsonl", "-o", out, path])
    replayed.path = out
    t.balanced(replayed, "report: the same books from the recording")
    text = run([HEAPTRACE, "report", path])
    t.ok(text.rc == 0 and "mmap(" in text.out + text.err, "report: text is the default", text)
    with open(path, "rb") as file:
        data = file.read()
    cut = new_path(".recording")
    with open(cut, "wb") as file:
        file.write(data[:len(data) * 2 // 3])
    half = run([HEAPTRACE, "report", "-f", "jsonl", "-o", new_path(), cut])
    t.ok(half.rc != 0 and len(half.err.strip().splitlines()) >= 1, "a recording cut short is told as such", half)


@once
def version(t):
    done = run([HEAPTRACE, "--version"])
    t.ok(done.rc == 0 and re.match(r"heaptrace \d+\.\d+", done.out), "--version", done)


@once
def usage(t):
    done = run([HEAPTRACE, "--help"])
    t.equal(done.rc, 0, "--help ends with 0", done)
    options = ("--output", "--format", "--source", "--duration", "--filter", "--min", "--stacks", "--no-follow", "--sample",
               "--user", "--root", "--quiet", "--verbose", "--color", "--version", "--help")
    t.none([name for name in options if name not in done.out], "it names every option", done.out)
    t.none([name for name in ("text", "summary", "jsonl", "recording", "bpf") if name not in done.out],
           "and the formats and sources", done.out)
    t.equal(run([HEAPTRACE, "-h"]).out, done.out, "-h is the same")
    t.none([line for line in done.out.splitlines() if len(line) > 100], "no line is too long for a terminal")


@once
def doctor(t):
    done = run([HEAPTRACE, "doctor"])
    t.equal(done.rc, 0, "doctor ends with 0 where a source works", done)
    t.none([name for name in ("bpf", "ptrace") if name not in done.out], "it speaks of each source", done.out)
    if os.geteuid() == 0:
        release = tuple(int(part) for part in os.uname().release.split(".")[:2])
        read = "by calls" if release < (6, 2) else "by loads, the current task too" if os.uname().machine == "x86_64" else "by loads"
        t.ok(re.search(rf"the kernel is read +{read}", done.out), "it says how the programs read the kernel", done.out)
        weak = run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", HEAPTRACE, "doctor"])
        t.ok("bpf" in weak.out + weak.err and weak.rc in (0, 125), "without rights it says what is missing", weak)
        t.ok(re.search(r"CAP_|root|sudo", weak.out + weak.err), "and how to mend it", weak)


@case()
def header(t, source):
    command = [prog("signals"), "exit", "0"]
    found = observe(source, command).books.header
    t.equal(found["cmd"], command, "the header has the command")
    t.equal((found["source"], found["version"], found["page_size"]), (source, 1, os.sysconf("SC_PAGESIZE")),
            "source, version and page size")
    known = {"syscalls", "faults", "kernel", "stacks"}
    t.ok(set(found["caps"]) <= known, "caps are known words", found)
    t.equal(set(found["caps"]) | set(found["not_seen"]), known, "what the source does not see is said", found)
    least = {"bpf": {"syscalls", "faults", "kernel"}, "ptrace": {"syscalls"}}[source]
    t.ok(set(found["caps"]) >= least, f"it sees {', '.join(sorted(least))} at least", found)
    text = run([HEAPTRACE, "-s", source, "-f", "summary", "--", *command])
    t.ok("does not see" in text.err or not found["not_seen"], "and the other formats say it too", text)
    stdout = run([HEAPTRACE, "-s", source, "-f", "jsonl", "-o", "-", "--", "/bin/true"])
    t.none([line for line in stdout.out.splitlines() if not isinstance(json.loads(line), dict)],
           "-o - gives the same on standard output", stdout)
    t.ok(stdout.rc == 0 and '"end"' in stdout.out.splitlines()[-1], "to its end", stdout)


@case()
def paths_relative_to_the_caller(t, source):
    done = run([HEAPTRACE, "-s", source, "-f", "jsonl", "-o", "here.jsonl", "--", "sh", "-c", "pwd"], cwd=folder())
    t.equal((done.rc, done.out.strip()), (0, folder()), "the command keeps the folder and is found by PATH", done)
    t.ok(os.path.exists(os.path.join(folder(), "here.jsonl")), "the output is where the caller stands")


if __name__ == "__main__":
    harness.main()
