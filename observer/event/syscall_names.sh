#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Writes one SYSCALL(name) line for each syscall that the compiler's <asm/unistd.h> knows; the C file that includes them
# takes the numbers from the same header. CC chooses the compiler, CFLAGS its target.
set -eu

# CC and CFLAGS may be several words.
# shellcheck disable=SC2086
names=$(echo '#include <asm/unistd.h>' | ${CC:-cc} ${CFLAGS:-} -E -dM -x c - |
    sed -n 's/^#define __NR_\([a-z0-9_]*\) .*/\1/p' |
    grep -vx -e syscalls -e arch_specific_syscall | sort -u)
[ -n "$names" ] || {
    echo "syscall_names.sh: <asm/unistd.h> names no syscall" >&2
    exit 1
}
echo "/* Written by observer/event/syscall_names.sh. */"
for name in $names; do
    echo "SYSCALL($name)"
done
