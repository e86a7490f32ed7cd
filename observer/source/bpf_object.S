/* SPDX-License-Identifier: GPL-2.0-only */
/* The compiled kernel side, as a part of the program: the bytes from bpf_object_start up to bpf_object_end are the ELF
 * file that the Makefile names BPF_OBJECT. libelf wants it aligned. */
	.section .rodata
	.balign 16
	.globl bpf_object_start, bpf_object_end
	.hidden bpf_object_start, bpf_object_end
bpf_object_start:
	.incbin BPF_OBJECT
bpf_object_end:
	.byte 0
	.section .note.GNU-stack, "", %progbits
