#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: GPL-2.0-only
"""On a kernel that was booted with lockdown=confidentiality: it is said in one line, and ptrace takes over."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
# pylint: disable=wrong-import-position
import harness
import machine
from harness import once
from test_rights import falls_back


@once
def locked_down(t):
    if t.equal(machine.chosen(machine.read("/sys/kernel/security/lockdown")), "confidentiality", "the kernel is locked down"):
        falls_back(t, [], ["lockdown"], "lockdown")


if __name__ == "__main__":
    # The cases of test_rights were registered with its import.
    os.environ["CASES"] = "locked_down"
    harness.main()
