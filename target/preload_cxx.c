/* SPDX-License-Identifier: GPL-2.0-only */
/* operator new and operator delete of C++ in all their forms, by the names that the Itanium C++ ABI gives them.
 *
 * They keep C++'s contract with the C++ library that the program has, if it has one: its new-handler is called, and its
 * std::bad_alloc is thrown. */
#include "preload.h"

#include "operator_block.h"

#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

_Static_assert(_Generic((size_t)0, unsigned long : 1, default : 0),
	       "m stands for unsigned long, which size_t has to be");

typedef void (*new_handler)(void);

/* std::get_new_handler(), std::__throw_bad_alloc(): of libstdc++ and, the first, libc++; NULL in a program without. */
extern new_handler _ZSt15get_new_handlerv(void) __attribute__((weak));
extern void _ZSt17__throw_bad_allocv(void) __attribute__((weak, noreturn));

/* [new.delete.single]/3-4: try; call the handler; try again; without a handler, throw. Frames of this library are passed
 * by exceptions, for which it is compiled with unwind tables (-fexceptions). */
static void *new_or_throw(size_t size, size_t align)
{
	for (;;) {
		void *ptr = preload_alloc(size, align);
		new_handler handler;

		if (ptr)
			return ptr;
		handler = _ZSt15get_new_handlerv ? _ZSt15get_new_handlerv() : NULL;
		if (handler)
			handler();
		else if (_ZSt17__throw_bad_allocv)
			_ZSt17__throw_bad_allocv();
		else
			opblock_die("operator new: %zu bytes cannot be had\n", size);
	}
}

/* What the nothrow forms do beyond the first attempt: a handler may end the loop by an exception, which has to be caught,
 * and C has no catch. The C++ library's own form, @name, has: it calls the throwing form here inside of a try. */
static void *next_nothrow(const char *name, size_t size, size_t align, const void *tag)
{
	void *next = dlsym(RTLD_NEXT, name);
	void *(*plain)(size_t, const void *);
	void *(*aligned)(size_t, size_t, const void *);

	if (!next)
		return NULL;
	if (align == 0) {
		memcpy(&plain, &next, sizeof(plain));
		return plain(size, tag);
	}
	memcpy(&aligned, &next, sizeof(aligned));
	return aligned(size, align, tag);
}

static void *new_nothrow(const char *name, size_t size, size_t align, const void *tag)
{
	void *ptr = preload_alloc(size, align);

	if (ptr || !_ZSt15get_new_handlerv || !_ZSt15get_new_handlerv())
		return ptr;
	return next_nothrow(name, size, align, tag);
}

/* m: std::size_t; St11align_val_t: std::align_val_t; RKSt9nothrow_t: const std::nothrow_t &. */
#define NEW(NAME)                               \
	PRELOAD_EXPORT void *NAME(size_t size); \
	PRELOAD_EXPORT void *NAME(size_t size)  \
	{                                       \
		return new_or_throw(size, 0);   \
	}
#define NEW_ALIGNED(NAME)                                     \
	PRELOAD_EXPORT void *NAME(size_t size, size_t align); \
	PRELOAD_EXPORT void *NAME(size_t size, size_t align)  \
	{                                                     \
		return new_or_throw(size, align);             \
	}
#define NEW_NOTHROW(NAME)                                        \
	PRELOAD_EXPORT void *NAME(size_t size, const void *tag); \
	PRELOAD_EXPORT void *NAME(size_t size, const void *tag)  \
	{                                                        \
		return new_nothrow(#NAME, size, 0, tag);         \
	}
#define NEW_ALIGNED_NOTHROW(NAME)                                              \
	PRELOAD_EXPORT void *NAME(size_t size, size_t align, const void *tag); \
	PRELOAD_EXPORT void *NAME(size_t size, size_t align, const void *tag)  \
	{                                                                      \
		return new_nothrow(#NAME, size, align, tag);                   \
	}

NEW(_Znwm)
NEW(_Znam)
NEW_ALIGNED(_ZnwmSt11align_val_t)
NEW_ALIGNED(_ZnamSt11align_val_t)
NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
NEW_NOTHROW(_ZnamRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)

/* Every form of delete is told the address first; no more is needed. */
#define DELETE(NAME)                         \
	PRELOAD_EXPORT void NAME(void *ptr); \
	PRELOAD_EXPORT void NAME(void *ptr)  \
	{                                    \
		preload_free(ptr);           \
	}
#define DELETE_1(NAME)                                      \
	PRELOAD_EXPORT void NAME(void *ptr, uintptr_t one); \
	PRELOAD_EXPORT void NAME(void *ptr, uintptr_t one)  \
	{                                                   \
		(void)one;                                  \
		preload_free(ptr);                          \
	}
#define DELETE_2(NAME)                                                     \
	PRELOAD_EXPORT void NAME(void *ptr, uintptr_t one, uintptr_t two); \
	PRELOAD_EXPORT void NAME(void *ptr, uintptr_t one, uintptr_t two)  \
	{                                                                  \
		(void)one;                                                 \
		(void)two;                                                 \
		preload_free(ptr);                                         \
	}

DELETE(_ZdlPv)
DELETE(_ZdaPv)
DELETE_1(_ZdlPvm)
DELETE_1(_ZdaPvm)
DELETE_1(_ZdlPvSt11align_val_t)
DELETE_1(_ZdaPvSt11align_val_t)
DELETE_1(_ZdlPvRKSt9nothrow_t)
DELETE_1(_ZdaPvRKSt9nothrow_t)
DELETE_2(_ZdlPvmSt11align_val_t)
DELETE_2(_ZdaPvmSt11align_val_t)
DELETE_2(_ZdlPvSt11align_val_tRKSt9nothrow_t)
DELETE_2(_ZdaPvSt11align_val_tRKSt9nothrow_t)
