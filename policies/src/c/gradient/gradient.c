/*
 * gradient: a limit that follows the ratio of the latency without queueing to the
 * latency that is measured, like Netflix' Gradient2 (concurrency-limits, 2018):
 *
 *	next = limit * clamp(tolerance * baseline / latency, 0.5, 1) + headroom
 *
 * smoothed, where headroom is the square root of the limit. While latency stays
 * within tolerance of the baseline the limit grows by its headroom; beyond it
 * shrinks in proportion. It differs from Gradient2 in its baseline, which is the
 * host's probed one where it has that, else a slow average of the mean latency;
 * and CPU, memory and errors over their marks cut the limit, whatever the latency.
 */
#include "perfopt.h"

static double tolerance, smoothing, cpu, errors;

static double usual; /* slow average of the mean latency, ms; 0 = none yet */

static int start(const struct pf_start *s)
{
	(void)s;
	usual = 0;
	return PF_OK;
}

/* cut answers nine tenths of the limit. */
static int cut(const struct pf_load *in, struct pf_scale_out *out, uint32_t reason)
{
	out->limit = in->limit * 0.9 > in->min_limit ? in->limit * 0.9 : in->min_limit;
	out->reason = reason;
	return PF_OK;
}

static int hold(const struct pf_load *in, struct pf_scale_out *out, uint32_t reason)
{
	out->limit = in->limit;
	out->reason = reason;
	return PF_OK;
}

static int scale(const struct pf_load *in, struct pf_scale_out *out)
{
	if (in->cpu > cpu)
		return cut(in, out, PF_REASON_CPU);
	if (in->memory > 0.9)
		return cut(in, out, PF_REASON_MEMORY);
	if (in->completions < 10 || !(in->mean_millis > 0))
		return hold(in, out, PF_REASON_WINDOW);
	if (in->error_rate > errors)
		return cut(in, out, PF_REASON_ERRORS);

	/* The average falls at once with the latency: a long overload must not become
	 * usual, and what was fast once can be again. */
	if (usual == 0 || in->mean_millis < usual)
		usual = in->mean_millis;
	else
		usual += (in->mean_millis - usual) / 600;
	double baseline = in->baseline_millis > 0 ? in->baseline_millis : usual;

	double gradient = tolerance * baseline / in->mean_millis;
	if (gradient >= 1 && in->max_in_flight < in->limit / 2)
		return hold(in, out, PF_REASON_UNUSED);
	gradient = gradient > 1 ? 1 : gradient < 0.5 ? 0.5 : gradient;
	double next = in->limit * gradient + __builtin_sqrt(in->limit);
	next = in->limit + smoothing * (next - in->limit);
	out->reason = PF_REASON_GRADIENT;
	out->limit = next;
	if (next > in->max_limit || next < in->min_limit) {
		out->limit = next > in->max_limit ? in->max_limit : in->min_limit;
		out->reason = PF_REASON_BOUND;
	}
	return PF_OK;
}

PF_POLICY(
	.name = "gradient-c", .version = "1.0.0",
	.settings = PF_SETTINGS(
		PF_NUMBER(tolerance, 1.5, 1, 10, "how many times the baseline latency may become before the limit shrinks"),
		PF_NUMBER(smoothing, 0.2, 0.01, 1, "share of the way to the next limit that a tick goes"),
		PF_NUMBER(cpu, 0.9, 0.05, 1, "share of the CPU above which the limit is cut"),
		PF_NUMBER(errors, 0.1, 0, 1, "share of failures above which the limit is cut")),
	.start = start,
	.scale = scale
);
