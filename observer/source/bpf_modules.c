/* SPDX-License-Identifier: GPL-2.0-only */
/* libbpf looks for types that the kernel itself lacks in those of its modules, and gives up where it may not list them: that
 * needs CAP_SYS_ADMIN, which heaptrace does without (libbpf 1.1; later ones go on). What heaptrace asks for is never a
 * module's. So libbpf's own call is answered here: there are none. A libbpf that cannot be answered works as before. */
#include <bpf/bpf.h>
#include <errno.h>

/* NOLINTNEXTLINE(readability-non-const-parameter): the declaration is libbpf's */
int bpf_btf_get_next_id(__u32 start_id, __u32 *next_id)
{
	(void)start_id;
	(void)next_id;
	errno = ENOENT;
	return -ENOENT;
}
