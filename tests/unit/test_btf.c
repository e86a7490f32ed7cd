/* SPDX-License-Identifier: GPL-2.0-only */
/* The reduction of a kernel's types, held against libbpf's reading of the whole and of what is left. */
#include "base/btf.h"

#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Needs the above. */
#include <cmocka.h>

/* A structure with all that a structure can hold by value, and a pointer to one that nobody wants. */
static struct btf *whole_make(void)
{
	struct btf *btf = btf__new_empty();
	int number, chars, list, inner, outer, other, alias, mode, function, first, second;

	assert_non_null(btf);
	number = btf__add_int(btf, "unsigned int", 4, 0);
	chars = btf__add_array(btf, number, btf__add_int(btf, "char", 1, BTF_INT_CHAR), 16);
	other = btf__add_struct(btf, "other", 64);
	btf__add_field(btf, "far", number, 480, 0);
	list = btf__add_ptr(btf, other);
	inner = btf__add_union(btf, NULL, 8);
	btf__add_field(btf, "left", number, 0, 0);
	btf__add_field(btf, "right", list, 0, 0);
	mode = btf__add_enum(btf, "mode", 4);
	btf__add_enum_value(btf, "FAST", 1);
	alias = btf__add_typedef(btf, "alias", btf__add_const(btf, mode));
	outer = btf__add_struct(btf, "outer", 40);
	btf__add_field(btf, "name", chars, 0, 0);
	btf__add_field(btf, NULL, inner, 128, 0);
	btf__add_field(btf, "mode", alias, 192, 0);
	btf__add_field(btf, "bits", number, 224, 5);
	function = btf__add_func_proto(btf, number);
	btf__add_func_param(btf, "it", list);
	assert_true(outer > 0);
	assert_true(btf__add_func(btf, "walk", BTF_FUNC_GLOBAL, function) > 0);
	first = btf__add_var(btf, "first", BTF_VAR_STATIC, number);
	second = btf__add_var(btf, "second", BTF_VAR_GLOBAL_ALLOCATED, number);
	assert_true(btf__add_var(btf, "nowhere", BTF_VAR_GLOBAL_ALLOCATED, number) > 0);
	assert_true(btf__add_datasec(btf, ".data..percpu", 128) > 0);
	assert_int_equal(btf__add_datasec_var_info(btf, first, 0, 4), 0);
	assert_int_equal(btf__add_datasec_var_info(btf, second, 100, 4), 0);
	assert_true(btf__add_struct(btf, "outer", 4) > 0); /* another of the same name */
	return btf;
}

/* That a type that is wanted is the same in both. */
static void same_fields(const struct btf *whole, uint32_t from, const struct btf *cut, uint32_t to)
{
	const struct btf_type *a = btf__type_by_id(whole, from), *b = btf__type_by_id(cut, to);

	assert_int_equal(btf_kind(a), btf_kind(b));
	assert_string_equal(btf__name_by_offset(whole, a->name_off), btf__name_by_offset(cut, b->name_off));
	if (!btf_is_composite(a))
		return;
	assert_int_equal(btf_vlen(a), btf_vlen(b));
	assert_int_equal(a->size, b->size);
	for (unsigned int i = 0; i < btf_vlen(a); i++) {
		const struct btf_member *one = btf_members(a) + i, *other = btf_members(b) + i;

		assert_string_equal(btf__name_by_offset(whole, one->name_off),
				    btf__name_by_offset(cut, other->name_off));
		assert_int_equal(btf_member_bit_offset(a, i), btf_member_bit_offset(b, i));
		assert_int_equal(btf_member_bitfield_size(a, i), btf_member_bitfield_size(b, i));
		assert_int_equal(btf_kind(btf__type_by_id(whole, one->type)),
				 btf_kind(btf__type_by_id(cut, other->type)));
		if (!btf_is_fwd(btf__type_by_id(whole, one->type)) && btf__resolve_size(whole, one->type) >= 0)
			assert_int_equal(btf__resolve_size(whole, one->type), btf__resolve_size(cut, other->type));
	}
}

static void want(struct btf_wants *wants, uint32_t kind, const char *name)
{
	assert_int_equal(btf_want(wants, kind, name, strlen(name)), 0);
}

static struct btf *cut_parse(struct btf_wants *wants, const void *data, size_t size)
{
	struct buf out = { 0 };
	struct btf *cut;

	assert_int_equal(btf_cut(wants, data, size, &out), 0);
	cut = btf__new(out.data, (uint32_t)out.len);
	assert_non_null(cut);
	buf_free(&out);
	return cut;
}

