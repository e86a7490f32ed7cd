// SPDX-License-Identifier: GPL-2.0-only
/* The kernel side in one translation unit: each part adds its programs to the same object. Programs are raw_tp where the
 * current task and plain numbers suffice: for a tp_btf program the kernel searches all its types each time it is loaded. */
#include <linux/bpf.h>
#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;

#include <stdbool.h>

#define __VMLINUX_H__ /* kernel.h stands in for it: bpf_tracing.h then uses the kernel's register names */
#include "bpf/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/wire.h"

#pragma clang diagnostic ignored "-Wunused-parameter" /* a tracepoint's arguments are what they are */

#include "bpf/maps.bpf.h"

#include "bpf/word.bpf.h"

#include "bpf/desk.bpf.h"

#include "bpf/number.bpf.h"

#include "bpf/ring.bpf.h"

#include "bpf/batch.bpf.h"

#include "bpf/emit.bpf.h"
#include "bpf/path.bpf.h"

#include "bpf/rss.bpf.h"

#include "bpf/pending.bpf.h"

#include "bpf/calls.bpf.h"

#include "bpf/books.bpf.h"
#include "bpf/stack.bpf.h"
#include "bpf/vma.bpf.h"

#include "bpf/code.bpf.h"

#include "bpf/faults.bpf.c"
#include "bpf/life.bpf.c"
#include "bpf/seed.bpf.c"
#include "bpf/syscalls.bpf.c"

char LICENSE[] SEC("license") = "GPL";
