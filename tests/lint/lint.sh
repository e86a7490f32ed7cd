#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Checks the sources themselves; each check is one result in TAP.
#
# usage: tests/lint/lint.sh [CHECK]...      all checks by default, but for aarch64; from the top of the repository
# shellcheck disable=SC2317 # the checks are called by name
set -u

cd "$(dirname "$0")/../.." || exit 1
checks='layers headers prototypes format tidy cppcheck shellcheck python lengths spdx words toplevel manpage options'
FORMAT_MAJOR=14 # other versions of clang-format lay out the same style differently
SKIP=77
include='-iquote observer -iquote . -iquote build/gen'
language='-std=gnu11 -D_GNU_SOURCE'

# files EXTENSION...: the sources with these name endings, one a line.
files() {
    for ending; do
        find bpf observer target tests -name "*.$ending" ! -path 'tests/*/expect/*'
    done | LC_ALL=C sort
}

# The kernel side is compiled for another machine; the header that it shares with user space is not.
user_files() {
    files "$@" | grep -e '^bpf/wire\.h$' -e '^[^b]'
}

# scripts ENDING SHELL: files with this name ending, and those whose first line names this interpreter (an awk pattern).
scripts() {
    {
        files "$1"
        find tests .ci docs -type f -exec awk -v shell="^#!.*[/ ]($2)( -B)?$" 'FNR == 1 && $0 ~ shell { print FILENAME }' '{}' +
    } | LC_ALL=C sort -u
}

# needs COMMAND: a reason to skip where it is not installed.
needs() {
    command -v "$1" >/dev/null 2>&1 && return 0
    echo "$1 is not installed"
    return "$SKIP"
}

# All that the ptrace source needs compiles for aarch64, with Debian's gcc-aarch64-linux-gnu and libc6-dev-arm64-cross. None of
# the tests can run it here, so it is no part of make check.
check_aarch64() {
    needs aarch64-linux-gnu-gcc || return
    gen=$(mktemp -d) || return
    CC=aarch64-linux-gnu-gcc sh observer/event/syscall_names.sh >"$gen/syscall_names.inc"
    # shellcheck disable=SC2086
    aarch64-linux-gnu-gcc $language -iquote "$gen" $include -Wall -Wextra -Werror -fsyntax-only \
        observer/base/*.c observer/event/*.c observer/source/ptrace*.c observer/source/perf_faults.c \
        observer/source/proc.c observer/source/replay*.c observer/source/unwind*.c 2>&1
    status=$?
    rm -r "$gen"
    return "$status"
}

check_layers() {
    files c h | xargs awk -f tests/lint/layers.awk
}

check_headers() {
    status=0
    for header in $(user_files h); do
        # shellcheck disable=SC2086
        gcc $language $include -Wall -Wextra -Werror -fsyntax-only -x c "$header" 2>&1 || status=1
    done
    return "$status"
}

check_prototypes() {
    user_files h | grep '^observer/' | xargs awk -f tests/lint/prototypes.awk
}

check_format() {
    needs clang-format || return
    found=$(clang-format --version | sed 's/.*version \([0-9]*\)\..*/\1/')
    if [ "$found" != "$FORMAT_MAJOR" ]; then
        echo "clang-format $found is installed, the style is checked by $FORMAT_MAJOR"
        return "$SKIP"
    fi
    for file in $(files c h); do
        clang-format "$file" | cmp -s - "$file" || echo "$file: run clang-format -i on it"
    done | quiet_or_fail
}

check_tidy() {
    needs clang-tidy || return
    # shellcheck disable=SC2086
    user_files c | grep -E '^(observer|target)/' |
        xargs -P 2 -n 4 sh -c 'clang-tidy --quiet "$@" -- '"$language $include"' 2>&1 | grep -vE "^[0-9]+ (warning|error)s?( and [0-9]+ errors?)? generated" || :' tidy |
        quiet_or_fail
}

# quiet_or_fail: passes its input on; fails if there is any.
quiet_or_fail() {
    awk '{ print } END { exit NR > 0 }'
}

check_cppcheck() {
    needs cppcheck || return
    # shellcheck disable=SC2086
    user_files c | grep -E '^(observer|target)/' |
        xargs cppcheck -q -j 2 --std=c11 --enable=warning,performance,portability --inline-suppr \
            --suppressions-list=tests/lint/cppcheck.txt --error-exitcode=1 -D_GNU_SOURCE -D__linux__ -D__x86_64__ \
            '-DLIBBPF_OPTS(TYPE,NAME,...)=struct TYPE NAME={__VA_ARGS__}' \
            -I observer -I . -I build/gen 2>&1
}

check_shellcheck() {
    needs shellcheck || return
    scripts sh '(ba)?sh' | xargs shellcheck -x
}

check_python() {
    needs python3 || return
    scripts py python3 | xargs -r python3 -c 'import ast, sys
for name in sys.argv[1:]:
    ast.parse(open(name, encoding="utf-8").read(), name)' 2>&1
}

check_lengths() {
    files c h S | xargs awk -v max_file=500 -v max_function=60 -f tests/lint/lengths.awk
}

check_spdx() {
    { files c h S; scripts sh '(ba)?sh'; scripts py python3; echo Makefile; } | LC_ALL=C sort -u |
        xargs awk 'FNR == 1 { seen = 0 } /SPDX-License-Identifier: GPL-2.0-only/ { seen = 1 }
            FNR == 2 && !seen { print FILENAME ": no SPDX line at its top"; bad = 1 } END { exit bad }'
}

# Nothing left open, no path or host of one particular machine. (The patterns do not match themselves.)
check_words() {
    find Makefile README.md .ci bpf observer target tests docs -type f ! -name '*.pyc' -exec grep -nIE \
        '\<(TOD[O]|FIXM[E]|XX[X]|HAC[K])\>|not implemente[d]|(^|[^[:alnum:]_./-])/(wor[k]|far[m])/|[a-z0-9-]+\.debian[.]org|registry[.]npmjs' \
        '{}' + | quiet_or_fail
}

check_toplevel() {
    # shellcheck disable=SC2010
    ls -A | grep -vxE 'Makefile|README\.md|LICENSE|target|observer|bpf|tests|docs|build|\..*' |
        sed 's/$/: not in the layout of the top level/' | quiet_or_fail
}

check_manpage() {
    needs mandoc || return
    # STYLE messages of mandoc are about mdoc habits; warnings and errors are faults.
    mandoc -T lint -W warning docs/*.1 2>&1 | quiet_or_fail
}

# Every option that heaptrace lists is in the man page and in the completion, and these name no other.
check_options() {
    if [ ! -x build/heaptrace ]; then
        echo "build/heaptrace is not built"
        return "$SKIP"
    fi
    sh tests/lint/options.sh build/heaptrace
}

# run NUMBER CHECK: one line of TAP, with what the check printed where it failed.
run() {
    output=$("check_$2")
    status=$?
    case $status in
    0) echo "ok $1 - $2" ;;
    "$SKIP") echo "ok $1 - $2 # SKIP $output" ;;
    *)
        echo "not ok $1 - $2"
        printf '%s\n' "$output" | head -n 100 | sed 's/^/# /'
        failed=1
        ;;
    esac
}

[ $# -gt 0 ] || eval "set -- $checks"
failed=0
number=0
echo "1..$#"
for check; do
    number=$((number + 1))
    run "$number" "$check"
done
exit $failed
