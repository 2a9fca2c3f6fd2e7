/*
 * s3fifo: S3-FIFO by Yang, Zhang, Qiu, Yue and Rashmi ("FIFO queues are all you
 * need for cache eviction", SOSP 2023). New entries enter a small queue; those
 * asked for twice while in it move to the main queue, whose entries get a further
 * round for each hit; a key that returns while the ghost queue remembers it
 * enters the main queue at once. The same victims as builtin:s3fifo.
 *
 * A host asks for victims after it has shown the insert, the paper's simulator
 * before. So the newest insert is kept aside until victims were chosen or another
 * event comes. 64 bytes a slot: 24 for the entry, up to 40 for a ghost.
 */
#include "perfopt.h"

enum { MOVE_AT = 2, MOST = 3 }; /* hits that take an entry to main; where hits stop counting */
enum { OUT, SMALL, MAIN };                 /* where an entry is */

struct node {
	uint64_t key;
	uint32_t previous, next, weight;
	uint8_t list, hits;
};

struct list {
	uint32_t head, tail; /* entries enter at the head and leave at the tail */
	int64_t weight, limit;
};

struct ghost {
	uint64_t key;
	uint32_t previous, next, weight;
};

static const uint32_t none = PF_NO_SLOT;

static struct node *nodes;
static uint32_t slots;
static struct list lists[3]; /* by list; [OUT] are the ghosts */
static uint32_t newest;      /* the insert kept aside */
static int returned;         /* it is a ghost's return */
static int64_t restored;     /* weight of the restored entries so far */

static struct ghost *ghosts;
static uint32_t ghost_count, ghost_fresh, ghost_free; /* remembered; never used from here on; list of used ones */
static uint32_t *places, mask;                        /* of a ghost by its key: number + 1, linear probing */

static int start(const struct pf_start *s)
{
	uint32_t size = 64;
	slots = s->max_slots;
	while (size < 2 * (uint64_t)slots && size < 1u << 30)
		size *= 2;
	mask = size - 1;
	nodes = pf_memory((size_t)slots * sizeof *nodes);
	ghosts = pf_memory((size_t)slots * sizeof *ghosts);
	places = pf_memory((size_t)size * sizeof *places);
	if (slots > 1u << 25 || !nodes || !ghosts || !places)
		return PF_BAD_INPUT;
	int64_t small = (int64_t)((double)s->capacity * 0.1), remembered = (int64_t)((double)s->capacity * 0.9);
	lists[SMALL] = (struct list){none, none, 0, small};
	lists[MAIN] = (struct list){none, none, 0, s->capacity - small};
	lists[OUT] = (struct list){none, none, 0, remembered};
	newest = ghost_free = none;
	ghost_count = ghost_fresh = 0;
	returned = 0;
	restored = 0;
	return PF_OK;
}

static void push(uint8_t id, uint32_t s)
{
	struct list *l = &lists[id];
	struct node *n = &nodes[s];
	n->list = id, n->previous = none, n->next = l->head;
	if (l->head != none)
		nodes[l->head].previous = s;
	else
		l->tail = s;
	l->head = s;
	l->weight += n->weight;
}

static void detach(uint32_t s)
{
	struct node *n = &nodes[s];
	struct list *l = &lists[n->list];
	if (n->previous != none)
		nodes[n->previous].next = n->next;
	else
		l->head = n->next;
	if (n->next != none)
		nodes[n->next].previous = n->previous;
	else
		l->tail = n->previous;
	l->weight -= n->weight;
	n->list = OUT;
}

static uint32_t home(uint64_t key)
{
	key ^= key >> 32;
	return (uint32_t)(key * 0x9E3779B97F4A7C15ull >> 32) & mask;
}

static uint32_t place(uint64_t key)
{
	uint32_t i = home(key);
	while (places[i] && ghosts[places[i] - 1].key != key)
		i = (i + 1) & mask;
	return i;
}

