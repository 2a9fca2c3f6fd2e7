"use strict";
// The page reads /v1/events by fetch, so that it can send a token, and draws
// each "stats" document it is told. Everything shown is set as text.

const $ = (id) => document.getElementById(id);
const text = (v) => document.createTextNode(String(v));

function element(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
  for (const c of children) e.append(c instanceof Node ? c : text(c));
  return e;
}

const number = (v) => {
  if (v === null || v === undefined || !isFinite(v)) return "–";
  const a = Math.abs(v);
  if (a >= 1e9) return (v / 1e9).toFixed(1) + " G";
  if (a >= 1e6) return (v / 1e6).toFixed(1) + " M";
  if (a >= 1e4) return (v / 1e3).toFixed(1) + " k";
  if (a >= 100 || Number.isInteger(v)) return v.toFixed(0);
  if (a >= 1) return v.toFixed(1);
  return v === 0 ? "0" : a < 0.01 ? "< 0.01" : v.toPrecision(2);
};
const percent = (v) => (isFinite(v) ? (100 * v).toFixed(1) + " %" : "–");
const signed = (v) => (v > 0 ? "+" : "") + percent(v);
const bytes = (v) => {
  for (const [unit, size] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 1024]]) if (v >= size) return (v / size).toFixed(1) + " " + unit;
  return v + " B";
};
const millis = (v) => (v >= 1000 ? (v / 1000).toFixed(2) + " s" : v >= 1 ? v.toFixed(1) + " ms" : v >= 1e-3 ? (1000 * v).toFixed(0) + " µs" : v > 0 ? (1e6 * v).toFixed(0) + " ns" : "–");
const nanos = (v) => millis(v / 1e6);
const ago = (when) => {
  const s = Math.max(0, (Date.now() - new Date(when)) / 1000);
  return s < 90 ? s.toFixed(0) + " s" : s < 5400 ? (s / 60).toFixed(0) + " min" : s < 172800 ? (s / 3600).toFixed(1) + " h" : (s / 86400).toFixed(0) + " d";
};

function svg(name, attributes) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  return e;
}

// lines draws series of equal length over time, with a gap where a value is
// missing; top is the least upper end of the scale.
function lines(chart, series, top, format) {
  const width = chart.clientWidth || 340, height = chart.clientHeight || 144;
  const left = 44, bottom = 16, w = width - left - 4, h = height - bottom - 6;
  const highest = Math.max(top, ...series.flat().filter((v) => v !== null && isFinite(v)));
  const max = niceTop(highest);
  const x = (i, n) => left + (n < 2 ? w : (i * w) / (n - 1)), y = (v) => 6 + h - (h * Math.min(v, max)) / max;
  const parts = [];
  for (const share of [0, 0.5, 1]) {
    parts.push(svg("line", { x1: left, x2: left + w, y1: y(max * share), y2: y(max * share) }));
    const label = svg("text", { x: left - 6, y: y(max * share) + 4, "text-anchor": "end" });
    label.append(format(max * share));
    parts.push(label);
  }
  series.forEach((values, s) => {
    if (values.length === 0) return;
    for (const run of runs(values)) {
      const at = run.map(([i, v]) => x(i, values.length).toFixed(1) + " " + y(v).toFixed(1));
      if (at.length === 1) at.push(at[0]); // a point alone shows as a dot
      const path = "M" + at.join("L"), first = x(run[0][0], values.length), last = x(run.at(-1)[0], values.length);
      if (series.length === 1) parts.push(svg("path", { class: "area", d: path + `L${last} ${y(0)}L${first} ${y(0)}Z` }));
      parts.push(svg("path", { class: "s" + (s + 1), d: path }));
    }
  });
  const n = series[0].length;
  for (const [at, anchor, label] of [[left, "start", n > 1 ? "−" + n + " s" : ""], [left + w, "end", "now"]]) {
    const t = svg("text", { x: at, y: height - 2, "text-anchor": anchor });
    t.append(label);
    parts.push(t);
  }
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.replaceChildren(...parts);
}

