# SPDX-License-Identifier: GPL-2.0-only
# Fails on files of more than max_file lines, and on functions of more than max_function from name to closing brace.

function file_end()
{
	if (lines > max_file) {
		print name_of_file ": " lines " lines (limit " max_file ")"
		bad = 1
	}
}

FNR == 1 {
	file_end()
	name_of_file = FILENAME
	start = 0
}

{ lines = FNR }

/^[a-zA-Z_].*\)[ \t]*\{?$/ && !/^(struct|union|enum) [a-z_]+ *\{$/ {
	start = FNR
	signature = $0
	sub(/\(.*/, "", signature)
	sub(/.*[ *]/, "", signature)
}

/^\}/ {
	if (start && FNR - start + 1 > max_function) {
		print FILENAME ":" start ": " signature "() has " FNR - start + 1 " lines (limit " max_function ")"
		bad = 1
	}
	start = 0
}

END {
	file_end()
	exit bad
}
