# SPDX-License-Identifier: GPL-2.0-only
# Data flows one way: fails on an #include of a layer that the including file must not see.
#
# Every local include is written "LAYER/NAME.h" (or "NAME.h" for a file beside the including one).

function layer(path)
{
	if (match(path, /^observer\/[a-z]+\//))
		return substr(path, 10, RLENGTH - 10)
	if (path ~ /^observer\//)
		return "session"
	sub(/\/.*/, "", path)
	return path
}

function exists(path, line, found)
{
	found = (getline line < path) >= 0
	close(path)
	return found
}

# The repository's path of an include, "" where there is none.
function resolve(name, from, dir)
{
	dir = from
	sub(/[^\/]*$/, "", dir)
	if (exists(dir name))
		return dir name
	if (exists("observer/" name))
		return "observer/" name
	return exists(name) ? name : ""
}

BEGIN {
	sees["base"] = " base "
	sees["event"] = " base event "
	sees["source"] = " base event source bpf "
	sees["model"] = " base event model "
	sees["report"] = " base event model report "
	sees["session"] = " base event source model report session "
	sees["bpf"] = " bpf "
	sees["target"] = " target "
	sees["tests"] = " base event source model report session bpf target tests "
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
	name = $0
	sub(/^[^"]*"/, "", name)
	sub(/".*/, "", name)
	if (name ~ /\.inc$/)
		next # generated
	path = resolve(name, FILENAME)
	if (path == "") {
		print FILENAME ":" FNR ": no such file: " name
		bad = 1
	} else if (!index(sees[layer(FILENAME)], " " layer(path) " ")) {
		print FILENAME ":" FNR ": " layer(FILENAME) " must not see " layer(path) ": " name
		bad = 1
	}
}

# A <header> of the repository would go round the rule.
/^[ \t]*#[ \t]*include[ \t]*<(base|event|source|model|report)\// {
	print FILENAME ":" FNR ": a local header between < and >"
	bad = 1
}

END { exit bad }