// runs are the stretches of a series without missing values, as [index, value].
function runs(values) {
  const out = [];
  let open = false;
  values.forEach((v, i) => {
    if (v === null || v === undefined) open = false;
    else if (open) out.at(-1).push([i, v]);
    else {
      out.push([[i, v]]);
      open = true;
    }
  });
  return out;
}

function niceTop(v) {
  if (!(v > 0)) return 1;
  const p = 10 ** Math.floor(Math.log10(v));
  for (const m of [1, 1.5, 2, 3, 4, 5, 6, 8, 10]) if (v <= m * p * 1.0000001) return m * p;
  return 10 * p;
}

// curve draws the miss ratio over capacity on a logarithmic axis, with a mark
// at the present capacity.
function curve(chart, points, present) {
  const width = chart.clientWidth || 340, height = chart.clientHeight || 144;
  const left = 44, bottom = 16, w = width - left - 4, h = height - bottom - 6;
  points = points.filter((p) => p.capacity > 0);
  if (points.length < 2) {
    const t = svg("text", { x: width / 2, y: height / 2, "text-anchor": "middle" });
    t.append("not enough accesses yet");
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    chart.replaceChildren(t);
    return;
  }
  const low = Math.log(points[0].capacity), high = Math.log(points.at(-1).capacity);
  const x = (c) => left + (w * (Math.log(c) - low)) / (high - low || 1), y = (v) => 6 + h - h * v;
  const parts = [];
  for (const share of [0, 0.5, 1]) {
    parts.push(svg("line", { x1: left, x2: left + w, y1: y(share), y2: y(share) }));
    const label = svg("text", { x: left - 6, y: y(share) + 4, "text-anchor": "end" });
    label.append((100 * share).toFixed(0) + " %");
    parts.push(label);
  }
  if (present > points[0].capacity && present < points.at(-1).capacity) parts.push(svg("line", { class: "mark", x1: x(present), x2: x(present), y1: 6, y2: 6 + h }));
  parts.push(svg("path", { class: "s1", d: points.map((p, i) => (i ? "L" : "M") + x(p.capacity).toFixed(1) + " " + y(p.miss_ratio).toFixed(1)).join("") }));
  for (const [p, anchor] of [[points[0], "start"], [points.at(-1), "end"]]) {
    const t = svg("text", { x: x(p.capacity), y: height - 2, "text-anchor": anchor });
    t.append(bytes(p.capacity));
    parts.push(t);
  }
  chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  chart.replaceChildren(...parts);
}

function table(id, head, rows) {
  const t = $(id);
  const cell = (tag, v, i) => {
    const numeric = head && head[i] && head[i].n;
    const e = element(tag, numeric ? { class: "n" } : {});
    e.append(v instanceof Node ? v : text(v));
    return e;
  };
  const out = [];
  if (head) out.push(element("tr", {}, ...head.map((h, i) => cell("th", h.t, i))));
  for (const row of rows) out.push(element("tr", {}, ...row.map((v, i) => cell("td", v, i))));
  t.replaceChildren(...out);
}

const T = (t) => ({ t }), N = (t) => ({ t, n: true });

