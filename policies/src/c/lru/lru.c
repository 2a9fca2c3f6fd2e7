/*
 * lru: evicts the entry whose last access is longest ago. An update is a write,
 * not an access, and keeps the entry's place. The same order as builtin:lru.
 *
 * The residents are one doubly linked list over slots, in memory sized by
 * max_slots. Index 0 of the nodes is the list's head; slot s is node s + 1; a
 * node with next 0xFFFFFFFF is not in the list.
 */
#include "perfopt.h"

struct node {
	uint32_t next, previous, weight;
};

static const uint32_t absent = 0xFFFFFFFFu;

static struct node *nodes;
static uint32_t room; /* nodes that there are */

static int start(const struct pf_start *s)
{
	if (s->max_slots >= 0xFFFFFFFFu / sizeof(struct node) - 1)
		return PF_BAD_INPUT;
	room = s->max_slots + 1;
	nodes = pf_memory(room * sizeof(struct node));
	if (!nodes)
		return PF_BAD_INPUT;
	for (uint32_t i = 1; i < room; i++)
		nodes[i].next = absent;
	return PF_OK;
}

static inline void detach(uint32_t i)
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

static int observe(const struct pf_events *e)
{
	for (struct pf_cursor at = {0}; pf_next(e, &at);) {
		uint32_t i = at.event->slot + 1;
		int known = i != 0 && i < room, held = known && nodes[i].next != absent;
		switch (at.event->op) {
		case PF_HIT:
			if (held && nodes[0].next != i) {
				detach(i);
				push(i);
			}
			break;
		case PF_INSERT:
		case PF_RESTORE:
			if (held)
				detach(i);
			if (known) {
				nodes[i].weight = at.insert->weight;
				push(i);
			}
			break;
		case PF_UPDATE:
			if (held)
				nodes[i].weight = at.insert->weight;
			break;
		case PF_REMOVE:
		case PF_EXPIRE:
			if (held)
				detach(i);
			break;
		}
	}
	return PF_OK;
}

static int evict(int64_t need, uint32_t *victims, uint32_t want)
{
	uint32_t n = 0;
	while (n < want && need > 0 && nodes[0].previous != 0) {
		uint32_t i = nodes[0].previous;
		need -= nodes[i].weight;
		detach(i);
		victims[n++] = i - 1;
	}
	return (int)n;
}

PF_POLICY(.name = "lru-c", .version = "1.0.0", .start = start, .observe = observe, .evict = evict);
