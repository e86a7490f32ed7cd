/* SPDX-License-Identifier: GPL-2.0-only */
#include "model/sym_demangle.h"

#include <libiberty/demangle.h>
#include <stdbool.h>
#include <string.h>

/* Longer mangled names are no longer worth the while. */
#define MANGLED_MAX 16384

#define ELLIPSIS "..."

struct text {
	char *data;
	size_t len;
	bool cut;
};

/* A demangle_callbackref: it cannot say stop, so what is too much is dropped. */
static void add(const char *part, size_t len, void *opaque)
{
	struct text *text = opaque;
	size_t room = SYM_NAME_SIZE - 1 - text->len;

	if (len > room) {
		text->cut = true;
		len = room;
	}
	if (len)
		memcpy(text->data + text->len, part, len);
	text->len += len;
}

static void finish(struct text *text)
{
	if (text->cut)
		memcpy(text->data + SYM_NAME_SIZE - sizeof(ELLIPSIS), ELLIPSIS, sizeof(ELLIPSIS));
	else
		text->data[text->len] = '\0';
}

/* Where the name proper ends: before a version (@GLIBC_2.2.5), or what compilers put behind a dot for clones of a
 * function (.cold, .part.0, .constprop.1, .isra.0, .lto_priv.3, .llvm.123). */
static size_t proper_len(const char *name)
{
	static const char *const suffixes[] = { ".cold", ".part.", ".constprop.", ".isra.", ".lto_priv.", ".llvm." };
	size_t len = strcspn(name, "@");

	if (!len)
		return strlen(name);
	for (unsigned int i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		const char *at = strstr(name, suffixes[i]);

		if (at && at > name && (size_t)(at - name) < len)
			len = (size_t)(at - name);
	}
	return len;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): it is written to through @text */
void sym_demangle(const char *mangled, char out[SYM_NAME_SIZE])
{
	struct text text = { .data = out };
	char name[MANGLED_MAX];
	size_t len = proper_len(mangled);

	if (len < sizeof(name) && mangled[0] == '_') {
		memcpy(name, mangled, len);
		name[len] = '\0';
		/* Old Rust names are valid C++ ones, so Rust goes first. Never DMGL_NO_RECURSE_LIMIT. */
		if (rust_demangle_callback(name, DMGL_NO_OPTS, add, &text)) {
			finish(&text);
			return;
		}
		text = (struct text){ .data = out };
		if (cplus_demangle_v3_callback(name, DMGL_ANSI, add, &text)) {
			finish(&text);
			return;
		}
		text = (struct text){ .data = out };
	}
	add(mangled, len, &text);
	finish(&text);
}
