# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
# What the tests that are shell scripts print, in TAP. They source it with $tmp set, where $tmp/out and $tmp/err are what the last
# command has said.
number=0

# result STATUS NAME: one line; on failure with what was said.
result() {
    number=$((number + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $number - $2"
    else
        echo "not ok $number - $2"
        head -n 20 "${tmp:?}/out" "$tmp/err" | sed 's/^/# /'
    fi
}

# skip NAME REASON
skip() {
    number=$((number + 1))
    echo "ok $number - $1 # SKIP $2"
}
