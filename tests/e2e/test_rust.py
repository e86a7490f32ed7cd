#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""Call chains of a Rust program, by their names: closures, trait objects, inlined functions, threads, a panic that unwinds."""

import os
import re
import shutil
import subprocess

import chains
import harness
from harness import HEAPTRACE, case, environment, new_path, observe, prog, run

SOURCE = os.path.join(chains.SOURCES, "chains.rs")

# By the pages that are mapped; inlined functions are among them.
CHAINS = {
    301: ["gamma", "beta", "alpha", "all", "main"],
    302: ["gamma", "beta", "<Square as Shape>::area", "all", "main"],
    303: ["gamma", "beta", "all::closure", "generic::apply", "all", "main"],
    304: ["gamma", "<Guard as core::ops::drop::Drop>::drop", "thrower", "all::closure", "all", "main"],
    305: ["gamma", "within", "around", "all", "main"],
    306: ["gamma", "beta", "alpha", "all::closure"],
    308: ["fill", "all", "main"],  # 307 and malloc's own
}

MANGLINGS = ("v0", "legacy")

# By the way of mangling. tests/kernels/initramfs compiles them beforehand, as it does not take the compiler along.
_built = {one: prog("rust-" + one) for one in MANGLINGS if os.path.exists(prog("rust-" + one))}


def rustc():
    return shutil.which("rustc") or shutil.which("rustc", path=os.path.expanduser("~/.cargo/bin"))


def build(mangling):
    """The program with names of this kind; compiled once."""
    if mangling not in _built:
        path = new_path()
        # Which way of mangling is not stable any more, or not yet, differs from version to version.
        subprocess.run([rustc(), "-O", "-g", "-C", "force-frame-pointers=no", "-Z", "unstable-options", "-C",
                        f"symbol-mangling-version={mangling}", "--crate-name", "chains", "-o", path, SOURCE],
                       env={**environment(), "RUSTC_BOOTSTRAP": "1"}, check=True)
        _built[mangling] = path
    return _built[mangling]


def plain(name):
    """A name without what differs between the two ways: arguments of generic functions, numbers of closures."""
    return re.sub(r"::<.*?>+(?=::|$)", "", re.sub(r"\{+closure(#\d+)?\}+", "closure", name)).replace("chains::", "")


@case()
def known_chains(t, source):
    if not _built and not rustc():
        t.skip("all", "no Rust compiler is installed")
        return
    for mangling in MANGLINGS:
        done = observe(source, [build(mangling)], "--stacks", "dwarf")
        if not t.balanced(done, f"{mangling}: books balance"):
            continue
        calls = {row["args"]["len"] // 4096: row for row in done.books.rows if row["name"] == "mmap" and row["args"]}
        for pages, wanted in CHAINS.items():
            row = calls.get(pages, {"stack": [], "stack_complete": False})
            names = [frame["sym"] for frame in row["stack"] if frame["sym"]]
            t.equal([plain(name) for name in names if re.match("<?chains::", name)], wanted, f"{mangling}: {' '.join(wanted)}", names)
            t.ok(row["stack_complete"], f"{mangling}: to the end")
        inlined = [frame["sym"] for frame in calls[305]["stack"] if frame.get("inlined")]
        t.ok("chains::within" in inlined, f"{mangling}: what is inlined is marked so", inlined)
    text = run([HEAPTRACE, "-s", source, "--stacks", "dwarf", "--", build("v0")]).err
    t.ok(re.search(r"  alloc::alloc::alloc\(\) ← chains::fill \(chains\.rs:\d+\)\n", text), "a row names who has asked for memory",
         *[line for line in text.splitlines() if " mmap(" in line and "←" in line][-4:])


if __name__ == "__main__":
    harness.main()
