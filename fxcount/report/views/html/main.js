// The page is put together here.

function section(id, title, build, host) {
  const part = el("section", { id, class: "panel", "aria-label": title });
  host.append(part);
  build(part);
  return part;
}

function themeButton() {
  const names = ["", "light", "dark"], words = { "": "theme: system", light: "theme: light", dark: "theme: dark" };
  const button = el("button", { type: "button", id: "theme", onclick: () => {
    const root = document.documentElement, next = names[(names.indexOf(root.dataset.theme || "") + 1) % names.length];
    if (next) root.dataset.theme = next; else delete root.dataset.theme;
    button.textContent = words[next];
    changed("theme");
  } }, words[""]);
  return button;
}

function start(data) {
  app.models = data.models.map(m => new Model(m, m.kind));
  app.beside = data.compare;
  const wanted = recalled(), number = Number(wanted.model);
  app.model = Number.isInteger(number) && number > 0 && number < app.models.length ? number : 0;
  built(wanted);
  const redraw = on => { printing = on; for (const listener of app.listeners) listener("theme", false); if (on) for (const listener of app.listeners) listener("print", false); };
  addEventListener("beforeprint", () => redraw(true));
  addEventListener("afterprint", () => redraw(false));
  addEventListener("resize", () => soon(() => changed("theme")));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => changed("theme"));
  addEventListener("hashchange", () => { const found = recalled(); restore(found); changed("piece"); if (found.at) choosePath(found.at); });
}

/** Another model of the file: where it has other totals, the parts of the page are made anew. */
function switched(number) {
  const before = current(), { sizes } = app;
  app.model = number;
  app.piece = 0;
  app.other = null;
  if (before.kind === current().kind) { take(sizesFor(sizes)); changed("model"); return; }
  app.pinned = null;
  const wanted = Object.fromEntries(Object.entries(sizes).map(([n, v]) => [n, String(v)]));
  built({ ...wanted, ...app.ties, model: String(number) });
  document.getElementById("model").focus();
}

/** All parts of the page, for the model that is chosen. */
function built(wanted) {
  app.listeners = [];
  app.numbers = null;
  app.selected = app.container = 0;
  app.kind = current().kind;
  app.metric = app.kind === "step" ? "forward" : "flops";
  restore(wanted);
  const root = document.getElementById("app");
  root.className = app.kind;
  const side = el("aside", { id: "sizes", class: "panel", "aria-labelledby": "sizes-title" }), main = el("main", {});
  replaced(root, header(), el("div", { class: "layout" }, side, main));
  controls(side);
  section("totals", "totals", cards, main);
  section("comparison", "comparison", comparisonPanel, main).hidden = true;
  section("costs", "where the costs are", icicle, main);
  section("modules", "modules and ops", treeTable, main);
  section("memory-panel", "memory", memoryChart, main);
  section("graph-panel", "graph", moduleGraph, main);
  section("curve-panel", "curve", curveChart, main);
  section("findings", "findings", findingsPanel, main);
  section("conventions-panel", "what other tools say", conventionsPanel, main);
  const { refused } = app;
  changed("piece");
  if (refused) { app.refused = refused; changed("refused"); }
  if (wanted.at) choosePath(wanted.at);

  function header() {
    const chooser = app.models.length > 1 ? el("select", { id: "model", "aria-label": app.beside ? "model" : "mode and dtype", onchange: event => switched(Number(event.target.value)) },
      app.models.map((m, i) => el("option", { value: i, selected: i === app.model }, m.data.label))) : null;
    const title = el("h1", {});
    const titled = () => {
      const model = current(), mode = { true: "in training mode", false: "in eval mode" }[String(model.data.mode)] || "";
      replaced(title, model.data.name, " ", el("small", {}, app.models.length > 1 && !app.beside ? model.data.label : app.kind === "step" ? "one training step" : mode));
    };
    app.listeners.push(what => { if (what === "model") titled(); });
    titled();
    return el("header", {}, title,
      el("nav", { "aria-label": "parts of the page" }, [["totals", "totals"], ["modules", "modules"], ["memory-panel", "memory"], ["graph-panel", "graph"], ["curve-panel", "curve"], ["findings", "findings"], ["conventions-panel", "other tools"]].map(([id, text]) =>
        el("button", { type: "button", class: "link", onclick: () => { const part = document.getElementById(id); if (part) { part.scrollIntoView(); part.querySelector("h2")?.setAttribute("tabindex", "-1"); part.querySelector("h2")?.focus({ preventScroll: true }); } } }, text))),
      el("p", { class: "tools" }, chooser, " ", themeButton(), " ", el("button", { type: "button", id: "json", onclick: () => save(`${current().data.name}.json`, "application/json", exported()) }, "JSON"), " ", el("button", { type: "button", onclick: () => print() }, "print")));
  }
}

