#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Tests the test tools: the runner must notice each way in which a program fails, the lint rules each fault they are for.
# shellcheck disable=SC2016 # the scripts that are written here expand in their own shells
set -u

cd "$(dirname "$0")/../.." || exit 1
top=$PWD
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
number=0
failed=0

# result NAME STATUS: one line of TAP, with what the tool printed where STATUS is not 0.
result() {
    number=$((number + 1))
    if [ "$2" -eq 0 ]; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        sed 's/^/# /' "$dir/said"
        failed=1
    fi
}

# runner NAME EXPECTED SCRIPT: the last line of tests/run over a program SCRIPT, and its exit status.
runner() {
    printf '#!/bin/sh\n%s\n' "$3" >"$dir/program"
    chmod +x "$dir/program"
    TEST_SECONDS=2 "$top/tests/run" VALUE=given "$dir/program" >"$dir/said" 2>&1
    echo "status $?" >>"$dir/said"
    [ "$(tail -n 2 "$dir/said")" = "$2" ]
    result "$1" $?
}

runner 'the runner counts results' '2 passed, 0 failed, 1 skipped
status 0' 'echo 1..3; echo ok 1 - a; echo ok 2 - b; echo "ok 3 - c # SKIP why"'
runner 'a failed result' '1 passed, 1 failed, 0 skipped
status 1' 'echo 1..2; echo ok 1; echo not ok 2; exit 1'
runner 'no plan' '0 passed, 1 failed, 0 skipped
status 1' 'exit 0'
runner 'results that are missing' '1 passed, 1 failed, 0 skipped
status 1' 'echo 1..2; echo ok 1'
runner 'more results than planned' '2 passed, 1 failed, 0 skipped
status 1' 'echo 1..1; echo ok 1; echo ok 2'
runner 'a status that no result explains' '1 passed, 1 failed, 0 skipped
status 1' 'echo 1..1; echo ok 1; exit 3'
runner 'an end by a signal' '1 passed, 1 failed, 0 skipped
status 1' 'echo 1..1; echo ok 1; kill -SEGV $$'
runner 'the time limit' '1 passed, 1 failed, 0 skipped
status 1' 'echo 1..1; echo ok 1; sleep 60'
runner 'a program skipped as a whole' '0 passed, 0 failed, 1 skipped
status 0' 'echo "1..0 # SKIP not here"'
runner 'cmocka skips' '1 passed, 0 failed, 1 skipped
status 0' 'echo 1..2; echo ok 1 - a; echo "not ok 2 # SKIP b"'
runner 'the environment' '1 passed, 0 failed, 0 skipped
status 0' 'echo 1..1; [ "$VALUE" = given ] && echo ok 1'

# Two programs of which each waits for the other, and one that is ended with its runner.
printf '#!/bin/sh\n: >"$0.here"; for i in 1 2 3 4 5 6 7 8 9; do [ -e "%s/one.here" ] && [ -e "%s/two.here" ] && break; sleep 0.2; done\n' \
    "$dir" "$dir" >"$dir/one"
echo '[ "$i" -lt 9 ] && echo 1..1 && echo ok 1' >>"$dir/one"
cp "$dir/one" "$dir/two"
chmod +x "$dir/one" "$dir/two"
[ "$(TEST_JOBS=2 "$top/tests/run" "$dir/one" "$dir/two" | tail -n 1)" = '2 passed, 0 failed, 0 skipped' ]
result 'two programs at once' $?
printf '#!/bin/sh\necho $$ >"$0.pid"; exec sleep 60\n' >"$dir/long"
chmod +x "$dir/long"
"$top/tests/run" "$dir/long" >"$dir/said" 2>&1 &
while [ ! -s "$dir/long.pid" ]; do sleep 0.1; done
kill $!
wait $!
[ $? -eq 1 ] && ! kill -0 "$(cat "$dir/long.pid")" 2>/dev/null
result 'an end of the runner ends its programs' $?

# layer NAME FILE INCLUDE: that FILE may not include INCLUDE.
layer() {
    mkdir -p "$dir/tree/$(dirname "$2")" "$dir/tree/$(dirname "$3")"
    printf '#include "%s"\n' "${3#observer/}" >"$dir/tree/$2"
    : >"$dir/tree/$3"
    ! (cd "$dir/tree" && awk -f "$top/tests/lint/layers.awk" "$2") >"$dir/said" 2>&1
    result "$1" $?
}

layer 'a source must not see the model' observer/source/a.c observer/model/model.h
layer 'the model must not see a source' observer/model/a.c observer/source/source.h
layer 'a report must not see a source' observer/report/a.c observer/source/source.h
layer 'base must not see events' observer/base/a.c observer/event/event.h
layer 'the target must not see the observer' target/a.c observer/base/diag.h

# awkrule NAME RULE CONTENT: that the rule finds fault with a file of this content.
awkrule() {
    printf '%s\n' "$3" >"$dir/faulty.h"
    ! awk -v max_file=8 -v max_function=4 -f "tests/lint/$2.awk" "$dir/faulty.h" >"$dir/said" 2>&1
    result "$1" $?
}

awkrule 'a long function' lengths 'int main(void)
{
    a();
    b();
}'
awkrule 'a long file' lengths "$(seq 9)"
awkrule 'a prototype without a sentence' prototypes 'struct a;

int a_verb(struct a *a);'

echo "1..$number"
exit $failed
