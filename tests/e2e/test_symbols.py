#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Names of call chains, from the running program to every report, and from a recording when the program is long gone."""

import fcntl
import glob
import http.server
import os
import random
import re
import shutil
import subprocess
import threading

import chains
import harness
from chains import CHAINS, PLUGIN
from harness import (HEAPTRACE, PYTHON, Process, Run, case, children_of, environment, folder, is_gone, new_path, observe, prog, run,
                     wait_until)

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "prog", "callers.c")
F_SETPIPE_SZ = 1031  # of linux/fcntl.h
BLOCKS = 5
BLOCK = 400 * 1024


def line_of(comment):
    with open(SOURCE, encoding="utf-8") as file:
        return next(number for number, line in enumerate(file, 1) if f"/* {comment} */" in line)


def chain(row):
    return [frame["sym"] for frame in row["stack"]]


def calls(rows, name, function):
    return [row for row in rows if row["name"] == name and function in chain(row)]


def check_rows(t, rows, what):
    parsed, dropped = calls(rows, "mmap", "parse_chunk"), calls(rows, "munmap", "drop_all")
    shown = [(row["name"], row["stack_complete"], row.get("stack_lost"), chain(row)) for row in rows if row["name"] == "mmap"][-6:]
    t.equal(len(parsed), BLOCKS, f"{what}: each block is asked for by parse_chunk", *shown)
    t.equal(len(dropped), BLOCKS, f"{what}: each is given back by drop_all", *shown)
    for row, links in ([(row, [("malloc", None), ("parse_chunk", "parse"), ("load_file", "load"), ("main", "main loads")])
                        for row in parsed] +
                       [(row, [("free", None), ("drop_all", "drop"), ("main", "main drops")]) for row in dropped]):
        names = chain(row)
        t.ok(row["stack_complete"], f"{what}: the chain is whole", names)
        t.ok([name for name in names if name in [link for link, _ in links]] == [link for link, _ in links],
             f"{what}: its functions are named, in order", names)
        for frame in row["stack"]:
            comment = dict(links).get(frame["sym"])
            if comment:
                t.equal((os.path.basename(frame["file"] or ""), frame["line"]), ("callers.c", line_of(comment)),
                        f"{what}: {frame['sym']} is where the source says")
                t.ok(frame["off"] > 0 and frame["addr"] > 0, f"{what}: and behind its beginning")


@case("stacks")
def rows(t, source):
    done = observe(source, [prog("callers")])
    t.balanced(done)
    check_rows(t, done.books.rows, "jsonl")
    program = [frame["obj"] for row in calls(done.books.rows, "mmap", "parse_chunk") for frame in row["stack"]
               if frame["sym"] == "parse_chunk"]
    t.equal(set(program), {os.path.realpath(prog("callers"))}, "and the object is the program's file")


@case("stacks")
def text(t, source):
    done = run([HEAPTRACE, "-s", source, "--", prog("callers")])
    parsed = re.findall(r" mmap\(.*  malloc\(\) ← parse_chunk \(callers\.c:(\d+)\)\n", done.err)
    dropped = re.findall(r" munmap\(.*  free\(\) ← drop_all \(callers\.c:(\d+)\)\n", done.err)
    t.equal(parsed, [str(line_of("parse"))] * BLOCKS, "a row names the allocator function and its caller")
    t.equal(dropped, [str(line_of("drop"))] * BLOCKS, "and who gives back")
    t.ok("\n                        0x" not in done.err, "without -v there are no whole chains")
    whole = run([HEAPTRACE, "-s", source, "-v", "--", prog("callers")]).err
    t.ok(re.search(r"\n +0x[0-9a-f]+ parse_chunk\+0x[0-9a-f]+ \(.*callers\.c:\d+\) in .*\n"
                   r" +0x[0-9a-f]+ load_file\+0x[0-9a-f]+ .*\n +0x[0-9a-f]+ main\+0x", whole), "with -v there are", whole)
    none = run([HEAPTRACE, "-s", source, "--stacks", "none", "--", prog("callers")]).err
    t.ok("parse_chunk" not in none and "←" not in none, "--stacks none takes none")


