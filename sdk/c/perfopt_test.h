/*
 * perfopt_test.h: what a native test of a policy needs. A test includes the
 * policy's source and this header, and is an ordinary program:
 *
 *	#include "policy.c"
 *	#include "perfopt_test.h"
 *
 *	int main(void)
 *	{
 *		pf_test_conforms();
 *		pf_test_start("{\"stretch\": 3}");
 *		struct pf_batch *b = pf_test_rows(1);
 *		pf_test_set(b, 0, PF_BASE_TTL, 60);
 *		...
 *		PF_WANT(seconds[0] == 60);
 *		return pf_test_report();
 *	}
 *
 *	cc -Wall -o policy_test policy_test.c && ./policy_test
 *
 * What the host adds (bounds, fuel, memory) is checked by "perfopt policy test".
 */
#ifndef PERFOPT_TEST_H
#define PERFOPT_TEST_H

#include "perfopt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int pf_test_failures;

/* PF_WANT notes a failure, with its place, where the condition does not hold. */
#define PF_WANT(condition) \
	((condition) ? (void)0 : (void)(pf_test_failures++, fprintf(stderr, "%s:%d: want %s\n", __FILE__, __LINE__, #condition)))

/* pf_test_report prints the result and returns what main should. */
static inline int pf_test_report(void)
{
	if (pf_test_failures)
		fprintf(stderr, "%d failures\n", pf_test_failures);
	else
		printf("ok\n");
	return pf_test_failures != 0;
}

/* pf_test_begin starts the policy for a cache of that capacity: with the
 * defaults of its settings, then those of a JSON object. */
static inline void pf_test_begin(const char *config, int64_t capacity, uint32_t max_slots)
{
	for (const struct pf_setting *s = pf_served.settings; s && s->key; s++) {
		const char *initial = strstr(s->schema, "\"default\":") + strlen("\"default\":"), *end = initial;
		int quoted = *initial == '"';
		for (end += quoted; *end && (quoted ? *end != '"' : *end != ','); end++)
			;
		end += quoted;
		size_t size = strlen(s->key) + (size_t)(end - initial) + 8;
		char *json = malloc(size);
		int n = snprintf(json, size, "{\"%s\":%.*s}", s->key, (int)(end - initial), initial);
		PF_WANT(pf_settle(&pf_served, json, (uint32_t)n) == PF_OK);
		free(json);
	}
	if (config && *config)
		PF_WANT(pf_settle(&pf_served, config, (uint32_t)strlen(config)) == PF_OK);
	struct pf_start s = {capacity, max_slots, 1};
	if (pf_served.start)
		PF_WANT(pf_served.start(&s) == PF_OK);
}

/* pf_test_start starts the policy with those settings, a JSON object or "". */
static inline void pf_test_start(const char *config) { pf_test_begin(config, 0, 0); }

#define PF_TEST_NOW 1700000000000000000ll /* the moment of the batches */

/* pf_test_rows returns a batch of n rows in which every column is NaN and row i
 * has the key hash i + 1. It is overwritten by the next call. */
static inline struct pf_batch *pf_test_rows(uint32_t n)
{
	static double columns[PF_COLUMN_COUNT][PF_BATCH_MAX];
	static uint64_t keys[PF_BATCH_MAX];
	static struct pf_batch b;
	b.now = PF_TEST_NOW;
	b.rows = n < PF_BATCH_MAX ? n : PF_BATCH_MAX;
	b.keys = keys;
	for (int c = 0; c < PF_COLUMN_COUNT; c++) {
		for (uint32_t i = 0; i < b.rows; i++)
			columns[c][i] = __builtin_nan("");
		b.columns[c] = columns[c];
	}
	for (uint32_t i = 0; i < b.rows; i++)
		keys[i] = i + 1;
	return &b;
}

/* pf_test_set gives a row of a column a value. */
static inline void pf_test_set(struct pf_batch *b, uint32_t row, enum pf_column c, double value)
{
	((double *)b->columns[c - 1])[row] = value;
}

/* pf_test_mix is the finaliser of SplitMix64 (Steele, Lea, Flood, 2014). */
static inline uint64_t pf_test_mix(uint64_t x)
{
	x += 0x9E3779B97F4A7C15ull;
	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
	x = (x ^ x >> 27) * 0x94D049BB133111EBull;
	return x ^ x >> 31;
}

static inline double pf_test_share(uint64_t *state)
{
	*state = pf_test_mix(*state);
	return (double)(*state >> 11) / 9007199254740992.0;
}

/* A cache of keys without values that the policy keeps in order; every entry
 * weighs 1. A victim that is not resident is a failure. */
struct pf_test_cache {
	uint32_t capacity, live, slots, next;
	uint64_t *keys; /* by slot; 0 where the slot is free */
	int64_t now;
	uint32_t hits, misses;
};

static inline struct pf_test_cache pf_test_cache(uint32_t capacity)
{
	struct pf_test_cache c = {capacity, 0, 2 * capacity + 1, 0, NULL, PF_TEST_NOW, 0, 0};
	c.keys = calloc(c.slots, sizeof *c.keys);
	pf_test_begin("", capacity, c.slots);
	return c;
}

static inline void pf_test_show(struct pf_test_cache *c, enum pf_op op, uint32_t slot, uint64_t key)
{
	struct pf_event ev = {slot, (uint8_t)op, 0, 0};
	struct pf_insert in = {key, op == PF_MISS ? 0 : 1, 0, 0, 0};
	struct pf_events e = {c->now, 1, &ev, &in};
	PF_WANT(pf_served.observe(&e) >= 0);
}

static inline int64_t pf_test_find(const struct pf_test_cache *c, uint64_t key)
{
	for (uint32_t s = 0; s < c->slots; s++)
		if (c->keys[s] == key)
			return s;
	return -1;
}

static inline int pf_test_resident(const struct pf_test_cache *c, uint64_t key) { return pf_test_find(c, key) >= 0; }

/* pf_test_access asks for a key other than 0, loads it where it is missing, and
 * says whether it was there. */
static inline int pf_test_access(struct pf_test_cache *c, uint64_t key)
{
	int64_t at = pf_test_find(c, key);
	c->now += 1000000000;
	if (at >= 0) {
		c->hits++;
		pf_test_show(c, PF_HIT, (uint32_t)at, key);
		return 1;
	}
	c->misses++;
	pf_test_show(c, PF_MISS, PF_NO_SLOT, key);
	while (c->keys[c->next]) /* slots in turn: one that left stays empty for a while */
		c->next = (c->next + 1) % c->slots;
	uint32_t slot = c->next;
	c->next = (c->next + 1) % c->slots;
	c->keys[slot] = key;
	c->live++;
	pf_test_show(c, PF_INSERT, slot, key);
	if (c->live > c->capacity) {
		uint32_t victim = PF_NO_SLOT;
		int n = pf_served.evict(1, &victim, 1);
		PF_WANT(n == 1);
		PF_WANT(victim < c->slots && c->keys[victim] != 0);
		if (n == 1 && victim < c->slots && c->keys[victim]) {
			c->keys[victim] = 0;
			c->live--;
		}
	}
	return 0;
}

/* pf_test_remove removes a key as a client would. */
static inline void pf_test_remove(struct pf_test_cache *c, uint64_t key)
{
	int64_t at = pf_test_find(c, key);
	if (at < 0)
		return;
	c->keys[at] = 0;
	c->live--;
	pf_test_show(c, PF_REMOVE, (uint32_t)at, key);
}

/* pf_test_sample makes a batch of plausible numbers; round varies them. */
static inline struct pf_batch *pf_test_sample(uint32_t n, uint64_t round)
{
	struct pf_batch *b = pf_test_rows(n);
	uint64_t r = pf_test_mix(round);
	for (uint32_t i = 0; i < b->rows; i++) {
		double rate = 100 * pf_test_share(&r) * pf_test_share(&r);
		double values[PF_COLUMN_COUNT] = {
			[PF_FREQ - 1] = (double)(int)(64 * pf_test_share(&r)), [PF_RECENCY - 1] = 1000 * pf_test_share(&r),
			[PF_RATE_SLOW - 1] = rate, [PF_RATE_FAST - 1] = 2 * rate * pf_test_share(&r),
			[PF_TREND - 1] = pf_test_share(&r) - 0.5, [PF_TIME_OF_DAY - 1] = pf_test_share(&r),
			[PF_CONFIDENCE - 1] = pf_test_share(&r), [PF_PREDICTION - 1] = pf_test_share(&r),
			[PF_SIZE - 1] = 1 + (double)(int)(1e5 * pf_test_share(&r)),
			[PF_LOAD_COST - 1] = i % 8 == 2 ? 0 : 50 * pf_test_share(&r), [PF_AGE - 1] = 100 * pf_test_share(&r),
			[PF_TTL_LEFT - 1] = i % 8 == 3 ? __builtin_inf() : 120 * pf_test_share(&r) - 20,
			[PF_BASE_TTL - 1] = 60, [PF_ORIGIN_TTL - 1] = i % 8 == 1 ? __builtin_nan("") : 300 * pf_test_share(&r),
			[PF_MIN_TTL - 1] = 1, [PF_MAX_TTL - 1] = 3600, [PF_CHANGED - 1] = (double)(int)(8 * pf_test_share(&r)),
			[PF_UNCHANGED - 1] = (double)(int)(8 * pf_test_share(&r)), [PF_RESIDENT - 1] = i % 2,
			[PF_NEXT_ACCESS - 1] = i % 8 == 3 ? __builtin_inf() : 60 * pf_test_share(&r),
		};
		for (int c = 0; c < PF_COLUMN_COUNT; c++)
			pf_test_set(b, i, (enum pf_column)(c + 1), values[c]);
	}
	return b;
}

static inline uint64_t pf_test_fold(uint64_t sum, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum = pf_test_mix(sum ^ ((const unsigned char *)bytes)[i]);
	return sum;
}

/* pf_test_history asks every decision that there is, checks the answers, and
 * returns a sum of them. */
static inline uint64_t pf_test_history(void)
{
	uint64_t sum = 0;
	double out[64];
	uint64_t keys[16];
	pf_test_start("");
	for (uint64_t round = 0; round < 50; round++) {
		if (pf_served.ttl && pf_served.ttl(pf_test_sample(64, round), out) >= 0) {
			for (int i = 0; i < 64; i++)
				PF_WANT(out[i] >= 0 && out[i] < __builtin_inf());
			sum = pf_test_fold(sum, out, sizeof out);
		}
		if (pf_served.score && pf_served.score(pf_test_sample(64, round), out) >= 0) {
			for (int i = 0; i < 64; i++)
				PF_WANT(out[i] == out[i]);
			sum = pf_test_fold(sum, out, sizeof out);
		}
		if (pf_served.prefetch) {
			int n = pf_served.prefetch(pf_test_sample(64, round), keys, 16);
			PF_WANT(n <= 16);
			for (int i = 0; i < n && i < 16; i++)
				PF_WANT(keys[i] >= 1 && keys[i] <= 64);
			sum = pf_test_fold(sum, keys, n > 0 ? (size_t)n * sizeof *keys : 0);
		}
	}
	double limit = 10;
	for (uint64_t round = 0, r = 1; pf_served.scale && round < 400; round++) {
		double nan = __builtin_nan(""), latency = round % 8 ? 400 * pf_test_share(&r) : nan;
		struct pf_load load = {.tick = (double)(round + 1), .limit = limit, .min_limit = 1, .max_limit = 1000,
			.in_flight = limit / 2, .max_in_flight = limit, .cpu = pf_test_share(&r), .memory = pf_test_share(&r),
			.error_rate = pf_test_share(&r) / 5, .mean_millis = latency, .p50_millis = latency, .p95_millis = 2 * latency,
			.p99_millis = 3 * latency, .target_millis = round % 8 ? 200 : nan, .baseline_millis = round % 8 ? 50 : nan,
			.completions = round % 8 ? 50 : 0, .arrivals = 100, .throughput = 90, .window_nanos = 1e8};
		struct pf_scale_out answer = {limit, 0};
		if (pf_served.scale(&load, &answer) < 0)
			continue;
		PF_WANT(answer.limit >= 0 && answer.limit < __builtin_inf());
		limit = answer.limit < 1 ? 1 : answer.limit > 1000 ? 1000 : answer.limit;
		sum = pf_test_fold(sum, &limit, sizeof limit);
	}
	if (pf_served.evict) {
		struct pf_test_cache c = pf_test_cache(64);
		for (uint64_t i = 0, r = 1; i < 20000; i++) {
			r = pf_test_mix(r);
			int hit = pf_test_access(&c, 1 + ((r & 255) * (r >> 8 & 255) >> 8));
			sum = pf_test_fold(sum, &hit, sizeof hit);
			if (i % 97 == 0)
				pf_test_remove(&c, 1 + (r >> 16 & 255));
		}
		free(c.keys);
	}
	return sum;
}

/* pf_test_conforms runs the suite of every kind that the policy decides: answers
 * in range, victims resident, the same answers to the same inputs from a fresh
 * start. */
static inline void pf_test_conforms(void)
{
	char manifest[PF_MANIFEST_MAX];
	PF_WANT(pf_describe(&pf_served, manifest, sizeof manifest) > 0);
	PF_WANT(!pf_served.evict == !pf_served.observe || pf_served.prefetch);
	PF_WANT(!pf_served.state == !pf_served.state_version);
	uint64_t first = pf_test_history(), second = pf_test_history();
	PF_WANT(first == second); /* else start leaves something of a former life */
}

#endif /* PERFOPT_TEST_H */