static void what_is_wanted_is_there(void **state)
{
	struct btf *whole = whole_make(), *cut;
	struct btf_wants wants = { 0 };
	unsigned int outers = 0;
	const void *data;
	uint32_t size;

	(void)state;
	want(&wants, BTF_KIND_STRUCT, "outer");
	want(&wants, BTF_KIND_STRUCT, "outer");
	want(&wants, BTF_KIND_STRUCT, "oute");
	want(&wants, BTF_KIND_UNION, "outer");
	want(&wants, BTF_KIND_FUNC, "walk");
	assert_int_equal(wants.count, 4);
	data = btf__raw_data(whole, &size);
	cut = cut_parse(&wants, data, size);
	assert_int_equal(btf_wanted(&wants, BTF_KIND_STRUCT, "outer"),
			 btf__find_by_name_kind(whole, "outer", BTF_KIND_STRUCT));
	assert_int_equal(btf_wanted(&wants, BTF_KIND_FUNC, "walk"),
			 btf__find_by_name_kind(whole, "walk", BTF_KIND_FUNC));
	assert_int_equal(btf_wanted(&wants, BTF_KIND_UNION, "outer"), 0);
	assert_int_equal(btf_wanted(&wants, BTF_KIND_STRUCT, "oute"), 0);
	assert_int_equal(btf_wanted(&wants, BTF_KIND_FUNC, "never wanted"), 0);
	same_fields(whole, btf_wanted(&wants, BTF_KIND_STRUCT, "outer"), cut,
		    (uint32_t)btf__find_by_name_kind(cut, "outer", BTF_KIND_STRUCT));
	assert_int_equal(btf__find_by_name_kind(cut, "other", BTF_KIND_STRUCT), -ENOENT); /* but for a pointer */
	assert_int_equal(btf__find_by_name_kind(cut, "walk", BTF_KIND_FUNC), -ENOENT);
	for (uint32_t i = 1; i < btf__type_cnt(cut); i++)
		outers += !strcmp(btf__name_by_offset(cut, btf__type_by_id(cut, i)->name_off), "outer");
	assert_int_equal(outers, 2);
	btf_wants_free(&wants);
	btf__free(cut);
	btf__free(whole);
}

static void variables_have_their_places(void **state)
{
	struct btf *whole = whole_make();
	struct btf_wants wants = { 0 };
	uint32_t size, offset = 1;
	const void *data;

	(void)state;
	want(&wants, BTF_KIND_VAR, "first");
	want(&wants, BTF_KIND_VAR, "second");
	want(&wants, BTF_KIND_VAR, "nowhere");
	want(&wants, BTF_KIND_VAR, "third");
	data = btf__raw_data(whole, &size);
	btf__free(cut_parse(&wants, data, size));
	assert_true(btf_wanted_offset(&wants, "first", &offset));
	assert_int_equal(offset, 0);
	assert_true(btf_wanted_offset(&wants, "second", &offset));
	assert_int_equal(offset, 100);
	assert_int_equal(btf_wanted(&wants, BTF_KIND_VAR, "second"),
			 btf__find_by_name_kind(whole, "second", BTF_KIND_VAR));
	assert_false(btf_wanted_offset(&wants, "nowhere", &offset));
	assert_false(btf_wanted_offset(&wants, "third", &offset));
	assert_false(btf_wanted_offset(&wants, "never wanted", &offset));
	btf_wants_free(&wants);
	btf__free(whole);
}

/* No byte that is wrong, and no end that comes early, may be followed out of the data: for the sanitised build. */
static void damage_is_noticed(void **state)
{
	struct btf *whole = whole_make();
	struct btf_wants wants = { 0 };
	struct buf out = { 0 };
	const char *data;
	uint32_t size;
	char *copy;

	(void)state;
	want(&wants, BTF_KIND_STRUCT, "outer");
	want(&wants, BTF_KIND_VAR, "second");
	data = btf__raw_data(whole, &size);
	for (uint32_t len = 0; len < size; len++) {
		copy = malloc(len ? len : 1);
		assert_non_null(copy);
		memcpy(copy, data, len);
		assert_int_equal(btf_cut(&wants, copy, len, &out), -EBADMSG);
		free(copy);
	}
	copy = malloc(size);
	assert_non_null(copy);
	for (uint32_t i = 0; i < size; i++)
		for (int bit = 0; bit < 8; bit++) {
			int err;

			memcpy(copy, data, size);
			copy[i] ^= (char)(1 << bit);
			err = btf_cut(&wants, copy, size, &out);
			assert_true(!err || err == -EBADMSG);
			buf_reset(&out);
		}
	free(copy);
	buf_free(&out);
	btf_wants_free(&wants);
	btf__free(whole);
}

/* The types that the programs read most, of the kernel that runs here. */
static void kernel_is_the_same(void **state)
{
	static const char *const names[] = { "task_struct", "mm_struct", "vm_area_struct", "inode", "file",
					     "pt_regs",	    "mount",	 "signal_struct",  "pid" };
	struct btf_wants wants = { 0 };
	struct btf *whole, *cut;
	const void *data;
	uint32_t size;

	(void)state;
	if (access("/sys/kernel/btf/vmlinux", R_OK)) {
		print_message("# the kernel here offers no BTF\n");
		skip();
	}
	whole = btf__parse("/sys/kernel/btf/vmlinux", NULL);
	assert_non_null(whole);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		want(&wants, BTF_KIND_STRUCT, names[i]);
	data = btf__raw_data(whole, &size);
	cut = cut_parse(&wants, data, size);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		same_fields(whole, btf_wanted(&wants, BTF_KIND_STRUCT, names[i]), cut,
			    (uint32_t)btf__find_by_name_kind(cut, names[i], BTF_KIND_STRUCT));
	assert_true(btf__type_cnt(cut) < btf__type_cnt(whole) / 20);
	btf_wants_free(&wants);
	btf__free(cut);
	btf__free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wanted_is_there),
		cmocka_unit_test(variables_have_their_places),
		cmocka_unit_test(damage_is_noticed),
		cmocka_unit_test(kernel_is_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