function sizesFor(given) {
  const found = {};
  for (const s of current().symbols) found[s.name] = given[s.name] ?? BigInt(current().data.sizes[s.name]);
  return found;
}

/** The state of the address, or that of the file. */
function restore(wanted) {
  const first = sizesFor({}), sizes = { ...first };
  app.ties = {};
  for (const s of current().symbols) {
    const text = wanted[s.name];
    if (text === undefined) continue;
    if (/^\d{1,100}$/.test(text) && BigInt(text) > 0n) sizes[s.name] = BigInt(text);
    else if (current().symbols.some(o => o.name === text && o !== s)) app.ties[s.name] = text;
  }
  for (const piece of current().data.pieces) for (const u of piece.unbacked) if (/^\d{1,100}$/.test(wanted[u.name] || "")) sizes[u.name] = BigInt(wanted[u.name]);
  if (wanted.metric in metrics()) app.metric = wanted.metric;
  const listeners = app.listeners;
  app.listeners = [];
  app.sizes = first;
  if (!take(sizes)) { const { refused } = app; take(first); app.refused = refused; if (!app.numbers) worked(); }
  app.listeners = listeners;
}

function choosePath(text) {
  const of = piece(), op = /^op(\d+)$/.exec(text);
  if (op && Number(op[1]) < of.ops) return select(~Number(op[1]));
  const found = modulesByPath(of).get(/#\d+$/.test(text) ? text : `${text}#1`);
  if (found !== undefined) select(found);
}

// -- a curve alone -----------------------------------------------------------------------------------------------------
function startCurve(data) {
  const root = document.getElementById("app"), labels = { macs: "MACs", flops: "FLOPs", read_bytes: "bytes read", write_bytes: "bytes written", peak_bytes: "peak memory", params: "parameters" };
  const width = 1000, height = 380, left = 80, right = 150, bottom = 34;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", id: "curve", role: "img" });
  const metric = el("select", { id: "metric", "aria-label": "quantity" }, Object.entries(labels).map(([n, t]) => el("option", { value: n }, t)));
  const runs = data.free.length ? data.free : Object.keys(data.sizes), different = n => new Set(data.sizes[n]).size;
  const axis = runs.reduce((a, b) => (a && different(a) >= different(b) ? a : b), ""), others = data.free.filter(n => n !== axis);
  const columns = [...Object.keys(data.sizes), ...Object.keys(labels), "piece", "refused"];
  const rows = data.refused.map((said, i) => [...Object.values(data.sizes).map(v => v[i]), ...Object.keys(labels).map(q => data.columns[q][i]), data.piece[i], said]);
  const csv = () => [columns, ...rows].map(cells => cells.map(csvCell).join(",")).join("\n") + "\n";
  replaced(root, el("header", {}, el("h1", {}, data.name, " ", el("small", {}, `${rows.length} points, ${data.pieces.length} piece${data.pieces.length === 1 ? "" : "s"}`)), el("p", { class: "tools" }, themeButton(), " ", metric, " ",
    el("button", { type: "button", onclick: () => saveSvg("curve.svg", picture) }, "SVG"), " ", el("button", { type: "button", id: "csv", onclick: () => save(`${data.name}.csv`, "text/csv", csv()) }, "CSV"), " ",
    el("button", { type: "button", id: "json", onclick: () => save(`${data.name}.json`, "application/json", JSON.stringify(data)) }, "JSON"))),
    el("main", {}, el("section", { class: "panel" }, picture), el("section", { class: "panel" }, el("h2", {}, "Pieces"), table(["piece", "analysed at", "since", "assumes"], data.pieces.map((p, i) => [String(i), sizesText(p.hints), p.because, names(p.assumptions, 3)]), { id: "pieces" })),
      el("section", { class: "panel scrolled" }, el("h2", {}, "Points"), rows.length > 1000 ? el("p", { class: "note" }, `the first 1000 of ${rows.length}; all are in the CSV`) : null, table(columns, rows.slice(0, 1000).map(cells => cells.map((c, i) => (c === null ? "" : i < columns.length - 2 ? BigInt(c) : String(c)))), { id: "points" }))));

  function draw() {
    const c = theme(), unit = metric.value.endsWith("bytes") ? "bytes" : "count", values = data.columns[metric.value].map(v => (v === null ? null : Number(v)));
    const xs = (data.sizes[axis] || values.map(() => "1")).map(Number), known = values.filter(v => v !== null && v > 0);
    if (!known.length) return void replaced(picture, svg("text", { x: 20, y: 40, fill: c.text }, "no point has a count"));
    const [low, high, floor, top] = [Math.min(...xs), Math.max(...xs), Math.min(...known), Math.max(...known)];
    const X = n => left + (width - left - right) * (high > low ? (n - low) / (high - low) : 0.5), Y = v => height - bottom - (height - bottom - 20) * (top > floor ? (v - floor) / (top - floor) : 0.5);
    const shapes = [];
    for (const part of [0, 0.25, 0.5, 0.75, 1]) { const v = floor + part * (top - floor); shapes.push(svg("line", { x1: left, x2: width - right, y1: Y(v), y2: Y(v), stroke: c.faint }), svg("text", { x: left - 6, y: Y(v) + 4, "text-anchor": "end", "font-size": 11, fill: c.muted }, shown(Math.round(v), unit))); }
    for (const part of [0, 0.25, 0.5, 0.75, 1]) { const n = Math.round(low + part * (high - low)); shapes.push(svg("text", { x: X(n), y: height - bottom + 15, "text-anchor": "middle", "font-size": 11, fill: c.muted }, String(n))); }
    shapes.push(svg("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle", "font-size": 12, fill: c.text }, axis));
    const series = new Map();
    values.forEach((v, i) => { const key = others.map(n => `${n}=${data.sizes[n][i]}`).join(", "); if (!series.has(key)) series.set(key, []); series.get(key).push([xs[i], v, data.piece[i]]); });
    [...series].slice(0, 12).forEach(([key, points], k) => {
      let path = "", pen = false;
      points.forEach(([x, v, p], j) => {
        if (v === null) { pen = false; return; }
        path += `${pen ? "L" : "M"}${X(x).toFixed(1)} ${Y(v).toFixed(1)}`;
        pen = true;
        if (j && points[j - 1][2] !== p && points[j - 1][1] !== null) shapes.push(svg("line", { x1: (X(x) + X(points[j - 1][0])) / 2, x2: (X(x) + X(points[j - 1][0])) / 2, y1: 14, y2: height - bottom, stroke: c.line, "stroke-dasharray": "2 4" }));
        if (points.length <= 200) shapes.push(svg("circle", { cx: X(x).toFixed(1), cy: Y(v).toFixed(1), r: 2.5, fill: k ? GROUPS[(k - 1) % 7] : c.accent }));
      });
      shapes.push(svg("path", { d: path, fill: "none", stroke: k ? GROUPS[(k - 1) % 7] : c.accent, "stroke-width": 2, "stroke-dasharray": DASHES[k % DASHES.length] }));
      const last = points.filter(([, v]) => v !== null).pop();
      if (last && key) shapes.push(svg("text", { x: X(last[0]) + 6, y: Y(last[1]) + 4, "font-size": 12, fill: c.text }, shortened(key, 20)));
    });
    replaced(picture, shapes);
    picture.setAttribute("aria-label", `${labels[metric.value]} over ${axis} from ${low} to ${high}; the table below has the numbers`);
  }
  metric.addEventListener("change", draw);
  app.listeners.push(draw);
  draw();
}

/** After the first paint, which shows what is in the file as it is: a name, and totals. */
let begun = false;
function begin() {
  if (begun) return;
  begun = true;
  const given = JSON.parse(document.getElementById("data").textContent);
  if (given.kind === "curve") startCurve(given);
  else if (given.kind === "sheets") startSheets(given);
  else start(given);
  document.documentElement.dataset.ready = "yes";
  performance.mark("ready");
}
requestAnimationFrame(() => setTimeout(begin));
setTimeout(begin, 250);  // a page that nobody sees paints no frames
