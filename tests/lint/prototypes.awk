# SPDX-License-Identifier: GPL-2.0-only
# Every function that a header declares has a sentence above it; neighbours without a blank line between them share one.

FNR == 1 { explained = 0; inside = 0 }

/^$/ { explained = 0; next }

/\*\/[ \t]*$/ { explained = 1; next }

# The further lines of a declaration.
inside { inside = $0 !~ /[;{][ \t]*$/; next }

/^[a-z].*\(/ && !/^(typedef|static inline|#)/ {
	inside = $0 !~ /[;{][ \t]*$/
	if (!explained) {
		print FILENAME ":" FNR ": no sentence says what this does: " $0
		bad = 1
	}
}

END { exit bad }
