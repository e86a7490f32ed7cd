#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The long options of `PROGRAM --help`, of the man page and of the completion must be the same.
#
# usage: tests/lint/options.sh PROGRAM
set -u

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

"$1" --help 2>&1 | grep -oE -e '--[a-z][a-z-]+' | LC_ALL=C sort -u >"$dir/help"
# In the page an option that is defined stands at the head of a .TP paragraph, its hyphens escaped.
awk '/^\.TP/ { head = 1; next } head { print; head = 0 }' docs/heaptrace.1 |
    sed 's/\\-/-/g; s/\\f[A-Z]//g' | grep -oE -e '--[a-z][a-z-]+' | LC_ALL=C sort -u >"$dir/page"
grep -oE -e '--[a-z][a-z-]+' docs/heaptrace.bash | LC_ALL=C sort -u >"$dir/completion"

status=0
for document in page completion; do
    for option in $(LC_ALL=C comm -23 "$dir/help" "$dir/$document"); do
        echo "$option: not in the $document"
        status=1
    done
    for option in $(LC_ALL=C comm -13 "$dir/help" "$dir/$document"); do
        echo "$option: in the $document, but no option of $1"
        status=1
    done
done
if [ ! -s "$dir/help" ]; then
    echo "$1 --help names no option"
    status=1
fi
exit $status
