// Findings, conventions, comparison, files.

function table(headings, rows, attributes = {}) {
  return el("table", attributes, el("thead", {}, el("tr", {}, headings.map(h => el("th", { scope: "col" }, h)))), el("tbody", {}, rows.map(cells => el("tr", {}, cells.map(c => (c instanceof Node ? el("td", {}, c) : Array.isArray(c) ? el("td", {}, c) : el("td", { class: typeof c === "number" || typeof c === "bigint" ? "num" : null }, typeof c === "number" || typeof c === "bigint" ? digits(c) : c)))))));
}

/** A long list of names: the first few, and all of them when opened. */
function names(all, few = 4) {
  if (all.length <= few + 1) return el("span", { class: "names" }, all.join(", "));
  return el("details", {}, el("summary", {}, `${all.slice(0, few).join(", ")} and ${all.length - few} more`), el("span", { class: "names" }, all.slice(few).join(", ")));
}

function findingsPanel(host) {
  function draw() {
    const of = piece(), f = of.data.findings, p = f.parameters, parts = [el("h2", {}, "Findings")];
    parts.push(el("p", { id: "parameters" }, `${digits(p.total)} parameters, ${bytesText(p.bytes)}: ${digits(p.trainable)} trainable, ${digits(p.frozen)} frozen, ${digits(p.shared)} shared, ${digits(p.dead)} dead; buffers ${digits(p.buffers)}, ${bytesText(p.buffer_bytes)}.`));
    if (f.uncounted.length) parts.push(el("h3", {}, "⚠ Ops without a cost rule: totals are lower bounds"), table(["op", "calls", "line"], f.uncounted.map(u => [u.op, u.calls, u.where]), { id: "uncounted" }));
    const guesses = of.data.unbacked.filter(u => u.guess);
    if (guesses.length) parts.push(el("h3", {}, "⚠ Guesses"), table(["size", "what it counts", "line", "taken as"], guesses.map(u => [u.name, u.what, u.where, app.numbers.values[u.name]]), { id: "guesses" }));
    parts.push(el("h3", {}, "Dead parameters"));
    if (f.dead.length) parts.push(table(["bytes", "elements", "parameters", "why"], f.dead.map(d => [bytesText(d.bytes), d.elements, names(d.names), d.reason]), { id: "dead" }));
    else parts.push(el("p", {}, "None."));
    parts.push(el("h3", {}, "Shared"));
    if (f.groups.length) parts.push(el("p", { class: "note" }, "Bytes are counted once. A letter marks the same group in the tree and the graph."), table(["letter", "kind", "names", "uses", "saves"], f.groups.map(g => [badge(g), g.derived ? `${g.kind}: ${g.derived}` : g.calls ? `${g.kind} (${g.calls})` : g.kind, names(g.names), g.uses, bytesText(g.saved)]), { id: "groups" }));
    else parts.push(el("p", {}, "Nothing."));
    parts.push(el("h3", {}, current().count > 1 ? `What piece ${app.piece + 1} of ${current().count} assumes` : "Assumptions"));
    if (of.data.because) parts.push(el("p", { class: "note" }, `Analysed at ${sizesText(of.data.hints)}, since ${of.data.because}.`));
    if (of.data.holds.length) parts.push(table(["holds", "decided by", "line"], of.data.holds.map(a => [a.text.replace(/ \(pinned.*$/, ""), a.line ? el("code", {}, a.line) : a.why, a.where]), { id: "assumptions" }));
    else parts.push(el("p", {}, "None: the formulas hold at all sizes."));
    if (f.notes.length) parts.push(el("h3", {}, "Notes"), el("ul", {}, f.notes.map(n => el("li", {}, n))));
    replaced(host, parts);
  }
  onView(host, (what, quick) => { if (!quick) draw(); }, ["piece", "model", "sizes"]);
}

function conventionsPanel(host) {
  if (!piece().data.findings.conventions.length) { host.remove(); return; }
  function draw() {
    const now = app.numbers, rows = now.piece.data.findings.conventions.map(c => {
      const number = now.exact.at(c.number), exact = c.exact === null ? null : now.exact.at(c.exact);
      const off = exact === null ? "-" : number === exact ? "0" : `${number > exact ? "+" : "-"}${countText(number > exact ? number - exact : exact - number)}`;
      const why = c.differences.map(([kind, rule, calls, row]) => `${countText(now.exact.at(row))} ${kind} ×${calls}: ${rule}`);
      return [el("details", {}, el("summary", {}, c.name), el("p", {}, `${c.tool} ${c.versions}. Includes ${c.includes}. Leaves out ${c.excludes}.`)), number, c.unit, off, why.length ? el("ul", {}, why.map(w => el("li", {}, w))) : ""];
    });
    replaced(host, el("h2", {}, "What other tools say"), table(["convention", "number", "unit", "off exact MACs by", "because of"], rows, { id: "conventions" }));
  }
  onView(host, (what, quick) => { if (!quick) draw(); }, ["piece", "model", "sizes"]);
}

function comparisonPanel(host) {
  function draw() {
    const other = reference();
    host.hidden = !(other || (app.other && app.other.refused));
    if (host.hidden) return;
    if (!other) return void replaced(host, el("h2", {}, "Comparison"), el("p", { class: "warn" }, `${app.other.model.data.name} does not take these sizes: ${app.other.refused.text} does not hold.`));
    const now = app.numbers, label = other.label;
    const rows = Object.keys(metrics()).map(metric => {
      const a = now.headline(metric), b = other.numbers.headline(metric), { unit } = metrics()[metric];
      const text = v => (unit === "ratio" ? Number(v).toPrecision(4) : digits(v));
      return [metrics()[metric].label, text(a), text(b), ratioText(Number(a), Number(b))];
    });
    const mine = modulesByPath(now.piece), theirs = modulesByPath(other.numbers.piece);
    const only = (a, b) => [...a.keys()].filter(k => !b.has(k)).map(k => k.replace(/#1$/, "") || "the model");
    const unequal = [];
    for (const [key, m] of mine) {
      const n = theirs.get(key);
      if (n === undefined || now.piece.inside(m).some(c => c >= 0)) continue;
      const x = now.of(app.metric).modules[m], y = other.numbers.of(app.metric).modules[n];
      if (x !== y) unequal.push([Math.abs(x - y), key.replace(/#1$/, ""), x, y, m]);
    }
    unequal.sort((x, y) => y[0] - x[0]);
    const { unit } = metrics()[app.metric];
    const here = only(mine, theirs), there = only(theirs, mine);
    replaced(host, el("h2", {}, "Comparison"), el("p", {}, `${current().data.name} at ${sizesText(app.sizes)} against ${label}${app.pinned ? "" : ` at ${sizesText(other.numbers.values)}`}.`),
      table(["total", "this", "other", "differs"], rows, { id: "compare" }),
      unequal.length ? [el("h3", {}, `Innermost modules whose ${metrics()[app.metric].label} differ most`), table(["module", "this", "other", "differs"], unequal.slice(0, 12).map(([, key, x, y, m]) => [link(key || "the model", () => select(m)), shown(x, unit), shown(y, unit), ratioText(x, y)]), { id: "unequal" })] : el("p", {}, `No module that both have differs in ${metrics()[app.metric].label}.`),
      here.length ? el("p", {}, `Only in this (${here.length}): `, names(here)) : null, there.length ? el("p", {}, `Only in the other (${there.length}): `, names(there)) : null);
  }
  app.listeners.push((what, quick) => { if (["sizes", "piece", "model", "pinned", "metric"].includes(what) && !(quick && host.hidden)) draw(); });
}

/** All totals to the digit, with formulas. */
function exported() {
  const of = piece(), totals = {};
  for (const [name, rows] of Object.entries(of.data.totals)) totals[name] = { value: String(app.numbers.total(name)), formulas: rows.map(r => of.text(r)) };
  return JSON.stringify({ model: current().data.name, kind: app.kind, sizes: Object.fromEntries(Object.entries(app.numbers.values).map(([n, v]) => [n, String(v)])), piece: app.piece + 1, assumptions: of.data.holds.map(a => a.text), totals, parameters: of.data.findings.parameters }, null, 1);
}
