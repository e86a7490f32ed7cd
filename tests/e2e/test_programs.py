#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Ordinary programs: the books of every process balance, whatever it does."""

import os
import shutil
from itertools import zip_longest

import harness
from harness import PYTHON, TARGET, case, new_path, observe, prog, run, times

C_FILE = """#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void) { char *p = malloc(100); strcpy(p, "x"); return puts(p) < 0; }
"""


@case()
def shell_with_children(t, source):
    done = observe(source, ["/bin/sh", "-c", "ls -R /usr >/dev/null 2>&1; exit 0"])
    t.balanced(done)
    piped = observe(source, ["/bin/sh", "-c", "ls -R /usr/include | sort | uniq -c | tail -1; (exit 3); exit 4"])
    t.balanced(piped, rc=4)
    images = [os.path.basename(ledger["image"] or "") for ledger in piped.books.ledgers.values()]
    t.none([name for name in ("ls", "sort", "uniq", "tail") if name not in images], "a ledger for each program", images)


@case("syscalls")
def python_lists(t, source):
    done = observe(source, [PYTHON, "-c", "x=[bytearray(300000) for _ in range(200)]; del x"])
    if t.balanced(done):
        # The first blocks are above glibc's threshold of 128 KiB: mapped, and so given back one by one.
        rows = [row for row in done.books.rows if row["name"] == "munmap" and row["virt"] == -303104]
        t.ok(len(rows) >= 1, "the rows of the freed blocks are there", len(rows))


@case()
def compiler(t, source):
    path = new_path(".c")
    with open(path, "w", encoding="utf-8") as file:
        file.write(C_FILE)
    done = observe(source, ["gcc", "-O2", "-c", "-o", path + ".o", path])
    t.balanced(done)
    t.ok(os.path.exists(path + ".o"), "and the object file is there")
    t.ok(len(done.books.ledgers) >= 3, "gcc, cc1 and as each have a ledger", list(done.books.ledgers))


@case()
def static_binary(t, source):
    """No dynamic loader, no libc.so: with glibc, and with musl where its compiler is there."""
    for compiler_name in ("gcc", "musl-gcc"):
        if not shutil.which(compiler_name):
            t.skip(f"{compiler_name} -static", f"{compiler_name} is not installed")
            continue
        path = new_path("-static")
        built = run([compiler_name, "-static", "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-idirafter", "/usr/include", "-idirafter",
                     f"/usr/include/{os.uname().machine}-linux-gnu", "-o", path, "tests/e2e/prog/maps.c"])
        if not t.equal(built.rc, 0, f"{compiler_name} -static compiles", built):
            continue
        done = observe(source, [path])
        t.balanced(done, f"{compiler_name} -static: books balance")
        t.agrees(done, name=f"{compiler_name} -static: readings agree")
        t.equal([row["region"]["path"] for row in done.books.rows if row["region"] and row["region"]["path"]
                 and "libc" in row["region"]["path"]], [], f"{compiler_name} -static: no library is mapped")


@case()
def database(t, source):
    if not shutil.which("sqlite3"):
        t.skip("all", "sqlite3 is not installed")
        return
    done = observe(source, ["sqlite3", ":memory:", "create table t(a,b); with recursive n(i) as (select 1 union all select "
                            "i+1 from n where i<20000) insert into t select i, hex(randomblob(50)) from n; "
                            "select count(*) from t; delete from t; vacuum;"])
    t.balanced(done)
    t.equal(done.out, "20000\n", "and its output is its own")


@case()
def input_and_output_pass_through(t, source):
    with open(__file__, "rb") as file:
        done = observe(source, ["/bin/sh", "-c", "cat; echo err >&2; exit 9"], stdin=file)
    with open(__file__, encoding="utf-8") as file:
        t.equal(done.out, file.read(), "standard input and output are the command's")
    t.ok("err\n" in done.err, "and so is standard error", done.err)
    t.equal(done.rc, 9, "and its status")


@case()
def environment_is_untouched(t, source):
    """What a child inherits, seen from inside, is what it is without heaptrace."""
    script = ("ulimit -a; umask; pwd; nice; ls -l /proc/self/fd | grep -v /proc | sed 's/.* [0-9:]* //'; ps -o pgid= -o sid= "
              "-p $$ >/dev/null; env | sort | grep -v ^_=; grep -E '^(Sig[PBIC]|Shd|Cap|Cpus_allowed|Mems|NoNewPrivs|Groups|Uid|Gid|"
              "THP)' /proc/self/status; cat /proc/self/oom_score_adj /proc/self/coredump_filter /proc/self/timerslack_ns; "
              "cat /proc/self/cgroup; readlink /proc/self/ns/*")
    alone = run(["/bin/sh", "-c", script])
    done = observe(source, ["/bin/sh", "-c", script])
    hidden = ("NoNewPrivs",) if source == "ptrace" else ()  # its filter for syscalls asks for that bit

    def lines(text):
        return [line for line in text.splitlines() if not line.startswith(hidden or ("\0",)) and "socket:" not in line
                and "pipe:" not in line]
    t.none([f"alone: {a}; observed: {b}" for a, b in zip_longest(lines(alone.out), lines(done.out)) if a != b],
           "limits, signals, descriptors, capabilities and the like are the same")


@case(sources=("bpf",))
def tracer_inside(t, source):
    """A debugger among the observed processes pokes and stops the others."""
    done = observe(source, ["strace", "-f", "-o", "/dev/null", "/bin/sh", "-c", "/bin/true; /bin/true"])
    t.balanced(done)


@case()
def many_mappings(t, source):
    """Many, and a fork of them."""
    script = ("import mmap, os\n"
              f"maps = [mmap.mmap(-1, 4096 * 2, prot=1 + i % 2 * 2) for i in range({times(20000)})]\n"
              "pid = os.fork()\n"
              "maps.clear() if pid == 0 else os.waitpid(pid, 0)\n"
              "os._exit(0)\n")
    # Without call chains: those of so many rows would be 200 MB of JSON.
    t.balanced(observe(source, [PYTHON, "-S", "-E", "-c", script], "--stacks", "none"))


@case()
def target_alone(t, source):
    done = observe(source, [TARGET, *([] if source == "bpf" else ["--sizes", "2k,200k,2M,20M"])])
    t.balanced(done)
    t.ok(len(done.books.marks) >= 14, "it has left its marks", len(done.books.marks))


@case()
def empty_and_trivial(t, source):
    for command in (["/bin/true"], ["/bin/false"], ["/bin/sh", "-c", ""]):
        done = observe(source, command)
        t.balanced(done, f"{command}", rc=1 if "false" in command[0] else 0)
        t.equal(done.books.end["exit"], {"code": done.rc, "signal": None}, f"{command}: the end record has the status")
    t.balanced(observe(source, [prog("hold"), "0"]), "standard input at its end")


if __name__ == "__main__":
    harness.main()
