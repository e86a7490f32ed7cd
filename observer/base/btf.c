/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/btf.h"

#include <errno.h>
#include <linux/btf.h>
#include <stdlib.h>

/* Type information that is read. Types are numbered from 1 in the order in which they lie there. */
struct btf_view {
	const char *types, *strings;
	uint32_t types_len, strings_len;
	uint32_t *places; /* of the types, by number */
	uint32_t count;	  /* of the types, and 1 */
};

/* Type information that is written. */
struct btf_copy {
	const struct btf_view *view;
	struct buf types, strings;
	uint32_t *numbers; /* by the number that a type had: that which it has here; 0: not yet */
	struct buf queue;  /* numbers that types had, in the order of those that they have */
	uint32_t count;	   /* of the types that are numbered */
};

static unsigned int bucket_of(const char *name, size_t len)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < len && i < 4; i++)
		hash = (hash + (unsigned char)name[i]) * 0x9e3779b1u;
	return hash >> 24;
}

/* The index of the wanted type, or -1. */
static int want_find(const struct btf_wants *wants, uint32_t kind, const char *name, size_t len)
{
	int i = wants->buckets[bucket_of(name, len)] - 1;

	for (; i >= 0; i = wants->list[i].next) {
		const struct btf_want *want = &wants->list[i];

		if (want->kind == kind && want->len == len && !memcmp(want->name, name, len))
			return i;
	}
	return -1;
}

