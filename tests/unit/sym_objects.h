/* SPDX-License-Identifier: GPL-2.0-only */
/* Small objects, made by the compiler and objcopy in a directory of the test's own, in every state in which distributions
 * ship theirs. */
#ifndef HEAPTRACE_SYM_OBJECTS_H
#define HEAPTRACE_SYM_OBJECTS_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];

static const char make_objects[] =
	"cd %s && set -e\n"
	"cat >lib.c <<'END'\n"
	"volatile int sink;\n"
	"static __attribute__((noinline)) void hidden(int x) { sink = x; }\n" /* line 2 */
	"static inline __attribute__((always_inline)) void inner(int x) { sink += x; hidden(x); }\n"
	"static inline __attribute__((always_inline)) void middle(int x)\n"
	"{\n"
	"	inner(x + 1);\n" /* line 6 */
	"}\n"
	"void visible(int x)\n"
	"{\n"
	"	middle(x + 2);\n" /* line 10 */
	"	sink = 0;\n"
	"}\n"
	"int main(void) { visible(1); return 0; }\n"
	"END\n"
	"cat >apart.c <<'END'\n"
	"__asm__(\".text\\n.balign 16\\n.type first, @function\\nfirst: nop\\n.size first, 1\\n.balign 16\\n\"\n"
	"	\".type second, @function\\nsecond: nop\\n.size second, 1\\n.balign 16\\n\");\n"
	"int leaf(int);\n"
	"extern volatile int v;\n"
	"int split(int x)\n"
	"{\n"
	"	if (x == 0) return 1;\n"
	"	for (int i = 0; i < x; i++)\n"
	"		v += leaf(i) * leaf(x) + leaf(i + 1) + leaf(i + 2) + leaf(i + 3);\n"
	"	return leaf(x) + 2;\n"
	"}\n"
	"int one(int x) { return split(x) + 1; }\n"
	"int two(int x) { return split(x * 2) + 2; }\n"
	"static __attribute__((used)) int deep(int x) { return x ? leaf(deep(x - 1)) + leaf(deep(x - 2)) : 1; }\n"
	"END\n"
	"cat >lib.cc <<'END'\n"
	"namespace app { template <class T> struct Widget { __attribute__((noinline)) void grow(T x); T held; };\n"
	"template <class T> void Widget<T>::grow(T x) { held += x; } }\n"
	"void use(app::Widget<int> &w) { w.grow(3); w.grow(4); }\n"
	"END\n"
	"cc=\"${CC:-gcc} -O2 -g -fPIC -Wl,--build-id\"\n"
	"$cc -shared -o full.so lib.c\n"
	"$cc -no-pie -fno-PIC -o fixed lib.c\n"
	"$cc -shared -o apart.so apart.c && nm apart.so >apart.names\n"
	"$cc -gdwarf-4 -shared -o four.so lib.c\n"
	"$cc -gz -shared -o packed.so lib.c\n"
	"g++ -O2 -g -fPIC -shared -o cxx.so lib.cc\n"
	"strip -o stripped.so full.so\n"
	"strip --strip-debug -o symbols.so full.so\n"
	"objcopy --only-keep-debug full.so linked.debug\n"
	"objcopy --add-gnu-debuglink=linked.debug stripped.so linked.so\n"
	"id=$(readelf -n full.so | sed -n 's/.*Build ID: //p')\n"
	"mkdir -p root/.build-id/${id%%${id#??}}\n"
	"cp linked.debug root/.build-id/${id%%${id#??}}/${id#??}.debug\n"
	"gcc -O2 -g -fPIC -shared -Wl,--build-id=none -o bare.so lib.c\n"
	"mkdir .debug\n"
	"objcopy --only-keep-debug bare.so .debug/bare.debug\n"
	"strip bare.so\n"
	"(cd .debug && objcopy --add-gnu-debuglink=bare.debug ../bare.so)\n"
	"cp bare.so other.so && objcopy --remove-section=.gnu_debuglink other.so\n"
	"cp linked.debug .debug/other.debug && (cd .debug && objcopy --add-gnu-debuglink=other.debug ../other.so)\n"
	"echo wrong >>.debug/other.debug\n"
	"nm full.so >names && nm --defined-only fixed >fixed.names && nm cxx.so >cxx.names && nm four.so >four.names\n"
	"nm packed.so >packed.names\n";

static inline int make_all(void **state)
{
	char script[sizeof(make_objects) + 128];

	(void)state;
	strcpy(dir, "/tmp/heaptrace-symbols-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(script, sizeof(script), make_objects, dir);
	return system(script);
}

static inline int remove_all(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* The address of @symbol in the list that nm made. */
static inline uint64_t address_of(const char *list, const char *symbol)
{
	char path[128], line[512], name[400], type;
	unsigned long long addr;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, list);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx %c %399s", &addr, &type, name) == 3 && !strcmp(name, symbol)) {
			fclose(file);
			return addr;
		}
	}
	fail_msg("%s has no %s", path, symbol);
	return 0;
}

static inline char *slurp(const char *object, size_t *ret_len)
{
	char path[128], *data = malloc(1 << 20);
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, object);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	*ret_len = (size_t)read(fd, data, 1 << 20);
	close(fd);
	return data;
}

static inline void write_bytes(const char *object, const void *data, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, object);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

#endif