/* forget takes the ghost at a place out. */
static void forget(uint32_t hole)
{
	uint32_t number = places[hole] - 1;
	struct ghost *g = &ghosts[number];
	struct list *l = &lists[OUT];
	if (g->previous != none)
		ghosts[g->previous].next = g->next;
	else
		l->head = g->next;
	if (g->next != none)
		ghosts[g->next].previous = g->previous;
	else
		l->tail = g->previous;
	l->weight -= g->weight;
	ghost_count--;
	g->next = ghost_free, ghost_free = number;
	/* Move later ones of the run back, so that no search ends too early. */
	for (uint32_t i = (hole + 1) & mask; places[i]; i = (i + 1) & mask)
		if (((i - home(ghosts[places[i] - 1].key)) & mask) >= ((i - hole) & mask)) {
			places[hole] = places[i];
			hole = i;
		}
	places[hole] = 0;
}

/* recall forgets a key and says whether it was remembered. */
static int recall(uint64_t key)
{
	uint32_t i = place(key);
	if (!places[i])
		return 0;
	forget(i);
	return 1;
}

static void remember(uint64_t key, uint32_t weight)
{
	struct list *l = &lists[OUT];
	recall(key);
	if (weight > l->limit)
		return;
	while (l->tail != none && (l->weight + weight > l->limit || ghost_count >= slots))
		forget(place(ghosts[l->tail].key));
	uint32_t number = ghost_free;
	if (number != none)
		ghost_free = ghosts[number].next;
	else
		number = ghost_fresh++;
	ghosts[number] = (struct ghost){key, none, l->head, weight};
	if (l->head != none)
		ghosts[l->head].previous = number;
	else
		l->tail = number;
	l->head = number;
	l->weight += weight;
	ghost_count++;
	places[place(key)] = number + 1;
}

/* admit ends the waiting of the newest insert. */
static void admit(void)
{
	push(returned ? MAIN : SMALL, newest);
	newest = none;
}

static void enter(const struct pf_cursor *at)
{
	uint32_t s = at->event->slot;
	if (s >= slots)
		return;
	if (nodes[s].list != OUT)
		detach(s);
	nodes[s] = (struct node){.key = at->insert->key_hash, .weight = at->insert->weight};
	newest = s;
	returned = recall(at->insert->key_hash);
	if (at->event->op == PF_RESTORE) { /* the coldest fill the small queue, the others the main queue */
		restored += at->insert->weight;
		returned = restored > lists[SMALL].limit;
		admit();
	}
}

static int observe(const struct pf_events *e)
{
	for (struct pf_cursor at = {0}; pf_next(e, &at);) {
		if (newest != none)
			admit();
		uint32_t s = at.event->slot;
		int held = s < slots && nodes[s].list != OUT;
		switch (at.event->op) {
		case PF_HIT:
			if (held && nodes[s].hits < MOST)
				nodes[s].hits++;
			break;
		case PF_INSERT:
		case PF_RESTORE:
			enter(&at);
			break;
		case PF_UPDATE:
			if (held) {
				lists[nodes[s].list].weight += (int64_t)at.insert->weight - nodes[s].weight;
				nodes[s].weight = at.insert->weight;
			}
			break;
		case PF_REMOVE:
		case PF_EXPIRE:
			if (held)
				detach(s);
			break;
		}
	}
	return PF_OK;
}

static uint32_t from_small(void)
{
	for (uint32_t s; (s = lists[SMALL].tail) != none;) {
		detach(s);
		if (nodes[s].hits < MOVE_AT) {
			remember(nodes[s].key, nodes[s].weight);
			return s;
		}
		nodes[s].hits = 0;
		push(MAIN, s);
	}
	return none;
}

static uint32_t from_main(void)
{
	for (uint32_t s; (s = lists[MAIN].tail) != none;) {
		detach(s);
		if (nodes[s].hits == 0)
			return s;
		nodes[s].hits--;
		push(MAIN, s);
	}
	return none;
}

static uint32_t victim(void)
{
	uint32_t s = none;
	if (lists[MAIN].weight <= lists[MAIN].limit)
		s = from_small();
	if (s == none)
		s = from_main();
	return s != none ? s : from_small();
}

static int evict(int64_t need, uint32_t *victims, uint32_t want)
{
	uint32_t n = 0;
	while (n < want && need > 0) {
		uint32_t s = victim();
		if (s == none) {
			if (newest == none)
				break;
			admit();
			continue;
		}
		victims[n++] = s;
		need -= nodes[s].weight;
	}
	if (newest != none && need <= 0)
		admit();
	return (int)n;
}

PF_POLICY(.name = "s3fifo-c", .version = "1.0.0", .start = start, .observe = observe, .evict = evict);
