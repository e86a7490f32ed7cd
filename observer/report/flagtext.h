/* SPDX-License-Identifier: GPL-2.0-only */
/* flagtext: the bits of syscall arguments by name. */
#ifndef HEAPTRACE_FLAGTEXT_H
#define HEAPTRACE_FLAGTEXT_H

#include "base/buf.h"
#include "event/memcalls.h"

#include <stdbool.h>
#include <stdint.h>

/* Adds the argument @value of @role as words, such as "rw" or "private|anon"; bits and values without a name in hex.
 * Returns false, with nothing added, where the role is none of flags, protection or advice. */
bool flagtext_add(struct buf *buf, enum arg_role role, uint64_t value);

#endif