@case("stacks")
def recorded(t, source):
    """The program and what it was made of are gone when the recording is read."""
    program, recording = os.path.join(folder(), "callers"), new_path(".rec")
    shutil.copy(prog("callers"), program)
    done = run([HEAPTRACE, "-s", source, "-f", "recording", "-o", recording, "--", program])
    os.unlink(program)
    t.equal(done.rc, 0, "it is recorded", done)

    def report(*options):
        return run([HEAPTRACE, "report", "-o", "-", *options, recording])

    path = new_path(".jsonl")
    again = run([HEAPTRACE, "report", "-f", "jsonl", "-o", path, recording])
    again.path = path
    check_rows(t, again.books.rows, "recorded")
    with open(recording, encoding="utf-8") as file:
        lines = [line.split(" ", 2) for line in file if line.startswith("stack ")]
    t.equal(len({frames for _, _, frames in lines}), len(lines), "each call chain is written once")

    folded = dict(line.rsplit(" ", 1) for line in report("-f", "folded").out.splitlines())
    own = {name: int(value) for name, value in folded.items() if ";load_file;parse_chunk;malloc" in name}
    t.ok(sum(own.values()) >= BLOCKS * BLOCK, "folded weighs the chain by what it gained", folded)
    t.none([name for name in folded if "drop_all" in name], "who gives back has gained nothing")
    counted = dict(line.rsplit(" ", 1) for line in report("-f", "folded", "--weight", "count").out.splitlines())
    t.equal([value for name, value in counted.items() if ";main;drop_all;free" in name], [str(BLOCKS)],
            "--weight count counts")
    t.ok(report("-f", "folded", "--weight", "rss").out != report("-f", "folded").out, "--weight rss weighs otherwise")

    table = report("-f", "summary").out
    t.ok(re.search(r"\n +\d+ +\+\d+ +\+\d+ +0 +\d+ .*  malloc\(\) ← parse_chunk \(callers\.c:\d+\)\n", table),
         "summary has the call site, with what it gained", table)
    t.ok(re.search(rf"\n +{BLOCKS} +-\d+ +0 +-\d+ .*  free\(\) ← drop_all \(callers\.c:\d+\)\n", table),
         "and the one that gave back", table)


def compiled(name, *flags):
    """The program of callers.c, in a directory of its own; its path."""
    path = os.path.join(new_path(), name)
    os.makedirs(os.path.dirname(path))
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-O1", "-g", *flags, "-o", path, SOURCE], check=True)
    return path


def observe_held(source, command):
    """Like observe(), but the program lives until all its rows have been seen."""
    path = new_path(".jsonl")
    options = ["-s", source, "-f", "jsonl", "-o", path, "--stacks", "dwarf", "--"]

    def held():
        with open(path, "rb") as file:
            return b'"name":"held"' in file.read()
    with Process([HEAPTRACE, *options, *command]) as observer:
        wait_until(lambda: os.path.exists(path) and held() or observer.popen.poll() is not None, "the program to be held")
        return Run(*observer.finish(), path)


@case()
def whose_file(t, source):
    """It is the mapped file that is read: if its name is gone or another's, and where only the program sees it."""
    program = compiled("callers", "-static")
    room, other = os.path.dirname(program), new_path()
    shutil.copy("/bin/true", other)
    hidden = f"mount -t tmpfs none {room} && cp {prog('callers')} {room} && exec {program}"
    ways = {
        "in another mount namespace": ["unshare", "--mount", "sh", "-c", hidden],
        "in another root": ["chroot", room, "/callers"],
        "under a name that is another file's": ["sh", "-c", f"exec 9<{program}; mv {other} {program}; exec /proc/self/fd/9"],
        "without a name": ["sh", "-c", f"exec 9<{program}; rm {program}; exec /proc/self/fd/9"],
    }
    for what, command in ways.items():
        if command[0] != "sh" and os.geteuid() != 0:
            t.skip(what, f"only root can {command[0]}")
            continue
        kept = new_path()
        shutil.copy(program, kept)
        done = observe_held(source, command)
        if t.balanced(done, f"{what}: books balance"):
            check_rows(t, done.books.rows, what)
        shutil.copy(kept, program)


def leads_to(descriptor, path):
    try:
        return os.readlink(descriptor) == path
    except OSError:
        return False


