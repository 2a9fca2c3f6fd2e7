/*
 * lru: evicts the entry whose last access is longest ago. An update is a write,
 * not an access, and keeps the entry's place. The same order as builtin:lru.
 *
 * The residents are one doubly linked list over slots, in memory that pf_init
 * sizes by max_slots. Index 0 of the nodes is the list's head; slot s is node
 * s + 1; a node with next 0xFFFFFFFF is not in the list.
 */
#include "../records.h"

#define EXPORT(name) __attribute__((export_name(#name), used)) name

struct node {
	uint32_t next, previous, weight;
};

extern unsigned char __heap_base; /* where the linker's data ends */

static const char manifest[] =
    "{\"name\":\"lru-c\",\"version\":\"1\",\"abi\":1,\"kinds\":[\"eviction\"],"
    "\"max_batch\":1024,\"sdk\":\"c/1\"}";

static const uint32_t absent = 0xFFFFFFFFu;

static unsigned char *arena;
static struct node *nodes;
static uint32_t room; /* nodes that memory was taken for */

static uintptr_t used = 0;

/* take returns zeroed memory for the life of the instance, or 0. */
static void *take(uint32_t bytes)
{
	if (used == 0)
		used = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
	uintptr_t start = used, end = start + ((bytes + 15) & ~15u);
	uintptr_t have = __builtin_wasm_memory_size(0) << 16;
	if (end > have && __builtin_wasm_memory_grow(0, (end - have + 65535) >> 16) == (unsigned long)-1)
		return 0;
	used = end;
	return (void *)start;
}

static const struct pf_header *header(void) { return (const struct pf_header *)arena; }

void EXPORT(pf_abi_1)(void) {}

int64_t EXPORT(pf_manifest)(void)
{
	return (int64_t)(uintptr_t)manifest << 32 | (sizeof manifest - 1);
}

int32_t EXPORT(pf_arena)(int32_t bytes)
{
	arena = take((uint32_t)bytes);
	return (int32_t)(uintptr_t)arena;
}

int32_t EXPORT(pf_init)(void)
{
	const struct pf_init *in = (const void *)(arena + header()->in_off);
	if (in->max_slots >= 0xFFFFFFFFu / sizeof(struct node) - 1)
		return PF_BAD_INPUT;
	uint32_t want = in->max_slots + 1;
	if (want > room) {
		nodes = take(want * sizeof(struct node));
		if (!nodes)
			return PF_BAD_INPUT;
		room = want;
	}
	for (uint32_t i = 0; i < room; i++)
		nodes[i].next = absent;
	nodes[0] = (struct node){0, 0, 0};
	return 0;
}

static inline void unlink(uint32_t i)
{
	nodes[nodes[i].next].previous = nodes[i].previous;
	nodes[nodes[i].previous].next = nodes[i].next;
	nodes[i].next = absent;
}

static inline void push(uint32_t i)
{
	uint32_t first = nodes[0].next;
	nodes[i].next = first;
	nodes[i].previous = 0;
	nodes[first].previous = i;
	nodes[0].next = i;
}

int32_t EXPORT(pf_events)(int32_t n)
{
	const struct pf_header *h = header();
	const struct pf_event *e = (const void *)(arena + h->in_off), *end = e + n;
	const struct pf_insert *row =
	    (const void *)(arena + h->in_off + ((8 * h->rows_cap + 15) & ~15u));
	for (; e < end; e++) {
		uint32_t i = e->slot + 1;
		int known = i != 0 && i < room, held = known && nodes[i].next != absent;
		switch (e->op) {
		case PF_HIT:
			if (held && nodes[0].next != i) {
				unlink(i);
				push(i);
			}
			break;
		case PF_INSERT:
		case PF_RESTORE:
			if (held)
				unlink(i);
			if (known) {
				nodes[i].weight = row->weight;
				push(i);
			}
			row++;
			break;
		case PF_UPDATE:
			if (held)
				nodes[i].weight = row->weight;
			row++;
			break;
		case PF_MISS:
			row++;
			break;
		case PF_REMOVE:
		case PF_EXPIRE:
			if (held)
				unlink(i);
			break;
		}
	}
	return n;
}

int32_t EXPORT(pf_evict)(int32_t want)
{
	const struct pf_header *h = header();
	const struct pf_evict *in = (const void *)(arena + h->in_off);
	uint32_t *out = (uint32_t *)(arena + h->out_off);
	int64_t need = in->need;
	int32_t k = 0;
	while (k < want && need > 0 && nodes[0].previous != 0) {
		uint32_t i = nodes[0].previous;
		need -= nodes[i].weight;
		unlink(i);
		out[k++] = i - 1;
	}
	return k;
}
