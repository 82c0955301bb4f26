"use strict";
(() => {
// ---- the document: values are numbered, see pack.go

const packed = JSON.parse(document.getElementById("data").textContent);
const unpacked = [];
packed.values.forEach((v, n) => {
	if (!Array.isArray(v)) {
		unpacked.push(v);
		return;
	}
	const at = i => unpacked[i < 0 ? n + i : i];
	if (v[0] < 0) {
		unpacked.push(v.slice(1).map(at));
	} else {
		const object = {};
		packed.shapes[v[0]].forEach((name, i) => { object[name] = at(v[i + 1]); });
		unpacked.push(object);
	}
});
const report = unpacked[packed.root];
const made = Date.parse(report.made);
const envs = report.environments.map((e, index) => ({...e, index}));
const twice = new Set();
{
	const seen = new Set();
	for (const e of envs) (seen.has(e.environment) ? twice : seen).add(e.environment);
}
for (const e of envs) e.label = twice.has(e.environment) ? `${e.environment} (${e.partOf || e.directory})` : e.environment;

// ---- small things

const $ = id => document.getElementById(id);

// h makes an element. Text is text, whatever is in it.
function h(name, attributes, ...children) {
	const [tag, ...classes] = name.split(".");
	const e = document.createElement(tag);
	if (classes.length) e.className = classes.join(" ");
	for (const [k, v] of Object.entries(attributes || {})) {
		if (v === undefined || v === null || v === false) continue;
		if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
		else if (v === true) e.setAttribute(k, "");
		else e.setAttribute(k, v);
	}
	e.append(...children.flat(Infinity).filter(c => c !== undefined && c !== null && c !== ""));
	return e;
}

const day = 86400e3;
const plural = (n, what) => n === 1 ? `1 ${what}` : `${n.toLocaleString("en")} ${what}s`;
const date = t => new Date(t).toISOString().slice(0, 10);
const cssName = s => s.replace(/[^a-z]+/g, "-");

// span writes a time in milliseconds as people do.
function span(ms) {
	ms = Math.abs(ms);
	if (ms < 3600e3) return plural(Math.round(ms / 60e3), "minute");
	if (ms < 2 * day) return plural(Math.round(ms / 3600e3), "hour");
	if (ms > 1100 * day) return plural(Math.floor(ms / day / 365.25), "year");
	return plural(Math.floor(ms / day), "day");
}

// goDuration writes what Go writes as 2160h0m0s.
function goDuration(s) {
	const m = /^(?:(\d+)h)?(?:(\d+)m)?(?:([\d.]+)s)?$/.exec(s || "");
	return m ? span(((+m[1] || 0) * 3600 + (+m[2] || 0) * 60 + (+m[3] || 0)) * 1000) : s;
}

// away says how far a day is from when the page was made.
const away = t => t < made ? `${span(made - t)} ago` : `in ${span(t - made)}`;
const isDue = d => d.kind !== "rotation begins"; // from when it may be done, and need not be
const urgency = t => t <= made ? "overdue" : t - made < 30 * day ? "soon" : "later";
const urgencyOf = d => !isDue(d) && Date.parse(d.at) <= made ? "soon" : urgency(Date.parse(d.at));

const words = s => s.toLowerCase().split(/[\s,]+/).filter(Boolean);
let filter = {q: [], env: []};
const matches = text => filter.q.every(w => text.includes(w));
const shownEnvs = () => envs.filter(e => filter.env.length === 0 || filter.env.some(w => e.label.toLowerCase().includes(w)));
const text = (...parts) => parts.flat(Infinity).filter(Boolean).join(" ").toLowerCase();

// memo keeps what f says of an object.
function memo(f) {
	const known = new Map();
	return o => {
		if (!known.has(o)) known.set(o, f(o));
		return known.get(o);
	};
}

// ---- what follows from the document

const bare = name => name.replace(/\.previous$/, "");
const sourceOf = (e, input) => e.sources.find(s => s.name === input.source);
const idOf = s => `${s.namespace}/${s.name}`;
const within = o => (o.namespace ? `${o.namespace}/` : "");
const workloadOf = c => within(c) + c.object;
const readerOf = r => `${r.kind} ${within(r)}${r.name}`;
const askedFor = (e, c, u) => `${c.namespace || e.namespace}/${u.secret}`;
const push = (lists, key, x) => { if (lists.has(key)) lists.get(key).push(x); else lists.set(key, [x]); };

// linksOf are the edges of an environment, both ways.
const linksOf = memo(e => {
	const nodes = new Map();
	const node = (kind, id, of) => {
		const key = `${kind}:${id}`;
		if (!nodes.has(key)) nodes.set(key, {key, kind, id, of, up: new Set(), down: new Set()});
		return nodes.get(key);
	};
	const link = (a, b) => { if (a && b) { a.down.add(b); b.up.add(a); } };
	for (const s of e.sources) node("source", s.name, s);
	for (const i of e.inputs) node("input", i.name, i);
	for (const i of e.inputs) {
		if (i.source) link(nodes.get(`source:${i.source}`), nodes.get(`input:${i.name}`));
		for (const parent of i.declaration.madeFrom || []) link(nodes.get(`input:${parent}`), nodes.get(`input:${i.name}`));
	}
	for (const s of e.secrets) {
		const to = node("secret", idOf(s), s);
		for (const k of s.keys) for (const i of k.inputs || []) link(nodes.get(`input:${bare(i)}`), to);
	}
	(e.consumers || []).forEach(c => {
		const to = node("workload", workloadOf(c), c);
		for (const u of c.uses) link(nodes.get(`secret:${askedFor(e, c, u)}`), to);
	});
	return nodes;
});

// walk is where one comes to from a start, itself among it.
function walk(start, next) {
	const all = new Set([start]), todo = [start];
	while (todo.length) for (const n of next(todo.pop())) if (!all.has(n)) { all.add(n); todo.push(n); }
	return all;
}

// reach are all nodes that lead to a node, or that it leads to. Between inputs and
// workloads only those keys count that lead from the one to the other.
function reach(e, from) {
	const found = new Set([...walk(from, n => n.up), ...walk(from, n => n.down)]);
	const keep = (kind, ids) => { for (const n of found) if (n.kind === kind && !ids.has(n.id)) found.delete(n); };
	if (from.kind === "input") {
		const names = lineage(e, from.id);
		keep("workload", new Set(chains(e).filter(p => names.has(p.input)).map(p => p.workload)));
	} else if (from.kind === "workload") {
		keep("input", new Set(chains(e).filter(p => p.workload === from.id).flatMap(p => [...ancestry(e, p.input)])));
		keep("source", new Set([...found].filter(n => n.kind === "input").map(n => n.of.source)));
	}
	return found;
}

const childrenOf = memo(e => {
	const by = new Map();
	for (const i of e.inputs) for (const p of i.declaration.madeFrom || []) push(by, p, i.name);
	return by;
});
const inputsOf = memo(e => new Map(e.inputs.map(i => [i.name, i])));
const lineage = (e, name) => walk(name, n => childrenOf(e).get(n) || []);
const ancestry = (e, name) => walk(name, n => (inputsOf(e).get(n) || {declaration: {}}).declaration.madeFrom || []);

const usesBySecret = memo(e => {
	const by = new Map();
	for (const c of e.consumers || []) for (const u of c.uses) push(by, askedFor(e, c, u), {c, u});
	return by;
});

// usesOf are the places that ask for a secret, or for a key of it.
const usesOf = (e, secret, key) => (usesBySecret(e).get(idOf(secret)) || []).filter(({u}) => !key || !u.key || u.key === key);

// chains are the ways of an environment from an input to whoever consumes it.
const chains = memo(e => {
	const all = [];
	for (const s of e.secrets) {
		for (const k of s.keys) {
			const by = usesOf(e, s, k.name);
			for (const i of k.inputs && k.inputs.length ? k.inputs : [""]) {
				for (const {c, u} of by.length ? by : [{}]) {
					all.push({input: bare(i), secret: s, key: k, consumer: c, use: u, workload: c && workloadOf(c)});
				}
			}
		}
	}
	return all;
});

const dueOf = memo(e => {
	const by = new Map();
	for (const d of e.dates) if (isDue(d) && !by.has(d.of)) by.set(d.of, d);
	return by;
});

// all findings, each once, with the environments that have it.
const findings = (() => {
	const by = new Map();
	for (const e of envs) {
		for (const f of e.findings) {
			const key = JSON.stringify([f.code, f.message, f.positions]);
			if (!by.has(key)) by.set(key, {...f, envs: [], by: new Set()});
			by.get(key).envs.push(e);
			by.get(key).by.add(f.by);
		}
	}
	return [...by.values()].sort((a, b) => (a.severity === b.severity ? 0 : a.severity === "error" ? -1 : 1));
})();

// all dates, each once, with the environments that have it.
const dates = (() => {
	const by = new Map();
	for (const e of envs) {
		for (const d of e.dates) {
			const key = `${d.at.slice(0, 10)} ${d.kind} ${d.of}`;
			if (!by.has(key)) by.set(key, {...d, t: Date.parse(d.at), envs: []});
			if (!by.get(key).envs.includes(e)) by.get(key).envs.push(e);
		}
	}
	return [...by.values()].sort((a, b) => a.t - b.t);
})();

const rows = (() => {
	const by = new Map();
	for (const e of envs) {
		for (const i of e.inputs) {
			if (!by.has(i.name)) by.set(i.name, {name: i.name, at: new Map()});
			by.get(i.name).at.set(e, i);
		}
	}
	const all = [...by.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
	for (const r of all) {
		const one = [...r.at.values()];
		r.description = (one.find(i => i.declaration.description) || one[0]).declaration.description || "";
		r.text = text(r.name, [...new Set(one.map(i => i.declaration))].map(d => [d.description, d.owner, d.generated, d.docs]), one.length < 50 ? one.map(i => i.remote) : "");
	}
	return all;
})();

// ---- parts of views

const link = (to, children, attributes) => h("a", {href: "#" + to.map(encodeURIComponent).join("/"), ...attributes}, children);
const nodeLink = (e, kind, id, label) => link(["map", e.label, kind, id], label || id);

// outside is a link to what a contract names, if it is a page.
function outside(url) {
	return /^https?:\/\//i.test(url) ? h("a", {href: url, rel: "noopener noreferrer external"}, url) : url;
}

const glyphs = {present: "\u25cf", absent: "\u25cb", unreadable: "\u2715", unknown: "?", contract: "\u25a0"};
const stateWords = {present: "present", absent: "absent", unreadable: "unreadable", unknown: "not known", contract: "in the contract"};
const badge = (kind, label) => h(`span.badge.${cssName(kind)}`, null, label || kind);

function envList(es) {
	if (es.length === envs.length && envs.length > 1) return `all ${envs.length}`;
	const names = es.map(e => e.label);
	return names.length <= 8 ? names.join(", ") : `${names.slice(0, 7).join(", ")} and ${names.length - 7} more`;
}

function table(caption, heads, attributes) {
	const body = h("tbody");
	const head = h("thead", null, h("tr", null, heads.map(t => h("th", {scope: "col"}, t))));
	const t = h("table", attributes, h("caption.hidden", null, caption), head, body);
	return {wrap: h("div.scroll", {tabindex: "0", role: "region", "aria-label": caption}, t), table: t, body, head};
}

// fill puts rows into a table as they are needed: the first ones now, others when one
// gets near the end, and all of them to print.
let unfinished = [];
function fill(body, items, row, size) {
	let n = 0;
	const columns = () => body.parentElement.tHead.rows[0].cells.length;
	const more = h("tr.more", null, h("td", {colspan: columns()}, h("button", {type: "button", onclick: () => add(size)}, "Show more")));
	const watch = new IntersectionObserver(seen => { if (seen.some(s => s.isIntersecting)) add(size); }, {rootMargin: "600px"});
	function add(count) {
		more.remove();
		const part = document.createDocumentFragment();
		for (const end = Math.min(items.length, n + count); n < end; n++) part.append(row(items[n]));
		body.append(part);
		if (n < items.length) body.append(more);
		else watch.disconnect();
	}
	add(size);
	if (n < items.length) {
		watch.observe(more);
		unfinished.push(() => add(5000));
	}
}

function select(id, label, options, value, change) {
	return h("label", {for: id}, label, h("select", {id, onchange: e => change(e.target.value)}, options.map(([v, t]) => h("option", {value: v, selected: v === value}, t))));
}

const status = s => { $("status").textContent = s; };
const nothing = what => h("p.empty", null, what);

// ---- views

const views = {
	overview: {
		title: "Overview",
		show(into) {
			const es = shownEnvs(), all = es.flatMap(e => e.findings);
			const due = dates.filter(d => isDue(d) && d.envs.some(e => es.includes(e)));
			const tile = (n, what, to, kind) => link([to], [h("strong", null, n.toLocaleString("en")), h("span", null, what)], {class: "tile " + (n ? kind || "" : "")});
			const distinct = findings.filter(f => f.envs.some(e => es.includes(e)));
			into.append(h("div.tiles", null,
				tile(es.length, es.length === 1 ? "environment" : "environments", "matrix"),
				tile(new Set(es.flatMap(e => e.inputs.map(i => i.name))).size, "inputs", "matrix"),
				tile(es.reduce((n, e) => n + e.secrets.length, 0), "secrets", "map"),
				tile(new Set(es.flatMap(e => (e.consumers || []).map(workloadOf))).size, "workloads", "map"),
				tile(due.filter(d => d.t <= made).length, "overdue", "calendar", "bad"),
				tile(due.filter(d => urgency(d.t) === "soon").length, "due in 30 days", "calendar", "warn"),
				tile(distinct.filter(f => f.severity === "error").length, "errors", "findings", "bad"),
				tile(distinct.filter(f => f.severity !== "error").length, "warnings", "findings", "warn")));
			const t = table("All environments", ["Environment", "Delivery", "Values from", "Inputs", "Secrets", "Workloads", "Oldest value", "Next due", "Findings"], {class: "wide"});
			const kinds = list => [...new Set(list)].join(", ");
			const found = es.filter(e => matches(text(e.label, e.namespace, e.directory, e.sources.map(s => [s.kind, s.place]))));
			fill(t.body, found, e => {
				const errors = e.findings.filter(f => f.severity === "error").length, warnings = e.findings.length - errors;
				const counts = h("td", null, errors ? [badge("error", plural(errors, "error")), " "] : "", warnings ? badge("warning", plural(warnings, "warning")) : "", !errors && !warnings ? badge("ok", "none") : "");
				const name = h("th", {scope: "row"}, e.known ? link(["map", e.label], e.label) : e.label, h("small", null, e.directory), e.namespace && e.namespace !== e.environment ? h("small", null, `namespace ${e.namespace}`) : "");
				if (!e.known) return h("tr", null, name, h("td", {colspan: 7}, "Nothing is known about it until its errors are fixed."), counts);
				const next = e.dates.find(isDue), t = next && Date.parse(next.at);
				const changes = e.inputs.filter(i => i.changed && i.class !== "setting").map(i => Date.parse(i.changed));
				const by = c => e.inputs.filter(i => i.class === c).length;
				return h("tr", null, name,
					h("td", null, kinds(e.secrets.map(s => s.delivery)), e.cluster ? h("small", null, "in " + e.cluster) : "", e.built ? "" : h("small", null, "not built yet")),
					h("td", null, kinds(e.sources.filter(s => e.inputs.some(i => i.source === s.name)).map(s => s.kind))),
					h("td", null, String(e.inputs.length), h("small", null, ["required", "optional", "generated", "setting"].filter(by).map(c => `${by(c)} ${c}`).join(", "))),
					h("td", null, String(e.secrets.length)),
					h("td", null, e.consumers ? String(e.consumers.length) : h("small", null, "no manifests are named")),
					h("td", null, changes.length ? span(made - changes.reduce((a, b) => Math.min(a, b))) : h("small", null, "not known")),
					h("td", null, next ? [badge(urgency(t), away(t)), h("small", null, `${next.of}, ${next.kind}`)] : h("small", null, "nothing")), counts);
			}, 100);
			into.append(h("h3", null, "Environments"), t.wrap);
			status(`${found.length} of ${plural(envs.length, "environment")}`);
			const soon = due.filter(d => matches(text(d.of, d.kind))).slice(0, 8), worst = distinct.filter(f => matches(text(f.code, f.message, f.hint))).slice(0, 6);
			into.append(h("div.pair", null,
				h("section", {"aria-labelledby": "next"}, h("h3", {id: "next"}, "Next due"), soon.length ? h("ul.plain", null, soon.map(d => h("li", null, badge(urgency(d.t), away(d.t)), " ", h("b", null, d.of), ` ${d.kind} on ${date(d.t)}`, h("small", null, envList(d.envs))))) : nothing("Nothing has a due date.")),
				h("section", {"aria-labelledby": "worst"}, h("h3", {id: "worst"}, "What is wrong"), worst.length ? h("ul.plain", null, worst.map(f => h("li", null, badge(f.severity), " ", link(["findings", f.code], f.code), " ", f.message, h("small", null, envList(f.envs))))) : nothing(`${report.judges.join(" and ")}: nothing is wrong.`))));
		},
	},

	matrix: {
		title: "Matrix",
		options: {class: "", state: "", sort: "name", differs: false},
		show(into, _, again) {
			const o = this.options, es = shownEnvs().filter(e => e.known), compact = es.length > 8;
			const set = k => v => { o[k] = v; again("matrix-" + k); };
			into.append(h("div.controls", null,
				select("matrix-class", "Class", [["", "all"], ...["required", "optional", "generated", "setting"].map(c => [c, c])], o.class, set("class")),
				select("matrix-state", "State", [["", "all"], ...Object.entries(stateWords), ["due", "overdue, or due in 30 days"]], o.state, set("state")),
				select("matrix-sort", "Order", [["name", "by name"], ["age", "oldest first"], ["due", "due first"]], o.sort, set("sort")),
				h("label.check", null, h("input", {type: "checkbox", id: "matrix-differs", checked: o.differs, onchange: e => set("differs")(e.target.checked)}), "only what differs")));
			const first = (r, f) => es.map(e => r.at.get(e) && f(e, r.at.get(e))).filter(Boolean).reduce((a, b) => Math.min(a, b), Infinity);
			const due = (e, i) => dueOf(e).get(i.name) && Date.parse(dueOf(e).get(i.name).at);
			const isState = (e, i) => !o.state || (o.state === "due" ? due(e, i) && urgency(due(e, i)) !== "later" : i.state === o.state);
			const is = (e, i) => i && (!o.class || i.class === o.class) && isState(e, i);
			const differs = r => new Set(es.map(e => { const i = r.at.get(e); return i ? [i.class, i.state, (sourceOf(e, i) || {}).kind, i.variant].join() : ""; })).size > 1;
			const found = rows.filter(r => matches(r.text) && es.some(e => is(e, r.at.get(e))) && (!o.differs || differs(r)));
			if (o.sort === "age") found.sort((a, b) => first(a, (e, i) => i.changed && Date.parse(i.changed)) - first(b, (e, i) => i.changed && Date.parse(i.changed)) || 0);
			if (o.sort === "due") found.sort((a, b) => first(a, due) - first(b, due) || 0);
			status(`${found.length} of ${plural(rows.length, "input")}, ${plural(es.length, "environment")}`);
			if (!found.length) { into.append(nothing("No input matches.")); return; }
			const t = table("Inputs by environments", [], {class: compact ? "matrix compact" : "matrix", "aria-rowcount": found.length + 1});
			t.head.rows[0].append(h("th", {scope: "col"}, "Input"), ...es.map(e => h("th", {scope: "col"}, h("span", null, e.label))));
			fill(t.body, found, r => h("tr", null,
				h("th", {scope: "row"}, r.name, compact ? "" : h("small", null, r.description)),
				es.map(e => {
					const i = r.at.get(e);
					if (!i) return h("td.none", null, compact ? "" : h("small", null, "\u2014"));
					const s = sourceOf(e, i), d = due(e, i), u = d && urgency(d);
					const age = i.changed ? span(made - Date.parse(i.changed)) : "";
					const whole = [i.class, stateWords[i.state], s && `from ${s.kind}`, age && `${age} old`, d && `${dueOf(e).get(i.name).kind} ${away(d)}`].filter(Boolean).join(", ");
					const name = `${r.name} in ${e.label}: `;
					return h(`td.state.${i.state}${is(e, i) ? "" : ".dim"}`, null, link(["map", e.label, "input", i.name], compact
						? [h("span.hidden", null, name + whole), h(`span.glyph.${i.state}`, {"aria-hidden": true}, glyphs[i.state]), h("span.letter", {"aria-hidden": true}, i.class[0].toUpperCase()), u && u !== "later" ? h(`span.dot.${u}`) : ""]
						: [h("span.hidden", null, name), h("span.line", null, h(`span.glyph.${i.state}`, {"aria-hidden": true}, glyphs[i.state]), h("b", null, stateWords[i.state]), age ? h("span.age", null, age) : ""),
							h("small", null, i.class, s ? ` \u00b7 ${s.kind}` : ""), u && u !== "later" ? badge(u, `${dueOf(e).get(i.name).kind} ${away(d)}`) : ""],
						{tabindex: "-1", title: compact ? name + whole : null}));
				})), compact ? 40 : 60);
			roving(t.table);
			into.append(h("p.legend", null, Object.entries(stateWords).map(([k, w]) => [h(`span.glyph.${k}`, {"aria-hidden": true}, glyphs[k]), ` ${w} `]), compact ? "R required, O optional, G generated, S setting. " : "", h("span.hint", null, "Arrow keys go from cell to cell, and Enter follows one on the map.")), t.wrap);
		},
	},

	map: {
		title: "Map",
		show(into, [label, kind, id], again) {
			const known = envs.filter(e => e.known);
			if (!known.length) { into.append(nothing("Nothing is known about any environment until its errors are fixed.")); return; }
			const e = known.find(e => e.label === label) || (shownEnvs().find(e => e.known) || known[0]);
			const nodes = linksOf(e), selected = kind && nodes.get(`${kind}:${id}`);
			into.append(h("div.controls", null,
				select("map-env", "Environment", known.map(e => [e.label, e.label]), e.label, v => { location.hash = "#" + ["map", v, ...(selected ? [kind, id] : [])].map(encodeURIComponent).join("/"); focusAfter = "map-env"; }),
				selected ? link(["map", e.label], "Show all", {class: "button"}) : "",
				h("span.hint", null, "Follow a value from its source to what uses it: click, or use the arrow keys.")));
			const reached = selected ? reach(e, selected) : null;
			const found = [...nodes.values()].filter(n => reached ? reached.has(n) : matches(nodeText(n)) || filter.q.length && [...reach(e, n)].some(m => m !== n && matches(nodeText(m))));
			status(`${found.length} of ${nodes.size} on the map of ${e.label}`);
			const columns = [["source", "Sources"], ["input", "Inputs"], ["secret", "Secrets"], ["workload", "Workloads"]];
			const order = new Map([...nodes.values()].filter(n => n.kind === "secret").map((n, i) => [n, i]));
			const rank = n => n.kind === "input" ? Math.min(...[...n.down].map(d => order.has(d) ? order.get(d) : 1e9), 1e9) : 0;
			const boxes = new Map();
			const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
			svg.setAttribute("aria-hidden", "true");
			const graph = h("div.graph", {id: "graph"}, svg, columns.map(([k, title]) => {
				const own = found.filter(n => n.kind === k).sort((a, b) => rank(a) - rank(b) || (a.id < b.id ? -1 : 1));
				return h(`div.column.${k}`, null, h("h3", {id: `column-${k}`}, title, h("small", null, String(own.length))),
					own.length ? h("ul", {"aria-labelledby": `column-${k}`}, own.map(n => {
						const box = link(["map", e.label, n.kind, n.id], [h("b", null, nodeName(e, n)), h("small", null, nodeNote(e, n, selected))], {class: "node", tabindex: "-1", "aria-current": n === selected ? "true" : null});
						boxes.set(n, box);
						return h("li", null, box);
					})) : nothing(k === "workload" && !e.consumers ? "The contract names no manifests, so it is not known." : "none"));
			}));
			const side = selected ? h("aside", {"aria-label": `About ${id}`, id: "about"}, about(e, selected)) : "";
			into.append(h(selected ? "div.follow" : "div", null, graph, side));
			const edges = [...found].flatMap(n => [...n.down].filter(m => boxes.has(m)).map(m => [n, m]));
			const draw = () => {
				const at = graph.getBoundingClientRect();
				svg.setAttribute("viewBox", `0 0 ${at.width} ${at.height}`);
				svg.replaceChildren(...(edges.length > 1500 ? [] : edges).map(([a, b]) => {
					const p = boxes.get(a).getBoundingClientRect(), q = boxes.get(b).getBoundingClientRect();
					const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
					const y1 = p.top + p.height / 2 - at.top, y2 = q.top + q.height / 2 - at.top, x1 = p.right - at.left;
					const x2 = a.kind === b.kind ? q.right - at.left : q.left - at.left, bend = a.kind === b.kind ? 28 : Math.max(20, (x2 - x1) / 2);
					path.setAttribute("d", `M${x1} ${y1}C${x1 + bend} ${y1} ${a.kind === b.kind ? x2 + bend : x2 - bend} ${y2} ${x2} ${y2}`);
					path.setAttribute("class", selected && edges.length <= 30 ? "edge strong" : "edge");
					return path;
				}));
			};
			new ResizeObserver(draw).observe(graph);
			columnKeys(graph, selected && boxes.get(selected));
			const ways = chains(e).filter(c => !reached || (!c.input || reached.has(nodes.get(`input:${c.input}`))) && reached.has(nodes.get(`secret:${idOf(c.secret)}`)) && (!c.workload || selected.kind === "secret" || reached.has(nodes.get(`workload:${c.workload}`)))).filter(c => selected || matches(text(c.input, c.secret.name, c.key.name, c.workload)));
			const list = h("details", {ontoggle: ev => { if (ev.target.open && !ev.target.querySelector("table")) listed(); }}, h("summary", null, `As a table: ${plural(ways.length, "way")}`));
			const listed = () => {
				const t = table(`From inputs to workloads in ${e.label}`, ["Input", "Source", "Secret", "Key", "Workload", "Where"]);
				fill(t.body, ways, c => {
					const i = inputsOf(e).get(c.input), s = i && sourceOf(e, i);
					return h("tr", null, h("td", null, c.input ? nodeLink(e, "input", c.input) : h("small", null, "a literal")), h("td", null, s ? s.kind : ""), h("td", null, nodeLink(e, "secret", idOf(c.secret))), h("td", null, c.key.name),
						h("td", null, c.workload ? nodeLink(e, "workload", c.workload) : ""), h("td", null, c.use ? c.use.where || "" : ""));
				}, 100);
				list.append(t.wrap);
			};
			unfinished.push(() => { if (!list.querySelector("table")) listed(); list.open = true; });
			into.append(list);
		},
	},

	calendar: {
		title: "Calendar",
		month: "",
		show(into, _, again) {
			const es = new Set(shownEnvs());
			const found = dates.filter(d => d.envs.some(e => es.has(e)) && matches(text(d.of, d.kind, d.envs.length < 20 ? d.envs.map(e => e.label) : "")));
			const bucket = d => d.t <= made ? "overdue" : date(d.t).slice(0, 7);
			const now = new Date(made), months = ["overdue"];
			for (let i = 0; i < 12; i++) months.push(new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + i, 1)).toISOString().slice(0, 7));
			const last = months[months.length - 1];
			const place = d => (months.includes(bucket(d)) ? bucket(d) : bucket(d) > last ? "later" : "overdue");
			months.push("later");
			const counts = new Map(months.map(m => [m, 0]));
			for (const d of found) counts.set(place(d), counts.get(place(d)) + 1);
			const most = Math.max(1, ...counts.values());
			into.append(h("div.months", {role: "group", "aria-label": "Months"}, months.map(m => {
				const n = counts.get(m), bar = h("span.column-bar");
				bar.style.height = n ? `${6 + 42 * n / most}px` : "0";
				const name = m === "overdue" || m === "later" ? m : new Date(m + "-01T00:00:00Z").toLocaleDateString("en", {month: "short", year: "2-digit", timeZone: "UTC"});
				return h(`button.month.${m === "overdue" ? "overdue" : "ahead"}`, {type: "button", id: "month-" + m, disabled: !n, "aria-pressed": String(this.month === m), onclick: () => { this.month = this.month === m ? "" : m; again("month-" + m); }}, bar, h("b", null, String(n)), h("span", null, name));
			})));
			const shown = found.filter(d => !this.month || place(d) === this.month);
			status(`${shown.length} of ${plural(dates.length, "date")}`);
			if (!shown.length) { into.append(nothing("No input has a maxAge, a rotateAfter or an expiry date, or its age is not known; and no certificate ends.")); return; }
			const t = table("What is due", ["Day", "When", "What", "Of", "Owner", "Environments"]);
			fill(t.body, shown, d => {
				const u = urgencyOf(d), e = d.envs[0], i = inputsOf(e).get(d.of);
				return h("tr", null, h("td.day", null, date(d.t)), h("td", null, badge(u, away(d.t))), h("td", null, d.kind), h("td", null, i ? nodeLink(e, "input", d.of) : d.of), h("td", null, i ? i.declaration.owner || "" : ""), h("td", null, envList(d.envs)));
			}, 150);
			into.append(t.wrap);
		},
	},

	findings: {
		title: "Findings",
		severity: "",
		show(into, [code], again) {
			const es = new Set(shownEnvs());
			into.append(h("div.controls", null,
				select("findings-severity", "Severity", [["", "all"], ["error", "errors"], ["warning", "warnings"]], this.severity, v => { this.severity = v; again("findings-severity"); }),
				code ? link(["findings"], ["Only ", h("b", null, code), ": show all"], {class: "button"}) : "",
				h("span.hint", null, `By victorgen ${report.judges.join(", victorgen ")}.`)));
			const found = findings.filter(f => (!code || f.code === code) && (!this.severity || f.severity === this.severity) && f.envs.some(e => es.has(e)) &&
				matches(text(f.code, f.severity, f.message, f.hint, (f.positions || []).map(p => p.file), f.envs.length < 20 ? f.envs.map(e => e.label) : "")));
			status(`${found.length} of ${plural(findings.length, "finding")}`);
			if (!found.length) { into.append(nothing(findings.length ? "No finding matches." : "Nothing is wrong.")); return; }
			const t = table("All findings", ["Severity", "Code", "What is wrong, and what to do", "Where", "Environments"]);
			fill(t.body, found, f => h("tr", null, h("td", null, badge(f.severity)), h("td", null, h("code", null, f.code)),
				h("td.what", null, f.message, f.hint ? h("p.fix", null, f.hint) : "", report.codes[f.code] ? h("details", null, h("summary", null, `About ${f.code}`), h("p", null, report.codes[f.code])) : ""),
				h("td", null, (f.positions || []).map(p => h("div", null, h("code", null, `${p.file}:${p.line}`)))),
				h("td", null, envList(f.envs), f.by.size < report.judges.length || report.judges.length > 1 ? h("small", null, [...f.by].join(", ")) : "")), 100);
			into.append(t.wrap);
		},
	},

	compare: {
		title: "Compare",
		show(into, [a, b]) {
			const known = envs.filter(e => e.known);
			if (known.length < 2) { into.append(nothing("Only environments without errors can be compared.")); return; }
			const left = known.find(e => e.label === a) || known[0], right = known.find(e => e.label === b) || known.find(e => e !== left);
			const go = (x, y, focus) => { focusAfter = focus; location.hash = "#" + ["compare", x, y].map(encodeURIComponent).join("/"); };
			const options = known.map(e => [e.label, e.label]);
			into.append(h("div.controls", null,
				select("compare-a", "From", options, left.label, v => go(v, right.label, "compare-a")),
				select("compare-b", "To", options, right.label, v => go(left.label, v, "compare-b")),
				h("button", {type: "button", id: "swap", onclick: () => go(right.label, left.label, "swap")}, "Swap")));
			const all = differences(left, right), found = all.filter(d => matches(text(d.of, d.what, d.a, d.b)));
			status(`${found.length} of ${plural(all.length, "difference")}`);
			if (!found.length) { into.append(nothing(all.length ? "No difference matches." : "They do not differ.")); return; }
			const t = table(`What differs between ${left.label} and ${right.label}`, ["Of", "What", left.label, right.label]);
			let before = "";
			fill(t.body, found, d => {
				const again = d.of === before;
				before = d.of;
				const cell = v => h(`td${v ? "" : ".none"}`, null, v || "\u2014");
				return h(again ? "tr.same" : "tr", null, h("th", {scope: "row"}, again ? h("span.hidden", null, d.of) : d.of), h("td", null, d.what), cell(d.a), cell(d.b));
			}, 200);
			into.append(t.wrap);
		},
	},
};

// differences are those of two environments, in the order in which they are shown.
function differences(a, b) {
	const all = [];
	const both = (of, fields, x, y) => {
		if (!x || !y) { all.push({of, what: "is there", a: x ? "yes" : "", b: y ? "yes" : ""}); return; }
		for (const [what, f] of fields) {
			const p = f(x, a) || "", q = f(y, b) || "";
			if (p !== q) all.push({of, what, a: p, b: q});
		}
	};
	const each = (xs, ys, id, fields, prefix) => {
		const p = new Map(xs.map(x => [id(x), x])), q = new Map(ys.map(y => [id(y), y]));
		for (const k of [...new Set([...p.keys(), ...q.keys()])].sort()) both(prefix + k, fields, p.get(k), q.get(k));
	};
	both("environment", [["namespace", e => e.namespace], ["built", e => (e.built ? "yes" : "no")]], a, b);
	each(a.sources, b.sources, s => s.name, [["kind", s => s.kind], ["place", s => s.place]], "source ");
	const d = f => i => i.declaration[f];
	each(a.inputs, b.inputs, i => i.name, [
		["class", i => i.class], ["state", i => stateWords[i.state]], ["source", i => i.source],
		["name at its source", i => (i.remote || "").split("/").pop()], ["value in the contract", i => (i.variant && variants.get(i.name) > 1 ? `value ${i.variant} of ${variants.get(i.name)}` : "")],
		["must be", d("mustBe")], ["generated as", d("generated")], ["made from", i => (i.declaration.madeFrom || []).join(", ")], ["rotation due after", i => goDuration(d("maxAge")(i))],
		["rotation begins after", i => goDuration(d("rotateAfter")(i))], ["previous value counts for", i => goDuration(d("keepPrevious")(i))], ["rotation", i => (i.declaration.neverRotate ? "never" : "")], ["expires", d("expires")], ["owner", d("owner")], ["docs", d("docs")], ["deprecated", d("deprecated")], ["description", d("description")],
	], "");
	const keys = s => new Map(s.keys.map(k => [k.name, `${k.by} ${(k.inputs || []).join(", ")}`.trim()]));
	each(a.secrets, b.secrets, s => s.name, [
		["namespace", s => s.namespace], ["type", s => s.type], ["delivery", s => s.delivery], ["certificate", s => s.certificate], ["verdict", s => s.verdict],
	], "secret ");
	for (const s of a.secrets) {
		const other = b.secrets.find(o => o.name === s.name);
		if (!other) continue;
		const p = keys(s), q = keys(other);
		for (const k of [...new Set([...p.keys(), ...q.keys()])].sort()) if (p.get(k) !== q.get(k)) all.push({of: `secret ${s.name}`, what: `key ${k}`, a: p.get(k), b: q.get(k)});
	}
	each(a.consumers || [], b.consumers || [], c => c.object, [["refers to", c => [...new Set(c.uses.map(u => u.secret + (u.key ? ` ${u.key}` : "")))].sort().join(", ")]], "workload ");
	each(a.rules, b.rules, r => r.name, [["kind", r => r.kind], ["inputs", r => r.inputs.join(", ")]], "rule ");
	each(a.readers, b.readers, readerOf, [], "reader ");
	return all;
}
const variants = new Map();
for (const e of envs) for (const i of e.inputs) if (i.variant) variants.set(i.name, Math.max(variants.get(i.name) || 0, i.variant));

// ---- the map

const nodeText = memo(n => text(n.id, n.kind === "input" ? [n.of.declaration.description, n.of.declaration.owner, n.of.remote, n.of.class] : n.kind === "source" ? [n.of.kind, n.of.place] : n.kind === "secret" ? [n.of.type, n.of.keys.map(k => k.name)] : n.of.uses.map(u => u.where)));

function nodeName(e, n) {
	return n.kind === "secret" && n.of.namespace === e.namespace ? n.of.name : n.id;
}

function nodeNote(e, n, selected) {
	switch (selected && selected.kind === "input" ? n.kind : "") {
	case "secret": {
		const names = lineage(e, selected.id), keys = n.of.keys.filter(k => (k.inputs || []).some(i => names.has(bare(i)))).map(k => k.name);
		return keys.length > 3 ? `${keys.slice(0, 3).join(", ")} and ${keys.length - 3} more` : keys.join(", ");
	}
	case "workload": {
		const names = lineage(e, selected.id), ways = chains(e).filter(c => c.workload === n.id && names.has(c.input));
		return [...new Set(ways.map(c => c.use.where).filter(Boolean))].slice(0, 3).join("; ");
	}
	}
	switch (n.kind) {
	case "source": return [n.of.kind, n.of.place].filter(Boolean).join(" \u00b7 ");
	case "input": {
		const due = dueOf(e).get(n.id), t = due && Date.parse(due.at);
		return [`${glyphs[n.of.state]} ${n.of.class}`, n.of.changed ? ` \u00b7 ${span(made - Date.parse(n.of.changed))}` : "", t && urgency(t) !== "later" ? badge(urgency(t), `${due.kind} ${away(t)}`) : ""];
	}
	case "secret": return [plural(n.of.keys.length, "key"), ` \u00b7 ${n.of.delivery}`, n.of.verdict ? badge(n.of.verdict === "ok" ? "ok" : n.of.verdict === "not ok" ? "error" : "warning", n.of.verdict) : ""];
	}
	return plural(new Set(n.of.uses.map(u => `${u.secret} ${u.key || ""}`)).size, "reference");
}

// about tells all there is of what is selected.
function about(e, n) {
	const rows = [], row = (what, ...value) => { if (value.flat(Infinity).some(v => v !== undefined && v !== null && v !== "")) rows.push(h("dt", null, what), h("dd", null, value)); };
	const lines = list => list.map(l => h("div", null, l));
	const use = ({c, u}) => [nodeLink(e, "workload", workloadOf(c), c.object), u.where ? `, ${u.where}` : "", u.optional ? " (may be absent)" : "", h("small", null, `${u.position.file}:${u.position.line}`)];
	if (n.kind === "input") {
		const i = n.of, d = i.declaration, s = sourceOf(e, i);
		row("Class", i.class);
		row("State", badge(i.state, `${glyphs[i.state]} ${stateWords[i.state]}`), i.changed ? ` since ${date(i.changed)}, ${span(made - Date.parse(i.changed))}` : i.state === "present" ? ", since when is not known" : "");
		row("Comes from", s ? [nodeLink(e, "source", s.name), ` (${s.kind}) `, h("code", null, i.remote || s.place || i.name)] : "the contract");
		row("Generated", d.generated);
		row("Made from", lines((d.madeFrom || []).map(p => nodeLink(e, "input", p))));
		row("Children", lines((childrenOf(e).get(i.name) || []).map(p => nodeLink(e, "input", p))));
		row("Must be", d.mustBe);
		row("Rotation", d.neverRotate ? "never" : "", d.maxAge ? `due after ${goDuration(d.maxAge)}` : "", d.rotateAfter ? `${d.maxAge ? ", " : ""}by rotate --due after ${goDuration(d.rotateAfter)}` : "");
		row("Previous value", d.keepPrevious ? `counts for ${goDuration(d.keepPrevious)} after a rotation` : "");
		row("Dates", lines(e.dates.filter(x => x.of === i.name).map(x => [badge(urgencyOf(x), away(Date.parse(x.at))), ` ${x.kind}, ${date(x.at)}`])));
		row("Owner", d.owner);
		row("Where to get it", d.docs ? outside(d.docs) : "");
		row("Deprecated", d.deprecated);
		const places = e.secrets.flatMap(sec => sec.keys.filter(k => (k.inputs || []).some(x => bare(x) === i.name)).map(k => ({sec, k})));
		row("Goes to", lines(places.map(({sec, k}) => [nodeLink(e, "secret", idOf(sec), sec.name), " ", h("code", null, k.name), k.by === "input" ? "" : ` (${k.by})`])));
		row("Used by", lines(places.flatMap(({sec, k}) => usesOf(e, sec, k.name)).map(use)));
		row("Rules", lines(e.rules.filter(r => r.inputs.includes(i.name)).map(r => `${r.name} (${r.kind})${r.description ? ": " + r.description : ""}`)));
		row("Elsewhere", lines(envs.filter(o => o !== e && o.known && inputsOf(o).has(i.name)).slice(0, 12).map(o => [nodeLink(o, "input", i.name, o.label), ` ${inputsOf(o).get(i.name).class}, ${stateWords[inputsOf(o).get(i.name).state]}`])));
	} else if (n.kind === "secret") {
		const s = n.of;
		row("Namespace", s.namespace);
		row("Type", s.type);
		row("Delivery", s.delivery, s.certificate ? [" for ", h("code", null, s.certificate)] : "");
		row("In the cluster", s.verdict);
		row("Keys", lines(s.keys.map(k => [h("code", null, k.name), ` ${k.by === "value" ? "a literal" : k.by} `, (k.inputs || []).map((i, x) => [x ? ", " : "", nodeLink(e, "input", bare(i), i)]), h("small", null, `${stateWords[k.state] || k.state}${k.changed ? `, changed ${date(k.changed)}` : ""}`)])));
		row("Used by", lines(usesOf(e, s).map(use)));
		row("Readers", lines(e.readers.map(readerOf)));
	} else if (n.kind === "source") {
		row("Kind", n.of.kind);
		row("Place", n.of.place ? h("code", null, n.of.place) : "");
		row("Inputs", String(e.inputs.filter(i => i.source === n.of.name).length));
		row("States", lines(Object.keys(stateWords).map(s => [e.inputs.filter(i => i.source === n.of.name && i.state === s).length, s]).filter(([c]) => c).map(([c, s]) => `${c} ${stateWords[s]}`)));
	} else {
		row("Namespace", n.of.namespace || e.namespace);
		row("Refers to", lines(n.of.uses.map(u => [nodeLink(e, "secret", askedFor(e, n.of, u), u.secret), " ", u.key ? h("code", null, u.key) : "all keys", u.where ? ` in ${u.where}` : "", u.optional ? " (may be absent)" : "", h("small", null, `${u.position.file}:${u.position.line}`)])));
	}
	const word = new RegExp(`(^|[^A-Za-z0-9_-])${(n.kind === "secret" ? n.of.name : n.id).replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}($|[^A-Za-z0-9_-])`);
	row("Findings", lines(e.findings.filter(f => word.test(f.message)).map(f => [badge(f.severity), " ", link(["findings", f.code], f.code), " ", f.message])));
	return [h("p.kind", null, n.kind), h("h3", null, nodeName(e, n)), n.kind === "input" && n.of.declaration.description ? h("p", null, n.of.declaration.description) : "", h("dl", null, rows)];
}

// ---- keys

// roving lets the arrow keys go from cell to cell, and makes one cell a stop of Tab.
function roving(t) {
	const first = t.querySelector("tbody a");
	if (first) first.tabIndex = 0;
	t.addEventListener("keydown", ev => {
		const cell = ev.target.closest("td");
		const step = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0]}[ev.key];
		if (!cell || !step) return;
		let row = cell.parentElement, column = cell.cellIndex;
		for (;;) {
			column += step[1];
			row = step[0] > 0 ? row.nextElementSibling : step[0] < 0 ? row.previousElementSibling : row;
			const next = row && row.cells[column];
			if (!next || next.tagName !== "TD") break;
			const a = next.querySelector("a");
			if (a) { move(t, ev.target, a); break; }
		}
		ev.preventDefault();
	});
}