@case()
def report_that_waits(t, source):
    """A file without a name is opened when it is mapped, not when the report comes to that: by then the process has ended."""
    program, path = compiled("callers", "-static"), new_path()
    script = f"for i in 1 2 3 4 5 6 7 8; do /bin/true; done; exec 9<{program}; rm {program}; exec /proc/self/fd/9"
    os.mkfifo(path)
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(pipe, F_SETPIPE_SZ, 4096)
    with Process([HEAPTRACE, "-s", source, "-f", "jsonl", "-o", path, "--stacks", "dwarf", "--", "sh", "-c", script]) as observer:
        folder_of = f"/proc/{observer.pid}/fd/*"
        wait_until(lambda: any(leads_to(fd, program + " (deleted)") for fd in glob.glob(folder_of)), "the program's file to be open")
        pids = children_of(observer.pid)
        observer.popen.stdin.close()
        wait_until(lambda: any(is_gone(pid) for pid in pids), "the program to end")
        os.set_blocking(pipe, True)
        with os.fdopen(pipe, "rb") as file, open(path + ".jsonl", "wb") as copy:
            shutil.copyfileobj(file, copy)
        observer.popen.stdin = None
        done = Run(*observer.finish(), path + ".jsonl")
    if t.balanced(done):
        check_rows(t, done.books.rows, "report")


@case()
def made_code(t, source):
    """Code without a file: its names are in a list that the program leaves, under its number as it knows it."""
    for what, before in (("", []), ("in its own namespace: ", ["unshare", "--fork", "--pid"])):
        if before and os.geteuid() != 0:
            t.skip("in its own namespace", "only root can unshare")
            continue
        done = observe_held(source, [*before, prog("jit")])
        if not t.balanced(done, f"{what}books balance"):
            continue
        rows = calls(done.books.rows, "mmap", "called_back")
        t.equal(len(rows), 1, f"{what}the call that the made code has led to")
        for row in rows:
            names = chain(row)
            at = names.index("called_back")
            t.equal(names[at:at + 4], ["called_back", "made at run time", "call_made", "main"], f"{what}its chain")
            t.equal(row["stack"][at + 1]["obj"], "[jit]", f"{what}what was made is marked so")
            t.ok(row["stack_complete"], f"{what}and nothing is missing")
            os.unlink(f"/tmp/perf-{1 if before else row['pid']}.map")


@case()
def inlined_everywhere(t, source):
    """Compiled as one and without frame pointers, some functions have no code of their own: they are named all the same."""
    program = chains.build("-O2 -flto -fomit-frame-pointer -fno-optimize-sibling-calls", "-O2 -g -flto -fno-optimize-sibling-calls")
    done = observe(source, [program, chains.plugin("-O2")], "--stacks", "dwarf")
    if not t.balanced(done):
        return
    inlined = 0
    for pages, wanted in {**CHAINS, **PLUGIN}.items():
        rows = [row for row in done.books.rows if row["name"] == "mmap" and row["args"] and row["args"]["len"] == pages * 4096]
        names = [frame["sym"] for row in rows for frame in row["stack"] if re.match("chain_|main$", frame["sym"] or "")]
        inlined += sum(frame.get("inlined", False) for row in rows for frame in row["stack"] if (frame["sym"] or "").startswith("chain_"))
        t.equal(names, wanted.split(), wanted if len(wanted) < 80 else wanted[:40] + "...", rows)
    t.ok(inlined >= 3, "some of them are inlined", inlined)