int btf_want(struct btf_wants *wants, uint32_t kind, const char *name, size_t len)
{
	int *bucket = &wants->buckets[bucket_of(name, len)];

	char *copy;

	if (want_find(wants, kind, name, len) >= 0)
		return 0;
	if (wants->count == wants->room) {
		unsigned int room = wants->room ? wants->room * 2 : 64;
		struct btf_want *list = reallocarray(wants->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		wants->list = list;
		wants->room = room;
	}
	copy = strndup(name, len);
	if (!copy)
		return -ENOMEM;
	wants->list[wants->count++] = (struct btf_want){ .name = copy, .len = len, .kind = kind, .next = *bucket - 1 };
	*bucket = (int)wants->count;
	return 0;
}

uint32_t btf_wanted(const struct btf_wants *wants, uint32_t kind, const char *name)
{
	int i = want_find(wants, kind, name, strlen(name));

	return i < 0 ? 0 : wants->list[i].number;
}

bool btf_wanted_offset(const struct btf_wants *wants, const char *name, uint32_t *ret_offset)
{
	int i = want_find(wants, BTF_KIND_VAR, name, strlen(name));

	if (i < 0 || !wants->list[i].placed)
		return false;
	*ret_offset = wants->list[i].offset;
	return true;
}

void btf_wants_free(struct btf_wants *wants)
{
	if (!wants)
		return;
	for (unsigned int i = 0; i < wants->count; i++)
		free(wants->list[i].name);
	free(wants->list);
	*wants = (struct btf_wants){ 0 };
}

/* How many bytes follow a type's first ones; SIZE_MAX where its kind is not known. */
static size_t tail_size(const struct btf_type *type)
{
	size_t count = BTF_INFO_VLEN(type->info);

	switch (BTF_INFO_KIND(type->info)) {
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
		return sizeof(uint32_t);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return count * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return count * sizeof(struct btf_enum);
	case BTF_KIND_FUNC_PROTO:
		return count * sizeof(struct btf_param);
	case BTF_KIND_DATASEC:
		return count * sizeof(struct btf_var_secinfo);
	case BTF_KIND_ENUM64:
		return count * sizeof(struct btf_enum64);
	}
	return SIZE_MAX;
}

/* Whether the name of a type of that kind may be wanted: most others' need not be read. */
static bool kind_is_sought(uint32_t kind)
{
	return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_FUNC ||
	       kind == BTF_KIND_VAR;
}

static int view_open(struct btf_view *view, const void *data, size_t size)
{
	struct btf_header head;
	const char *begin = data;

	if (size < sizeof(head))
		return -EBADMSG;
	memcpy(&head, data, sizeof(head));
	if (head.magic != BTF_MAGIC || head.version != BTF_VERSION || head.hdr_len < sizeof(head) ||
	    head.hdr_len > size)
		return -EBADMSG;
	size -= head.hdr_len;
	if (head.type_off > size || head.type_len > size - head.type_off || head.str_off > size || !head.str_len ||
	    head.str_len > size - head.str_off)
		return -EBADMSG;
	view->types = begin + head.hdr_len + head.type_off;
	view->types_len = head.type_len;
	view->strings = begin + head.hdr_len + head.str_off;
	view->strings_len = head.str_len;
	if (view->strings[0] || view->strings[head.str_len - 1])
		return -EBADMSG;
	view->places = malloc((head.type_len / sizeof(struct btf_type) + 1) * sizeof(*view->places));
	return view->places ? 0 : -ENOMEM;
}

static struct btf_type type_at(const struct btf_view *view, uint32_t place)
{
	struct btf_type type;

	memcpy(&type, view->types + place, sizeof(type));
	return type;
}

/* Queues the type numbered @number for the copy; the number that it has there. 0, void, where that has no use for it. */
static uint32_t type_take(struct btf_copy *copy, uint32_t number)
{
	if (!number || number >= copy->view->count)
		return 0;
	switch (BTF_INFO_KIND(type_at(copy->view, copy->view->places[number]).info)) {
	case BTF_KIND_FUNC:
	case BTF_KIND_FUNC_PROTO:
	case BTF_KIND_VAR:
	case BTF_KIND_DATASEC:
	case BTF_KIND_DECL_TAG:
		return 0;
	}
	if (!copy->numbers[number]) {
		buf_add(&copy->queue, &number, sizeof(number));
		copy->numbers[number] = ++copy->count;
	}
	return copy->numbers[number];
}

/* Takes notice of the type numbered @number, which is the last one known, if it is wanted. */
static void type_seek(struct btf_copy *copy, struct btf_wants *wants, const struct btf_type *type, uint32_t number)
{
	const char *name = copy->view->strings + type->name_off;
	int i;

	/* Few names begin as a wanted one does: the others need not be read to their ends. */
	if (!kind_is_sought(BTF_INFO_KIND(type->info)) || !wants->buckets[bucket_of(name, strnlen(name, 4))])
		return;
	i = want_find(wants, BTF_INFO_KIND(type->info), name, strlen(name));
	if (i < 0)
		return;
	if (!wants->list[i].number)
		wants->list[i].number = number;
	type_take(copy, number);
}

/* Takes notice of where the wanted variables lie that are in the section whose @count members are at @at. A section comes after what is in
 * it. */
static void section_seek(struct btf_wants *wants, const char *at, size_t count)
{
	struct btf_var_secinfo member;

	for (size_t i = 0; i < count; i++) {
		memcpy(&member, at + i * sizeof(member), sizeof(member));
		for (unsigned int j = 0; j < wants->count; j++) {
			struct btf_want *want = &wants->list[j];

			if (want->kind != BTF_KIND_VAR || !want->number || want->number != member.type)
				continue;
			want->offset = member.offset;
			want->placed = true;
		}
	}
}

/* Goes through all types, and queues those that are wanted. */
static int types_find(struct btf_view *view, struct btf_wants *wants, struct btf_copy *copy)
{
	uint32_t place = 0;

	view->count = 1;
	while (place < view->types_len) {
		uint32_t left = view->types_len - place;
		struct btf_type type;
		size_t tail;

		if (left < sizeof(type))
			return -EBADMSG;
		type = type_at(view, place);
		tail = tail_size(&type);
		if (tail > left - sizeof(type) || type.name_off >= view->strings_len)
			return -EBADMSG;
		view->places[view->count++] = place;
		place += (uint32_t)(sizeof(type) + tail);
		type_seek(copy, wants, &type, view->count - 1);
		if (BTF_INFO_KIND(type.info) == BTF_KIND_DATASEC)
			section_seek(wants, view->types + view->places[view->count - 1] + sizeof(type),
				     BTF_INFO_VLEN(type.info));
	}
	return 0;
}

static uint32_t name_take(struct btf_copy *copy, uint32_t name)
{
	uint32_t at = (uint32_t)copy->strings.len;

	if (!name || name >= copy->view->strings_len)
		return 0;
	buf_add(&copy->strings, copy->view->strings + name, strlen(copy->view->strings + name) + 1);
	return at;
}

static void members_write(struct btf_copy *copy, const char *at, size_t count)
{
	struct btf_member member;

	for (size_t i = 0; i < count; i++) {
		memcpy(&member, at + i * sizeof(member), sizeof(member));
		member.name_off = name_take(copy, member.name_off);
		member.type = type_take(copy, member.type);
		buf_add(&copy->types, &member, sizeof(member));
	}
}

static void type_write(struct btf_copy *copy, uint32_t place)
{
	struct btf_type type = type_at(copy->view, place);
	const char *tail = copy->view->types + place + sizeof(type);
	size_t count = BTF_INFO_VLEN(type.info);
	struct btf_array array;

	type.name_off = name_take(copy, type.name_off);
	switch (BTF_INFO_KIND(type.info)) {
	case BTF_KIND_PTR:
		type.type = 0;
		break;
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
		type.type = type_take(copy, type.type);
		break;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		type.info &= ~(uint32_t)BTF_MAX_VLEN; /* without its values */
		break;
	}
	buf_add(&copy->types, &type, sizeof(type));
	switch (BTF_INFO_KIND(type.info)) {
	case BTF_KIND_INT:
		buf_add(&copy->types, tail, sizeof(uint32_t));
		break;
	case BTF_KIND_ARRAY:
		memcpy(&array, tail, sizeof(array));
		array.type = type_take(copy, array.type);
		array.index_type = type_take(copy, array.index_type);
		buf_add(&copy->types, &array, sizeof(array));
		break;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		members_write(copy, tail, count);
		break;
	}
}

static int copy_write(struct btf_copy *copy, struct buf *out)
{
	struct btf_header head = { .magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(head) };
	uint32_t number;

	buf_add_char(&copy->strings, '\0');
	for (size_t i = 0; i < copy->queue.len; i += sizeof(number)) {
		memcpy(&number, copy->queue.data + i, sizeof(number));
		type_write(copy, copy->view->places[number]);
	}
	if (buf_error(&copy->queue) || buf_error(&copy->types) || buf_error(&copy->strings))
		return -ENOMEM;
	head.type_len = head.str_off = (uint32_t)copy->types.len;
	head.str_len = (uint32_t)copy->strings.len;
	buf_add(out, &head, sizeof(head));
	buf_add(out, copy->types.data, copy->types.len);
	buf_add(out, copy->strings.data, copy->strings.len);
	return buf_error(out);
}

int btf_cut(struct btf_wants *wants, const void *data, size_t size, struct buf *out)
{
	struct btf_view view = { 0 };
	struct btf_copy copy = { .view = &view };
	int err = view_open(&view, data, size);

	if (!err) {
		copy.numbers = calloc(view.types_len / sizeof(struct btf_type) + 1, sizeof(*copy.numbers));
		err = copy.numbers ? types_find(&view, wants, &copy) : -ENOMEM;
	}
	if (!err)
		err = copy_write(&copy, out);
	free(view.places);
	free(copy.numbers);
	buf_free(&copy.types);
	buf_free(&copy.strings);
	buf_free(&copy.queue);
	return err;
}