function move(within, from, to) {
	within.querySelectorAll("a[tabindex='0']").forEach(a => { a.tabIndex = -1; });
	to.tabIndex = 0;
	to.focus();
}

// columnKeys lets the arrow keys go up and down a column, and along to the next one.
function columnKeys(graph, selected) {
	const stop = selected || graph.querySelector(".input .node") || graph.querySelector(".node");
	if (stop) stop.tabIndex = 0;
	graph.addEventListener("keydown", ev => {
		const item = ev.target.closest("li");
		if (!item) return;
		let to = null;
		if (ev.key === "ArrowDown") to = item.nextElementSibling;
		else if (ev.key === "ArrowUp") to = item.previousElementSibling;
		else if (ev.key === "ArrowRight" || ev.key === "ArrowLeft") {
			for (let c = item.closest(".column"); c && !to;) {
				c = ev.key === "ArrowRight" ? c.nextElementSibling : c.previousElementSibling;
				const y = item.getBoundingClientRect().top;
				to = c && c.matches(".column") ? [...c.querySelectorAll("li")].sort((a, b) => Math.abs(a.getBoundingClientRect().top - y) - Math.abs(b.getBoundingClientRect().top - y))[0] : null;
				if (!c || !c.matches(".column")) break;
			}
		} else return;
		ev.preventDefault();
		if (to) move(graph, ev.target, to.querySelector("a"));
	});
}