function draw(s) {
  const cache = s.caches.default || Object.values(s.caches)[0], sched = s.scheduler, series = s.series;
  const last = series.at(-1) || {};
  $("about").textContent = `${s.version}, up ${ago(new Date(Date.now() - 1000 * s.uptime_seconds))}`;
  const tiles = [
    ["Requests a second", number(last.requests_per_second || 0), ""],
    ["Hit ratio, last minute", cache ? percent(cache.recent_hit_ratio) : "–", ""],
    ["Latency p95", millis(last.p95_ms || 0), ""],
    ["In flight of limit", number(sched.in_flight), "of " + number(sched.limit)],
    ["Of them to the origin", number(last.origin_per_second || 0), ""],
    ["Errors", percent(s.proxy ? s.proxy.error_rate : sched.error_rate), ""],
    ["Memory of cache", cache ? bytes(cache.l1.bytes) : "–", cache ? "of " + bytes(cache.l1.capacity_bytes) : ""],
  ];
  $("tiles").replaceChildren(...tiles.map(([name, v, of]) => element("div", { class: "tile" }, element("span", {}, name), element("b", {}, v), element("small", {}, of))));
  const of = (key) => series.map((p) => p[key]);
  $("n-hit").textContent = cache ? percent(cache.hit_ratio) + " since start" : "";
  lines($("c-hit"), [series.map((p) => (p.requests_per_second > 0 ? p.hit_ratio : null))], 1, (v) => (100 * v).toFixed(0) + " %");
  lines($("c-latency"), [of("p50_ms"), of("p95_ms"), of("p99_ms")], 0.1, number);
  lines($("c-limit"), [of("limit"), of("in_flight"), of("queued")], 1, number);
  lines($("c-rate"), [of("requests_per_second"), of("origin_per_second")], 1, number);
  lines($("c-machine"), [of("cpu"), of("memory")], 1, (v) => (100 * v).toFixed(0) + " %");
  if (cache) drawCache(s, cache);
  table("seats",
    [T("Seat"), T("Policy"), T("From"), T("Since"), T("State"), N("Calls"), N("Faults"), N("Time a call"), N("Fuel a call"), T("Digest")],
    s.seats.map((p) => [
      p.seat, p.name + (p.version ? " " + p.version : "") , p.use.startsWith("sha256:") ? p.source : p.use + ", " + p.source, ago(p.since),
      element("span", { class: p.state === "active" ? "good" : p.state === "off" ? "quiet" : "bad" }, p.state + (p.why ? ": " + p.why : "")),
      number(p.calls), element("span", { class: p.faults ? "bad" : "" }, number(p.faults)), nanos(p.mean_ns), p.fuel ? number(p.fuel_per_call) : "–",
      element("code", {}, p.digest ? p.digest.slice(0, 12) : "built in"),
    ]));
  drawRoutes(s);
  const q = sched.queued_mean;
  table("scheduler", null, [
    ["Limit, and why", number(sched.limit) + ", " + sched.reason], ["Utilisation", percent(sched.utilization_mean)],
    ["Throughput", number(sched.throughput_per_second) + " /s"], ["Rejected", number(sched.rejected_per_second) + " /s"],
    ["Target, baseline", millis(sched.target_ms) + ", " + millis(sched.baseline_ms)],
    ["Queue time p50, p99", millis(sched.queue_time.p50_ms) + ", " + millis(sched.queue_time.p99_ms)],
    ["Queued by priority", [q.critical, q.high, q.normal, q.low, q.background].map(number).join(" · ")],
    ["Tasks a CPU-second", number(sched.tasks_per_cpu_second)], ["Tasks/s a GiB", number(sched.tasks_per_gib)],
    ["CPU, memory", percent(sched.cpu) + ", " + percent(sched.memory)],
  ]);
  const st = s.system.stability;
  table("stability", null, [
    ["Latency varies by", percent(st.latency_cv)], ["Throughput varies by", percent(st.throughput_cv)], ["Latency trend", signed(st.latency_trend)],
    ["Throughput trend", signed(st.throughput_trend)], ["Hit ratio trend", signed(st.hit_ratio_trend)], ["Windows of 1 s", number(st.windows)],
  ]);
}

