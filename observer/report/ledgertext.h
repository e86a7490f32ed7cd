/* SPDX-License-Identifier: GPL-2.0-only */
/* ledgertext: the closed books of one mm as tables for people. */
#ifndef HEAPTRACE_LEDGERTEXT_H
#define HEAPTRACE_LEDGERTEXT_H

#include "model/record.h"
#include "report/textstyle.h"

/* Adds the ledger: opening, each cause, closing, what /proc said, and whether it balances. Times count from @start_ns. */
void ledgertext_add(struct buf *buf, const struct textstyle *style, const struct ledger_view *ledger,
		    uint64_t start_ns);

/* Adds a table of the causes in each phase, from mark to mark. Nothing where there is no mark. */
void ledgertext_add_phases(struct buf *buf, const struct textstyle *style, const struct ledger_view *ledger,
			   uint64_t start_ns);

/* Adds the same books in one line, for the many; ledgertext_add_line_head() names its columns. */
void ledgertext_add_line(struct buf *buf, const struct textstyle *style, const struct ledger_view *ledger);
void ledgertext_add_line_head(struct buf *buf, const struct textstyle *style);

#endif