// ---- the page

let focusAfter = "";
const sections = {};
for (const [name, view] of Object.entries(views)) {
	sections[name] = h("section.view", {id: "view-" + name, "aria-labelledby": "title-" + name, hidden: true}, h("h2", {id: "title-" + name, tabindex: "-1"}, view.title), h("div"));
	$("main").append(sections[name]);
	$("views").append(link([name], view.title, {"data-view": name}));
}
let current = "";
const route = () => {
	const [name, ...rest] = location.hash.slice(1).split("/").map(part => { try { return decodeURIComponent(part); } catch { return part; } });
	return views[name] ? [name, rest] : ["overview", []];
};

function render(name, rest) {
	const body = h("div");
	const again = focus => { unfinished = []; render(name, rest); if (focus && $(focus)) $(focus).focus(); };
	sections[name].lastElementChild.replaceWith(body);
	views[name].show(body, rest, again);
}

function show(focus) {
	const [name, rest] = route();
	unfinished = [];
	for (const [n, s] of Object.entries(sections)) {
		s.hidden = n !== name;
		if (s.hidden) s.lastElementChild.replaceChildren();
	}
	for (const a of $("views").children) {
		if (a.dataset.view === name) a.setAttribute("aria-current", "page");
		else a.removeAttribute("aria-current");
	}
	render(name, rest);
	document.title = `${views[name].title}: ${$("skip").dataset.title}`;
	if (focusAfter && $(focusAfter)) $(focusAfter).focus();
	else if (focus) {
		const node = name === "map" && rest[2] && document.querySelector(".node[aria-current]");
		if (node) node.focus({preventScroll: true});
		else if (name !== current) $("title-" + name).focus();
		if (name !== current || node) window.scrollTo(0, 0);
	}
	focusAfter = "";
	current = name;
}

