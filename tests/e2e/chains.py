# SPDX-License-Identifier: GPL-2.0-only
"""Programs with known call chains, made of the sources in stacks/."""

import os
import subprocess

from harness import new_path

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stacks")
DEPTH = 511  # frames of a stack at most
LINKS = ["alpha", "beta", "gamma", "room", "aligned", "deep", "fill"]

# Which functions of the program must be on the stack of the mmap of so many pages, innermost first.
CHAINS = {
    201: "chain_gamma chain_beta chain_alpha main",
    202: "chain_gamma chain_room main",
    203: "chain_gamma chain_aligned main",
    204: "chain_gamma " + "chain_deep " * 61 + "main",
    205: "chain_gamma chain_handler chain_raise main",
    206: "chain_gamma chain_handler chain_raise main",
    207: "chain_gamma chain_compare chain_sort main",
    208: "chain_gamma chain_beta chain_alpha chain_thread",
    209: "chain_gamma chain_beta chain_context",
    210: "chain_gamma chain_beta chain_alpha chain_fork main",
}
PLUGIN = {231: "chain_gamma chain_beta chain_plugin main"}

_built = {}


def compile_one(compiler, source, flags):
    key = (compiler, source, flags)
    if key not in _built:
        _built[key] = new_path(".o")
        subprocess.run([compiler, "-c", "-g", *flags.split(), "-o", _built[key], os.path.join(SOURCES, source)], check=True)
    return _built[key]


def build(flags, link="", main="chains.c"):
    """The program, compiled with these flags; its path."""
    path = new_path()
    compiler = "g++" if main.endswith(".cc") else "gcc"
    objects = [compile_one(compiler, main, flags)] + [compile_one("gcc", f"{name}.c", flags) for name in LINKS]
    subprocess.run([compiler, "-o", path, *objects, *link.split(), "-pthread"], check=True)
    return path


def plugin(flags):
    path = new_path(".so")
    subprocess.run(["gcc", "-shared", "-fPIC", *flags.split(), "-o", path, os.path.join(SOURCES, "plugin.c")], check=True)
    return path