function drawCache(s, cache) {
  const p = cache.patterns;
  curve($("c-curve"), p.curve || [], cache.l1.capacity_bytes);
  $("n-curve").textContent = p.recommended_capacity ? "recommended " + bytes(p.recommended_capacity) : "";
  table("caches",
    [T("Cache"), N("Hit ratio"), N("Requests/s"), N("Entries"), N("Bytes"), N("Evicted"), N("Expired"), N("Loads"), N("Load p95"), T("Second tier"), N("Prefetched"), N("useful"), N("wasted")],
    Object.entries(s.caches).map(([name, c]) => [
      name, percent(c.hit_ratio), number(c.requests_per_second), number(c.l1.entries), bytes(c.l1.bytes),
      number(c.l1.evictions.policy + c.l1.evictions.host), number(c.l1.evictions.expired), number(c.l1.loads.count), millis(c.l1.loads.p95_ms),
      c.l2 ? element("span", { class: c.l2.state === "closed" ? "good" : "bad" }, c.l2.state === "closed" ? percent(c.l2.hit_ratio) + " hits" : "away") : "none",
      c.prefetch ? number(c.prefetch.issued) : "off", c.prefetch ? number(c.prefetch.useful) : "–", c.prefetch ? number(c.prefetch.wasted) : "–",
    ]));
  table("patterns", null, [
    ["Zipf exponent", number(p.zipf)], ["Asked for once", percent(p.one_hit_ratio)],
    ...(p.working_set || []).map((w) => ["Keys within " + (w.seconds < 3600 ? w.seconds / 60 + " min" : w.seconds / 3600 + " h"), number(w.keys)]),
    ["Marginal hits a MiB", number(p.marginal_hits_per_mib)],
    ...["hot", "warm", "cold", "periodic", "scan"].flatMap((name) => (p.classes || []).filter((c) => c.name === name)).map((c) => ["Keys " + c.name, number(c.keys)]),
  ]);
  const f = cache.prediction, judged = f.outcomes > 0;
  table("prediction", null, [
    ["Brier score", judged ? f.brier.toFixed(3) : "–"], ["Skill over base rate", judged ? percent(f.skill) : "–"],
    ["Calibration error", judged ? percent(f.calibration_error) : "–"], ["Asked again", judged ? percent(f.base_rate) : "–"],
    ["Predictions judged", judged ? number(f.outcomes) : "from " + (f.horizon_seconds / 60).toFixed(0) + " min on"],
  ]);
}

function drawRoutes(s) {
  const rows = [];
  for (const r of s.proxy ? s.proxy.routes : []) for (const o of r.outcomes) if (o.count) rows.push([r.route, o.outcome, number(o.count), millis(o.p50_ms), millis(o.p95_ms), millis(o.p99_ms), bytes(o.bytes)]);
  table("routes", [T("Route"), T("Outcome"), N("Requests"), N("p50"), N("p95"), N("p99"), N("Content")], rows.length ? rows : [["no requests yet", "", "", "", "", "", ""]]);
}

function told(name, d) {
  const what = {
    policy: () => `${d.seat}: ${d.name} seated (${d.source})`,
    fault: () => `${d.seat}: ${d.policy} fault, ${d.reason}: ${d.detail}`,
    reload: () => `configuration read again: ${[...(d.changed || [])].join(", ") || "nothing changed"}`,
  }[name];
  if (!what) return;
  const list = $("events");
  if (list.firstElementChild && list.firstElementChild.classList.contains("quiet")) list.replaceChildren();
  list.prepend(element("li", {}, element("time", {}, new Date().toLocaleTimeString()), what()));
  while (list.children.length > 200) list.lastElementChild.remove();
}

function state(name, label) {
  $("state").className = "state " + name;
  $("state").textContent = label;
}

async function listen() {
  const token = sessionStorage.getItem("token");
  const response = await fetch("/v1/events", { headers: token ? { Authorization: "Bearer " + token } : {} });
  if (response.status === 401) {
    $("ask").hidden = false;
    $("refused").hidden = !token;
    $("token").value = "";
    $("token").focus();
    state("", "waiting for the token");
    return false;
  }
  if (!response.ok) throw new Error("status " + response.status);
  $("ask").hidden = true;
  state("live", "live");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return true;
    rest += value;
    const messages = rest.split("\n\n");
    rest = messages.pop();
    for (const m of messages) {
      const name = (m.match(/^event: (.*)$/m) || [])[1], data = (m.match(/^data: (.*)$/m) || [])[1];
      if (name === "stats") draw(JSON.parse(data));
      else if (name) told(name, JSON.parse(data));
    }
  }
}

async function run() {
  for (;;) {
    try {
      if (!(await listen())) return;
    } catch {
      // The daemon is away: said below, tried again.
    }
    state("lost", "connection lost, trying again");
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

$("ask").addEventListener("submit", (e) => {
  e.preventDefault();
  sessionStorage.setItem("token", $("token").value);
  run();
});
run();