def damaged(path, seed):
    """A copy of a library in which all that the loader does not read is damaged: tables of frames, symbols, DWARF."""
    copy, dice = new_path(".so"), random.Random(seed)
    listing = subprocess.run(["readelf", "-SW", path], stdout=subprocess.PIPE, text=True, check=True).stdout
    with open(path, "rb") as file:
        data = bytearray(file.read())
    for offset, size in re.findall(r" \.(?:eh_frame\S*|symtab|strtab|debug_\S+) +\w+ +\w+ (\w+) (\w+)", listing):
        for _ in range(1 + int(size, 16) // 40):
            data[int(offset, 16) + dice.randrange(int(size, 16))] = dice.randrange(256)
    with open(copy, "wb") as file:
        file.write(data)
    return copy


@case()
def damaged_libraries(t, source):
    """What a program's files hold is not trusted: it costs names and frames, and nothing else."""
    program, library = chains.build("-O2"), chains.plugin("-O2 -g")
    for seed in range(4):
        done = observe(source, [program, damaged(library, seed)], "--stacks", "dwarf")
        if not t.balanced(done, f"damage {seed}: books balance"):
            continue
        rows = [row for row in done.books.rows if row["name"] == "mmap" and row["args"] and row["args"]["len"] == 231 * 4096]
        names = [frame["sym"] for row in rows for frame in row["stack"] if re.match("chain_", frame["sym"] or "")]
        t.equal(names[:2], ["chain_gamma", "chain_beta"], f"damage {seed}: as far as the way leads through other files", rows)


@case("faults")
def kernel_code(t, source):
    """The code that the kernel gives each process: its first touch is in itself."""
    done = observe(source, [PYTHON, "-I", "-S", "-c", "import time; time.time()"], "--stacks", "dwarf")
    if t.balanced(done):
        found = [row for row in done.books.rows if row["stack"] and row["stack"][0]["obj"] == "[vdso]"]
        names = {row["stack"][0]["sym"] for row in found}
        t.ok(found and names <= {"clock_gettime", "__vdso_clock_gettime", "time", "gettimeofday", "getcpu"}, "named", names)
        t.ok(all(row["stack_complete"] and len(row["stack"]) > 5 for row in found), "with all that has led there", found)


class DebugServer:
    """A debuginfod server that has one file, and counts who asks."""

    def __init__(self, program, path):
        listing = subprocess.run(["readelf", "-n", program], stdout=subprocess.PIPE, text=True, check=True).stdout
        self.name = f"/buildid/{re.search('Build ID: ([0-9a-f]+)', listing).group(1)}/debuginfo"
        self.asked = []
        with open(path, "rb") as file:
            data = file.read()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(handler):  # pylint: disable=no-self-argument
                self.asked.append(handler.path)
                found = handler.path == self.name
                handler.send_response(200 if found else 404)
                handler.send_header("Content-Length", str(len(data) if found else 0))
                handler.end_headers()
                if found:
                    handler.wfile.write(data)

            def log_message(handler, *_):  # pylint: disable=no-self-argument
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@case()
def debug_server(t, source):
    """Debug files come from a server only if the user has said which."""
    program = compiled("callers", "-Wl,--build-id")
    debug = new_path(".debug")
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    listing = subprocess.run(["nm", "-S", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    start, size = (int(word, 16) for word in re.search(r"(\S+) (\S+) t parse_chunk\n", listing).groups())
    subprocess.run(["strip", program], check=True)
    with DebugServer(program, debug) as server:
        done = observe(source, [program], "--stacks", "dwarf")
        if t.balanced(done):
            t.equal((calls(done.books.rows, "mmap", "parse_chunk"), server.asked), ([], []), "nobody is asked unasked")
            found = [row for row in done.books.rows if row["cause"] == "syscall" and row["name"] == "mmap" and
                     any(not frame["sym"] and frame["obj"] == program and start < frame["off"] <= start + size for frame in row["stack"])]
            t.equal(len(found), BLOCKS, "a function without a name has its address in the file")
        text = run([HEAPTRACE, "-s", source, "--stacks", "dwarf", "--", program]).err
        t.equal(len(re.findall(r" mmap\(.*  malloc\(\) ← callers\+0x[0-9a-f]+\n", text)), BLOCKS, "which is the same wherever it is mapped", text)
        cache = new_path()
        os.mkdir(cache)
        os.chmod(cache, 0o777)
        # Not the cache of whoever runs this: what an earlier run has left there would not be asked for.
        for what, env in (("", {"HOME": "/nonexistent"}), ("with a cache: ", {"DEBUGINFOD_CACHE_PATH": cache})):
            done = observe(source, [program], "--stacks", "dwarf", env=environment(DEBUGINFOD_URLS=server.url, **env))
            if t.balanced(done, f"{what}books balance"):
                check_rows(t, done.books.rows, f"{what}from the server")
                t.ok(server.name in server.asked, f"{what}it was asked", server.asked)
                t.equal(len(server.asked), len(set(server.asked)), f"{what}once for each file", server.asked)
            server.asked.clear()
        t.none(glob.glob("/var/tmp/heaptrace-debuginfod-*"), "nothing is left of what was fetched")


if __name__ == "__main__":
    harness.main()