// To print is to see all of it, but for the map and the comparison that nobody has
// chosen.
function all() {
	const [name, rest] = route();
	unfinished = [];
	for (const n of Object.keys(views)) {
		render(n, n === name ? rest : []);
		sections[n].hidden = false;
	}
	const left = unfinished;
	unfinished = [];
	left.forEach(f => f());
}

function themed(dark) {
	document.documentElement.dataset.theme = dark ? "dark" : "light";
	$("theme").textContent = dark ? "\u2600 Light" : "\u263e Dark";
	$("theme").setAttribute("aria-label", dark ? "Change to the light theme" : "Change to the dark theme");
}
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
try { chosen = localStorage.getItem("victorgen-theme"); } catch { /* a page of a file may have none */ }
themed(chosen ? chosen === "dark" : prefersDark.matches);
prefersDark.addEventListener("change", ev => { if (!chosen) themed(ev.matches); });
$("theme").addEventListener("click", () => {
	chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
	try { localStorage.setItem("victorgen-theme", chosen); } catch { /* it lasts as long as the page */ }
	themed(chosen === "dark");
});

const old = Date.now() - made;
if (old > 2 * day) $("made").append(` This page is ${span(old)} old.`);
$("skip").dataset.title = document.title;
$("skip").addEventListener("click", ev => { ev.preventDefault(); $("main").focus(); });
let timer = 0;
for (const id of ["q", "env"]) {
	$(id).addEventListener("input", () => {
		clearTimeout(timer);
		timer = setTimeout(() => { filter = {q: words($("q").value), env: words($("env").value)}; show(false); }, 120);
	});
}
$("filter").addEventListener("submit", ev => ev.preventDefault());
addEventListener("hashchange", () => show(true));
addEventListener("beforeprint", all);
addEventListener("afterprint", () => show(false));
for (const id of ["theme", "views", "filter"]) $(id).hidden = false;
show(false);
document.documentElement.dataset.ready = "yes";
})();
