// The graph, one module at a time: what is inside it and how data flow, with ways up and down.

function moduleGraph(host) {
  const crumbs = el("nav", { "aria-label": "modules around", class: "crumbs", id: "crumbs" });
  const picture = svg("svg", { class: "graph", id: "graph", role: "group", "aria-label": "graph of one module" });
  const view = el("div", { class: "graphview" }, picture);
  const words = el("div", { id: "flow", class: "flow", role: "status" });
  let chosen = null, nodes = [], drawn = null;
  replaced(host, el("h2", {}, "Graph"), crumbs, el("p", { class: "note" }, "Click: producers and consumers. Double-click or ", el("kbd", {}, "Enter"), ": into a module; ", el("kbd", {}, "Backspace"), ": out. ",
    el("button", { type: "button", onclick: () => saveSvg("graph.svg", picture) }, "SVG")), view, words);

  /** The children of a module that are in the layout, each with what it calls. */
  function contents(of, m) {
    return of.inside(m).map(c => ({ node: c, first: c < 0 ? ~c : of.start[c], last: c < 0 ? ~c : of.stop[c] - 1 }));
  }

  function rebuild() {
    const of = piece();
    if (app.container >= of.modules) app.container = 0;
    nodes = contents(of, app.container);
    drawn = of.data.layouts.all[of.layoutOf[app.container]];
    const chain = [];
    for (let at = app.container; at >= 0; at = of.parent[at]) chain.unshift(at);
    replaced(crumbs, chain.flatMap((m, i) => [i ? el("span", { "aria-hidden": "true" }, " › ") : null,
      i < chain.length - 1 ? link(of.label(m), () => enter(m)) : el("strong", { "aria-current": "page" }, nameOf(of, { node: m, count: 1 }))]));
    chosen = nodes.findIndex(n => n.node === app.selected);
    if (chosen < 0) chosen = null;
    view.scrollTop = chosen === null ? 0 : Math.max(0, drawn.at[2 * chosen + 1] - view.clientHeight / 2);
    view.scrollLeft = Math.max(0, (drawn.size[0] + 2 * EDGE - view.clientWidth) / 2);
    draw();
    tell();
  }

  function enter(m) { chosen = null; app.container = m; app.selected = m; changed("selected"); if (app.container !== m) { app.container = m; rebuild(); } }

  const EDGE = 70, TOP = 34;

  function draw() {
    const of = piece(), c = theme(), [w, h] = drawn.size;
    picture.setAttribute("viewBox", `0 0 ${w + 2 * EDGE} ${h + 2 * TOP}`);
    picture.setAttribute("width", w + 2 * EDGE);
    picture.setAttribute("height", h + 2 * TOP);
    const top = printing ? 0 : view.scrollTop - 200, bottom = printing ? 4000 : view.scrollTop + (view.clientHeight || 500) + 200;
    const seen = y => y + TOP > top && y + TOP < bottom;
    const near = neighbours(of);
    const shapes = [svg("defs", {}, svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, svg("path", { d: "M0 0L8 4L0 8z", fill: c.line })))];
    for (const [a, b, ...points] of drawn.routes) {
      if (!seen(points[1]) && !seen(points[points.length - 1])) continue;
      const lit = chosen !== null && (a === chosen || b === chosen);
      shapes.push(svg("path", { d: curve(points), fill: "none", stroke: lit ? c.accent : c.line, "stroke-width": lit ? 2.6 : 1.1, "marker-end": "url(#arrow)" }));
    }
    const metric = ["intensity"].includes(app.metric) ? "flops" : app.metric, whole = valueOf(app.numbers, metric, { node: 0, count: 1 });
    nodes.forEach((n, i) => {
      const [x, y] = [drawn.at[2 * i] + EDGE, drawn.at[2 * i + 1] + TOP], width = drawn.widths[i];
      if (!seen(y - TOP)) return;
      const value = valueOf(app.numbers, metric, { node: n.node, count: 1 }), share = whole ? value / whole : 0, fill = value ? heat(share) : "#e9ecef", colour = ink(fill);
      const marks = n.node >= 0 ? stateMarks(of).get(n.node) : null;
      const role = near.producers.has(i) ? "producer" : near.consumers.has(i) ? "consumer" : "";
      const name = n.node < 0 ? of.opName(~n.node) : of.label(n.node), kind = n.node < 0 ? of.opShape(~n.node) : of.names[of.className[n.node]];
      const node = svg("g", { class: "node", tabindex: i === (chosen ?? 0) ? 0 : -1, "data-i": i, role: "button", "aria-label": `${name} ${kind}, ${shown(value, metrics()[metric].unit)}${role ? `, ${role}` : ""}` },
        svg("title", {}, `${n.node < 0 ? of.source(~n.node) || name : of.path(n.node) || name}: ${shown(value, metrics()[metric].unit)}, ${(100 * share).toFixed(1)}%`),
        svg("rect", { x: x - width / 2, y, width, height: 34, rx: n.node < 0 ? 3 : 9, fill, stroke: i === chosen ? c.accent : role ? c.warn : marks && marks.dead ? "#d55e00" : c.line, "stroke-width": i === chosen || role ? 3.2 : 1, "stroke-dasharray": marks && marks.dead ? "5 3" : null }),
        svg("text", { x, y: y + 14, "text-anchor": "middle", "font-size": 12, "font-weight": 600, fill: colour }, shortened(name, Math.floor(width / 7))),
        svg("text", { x, y: y + 28, "text-anchor": "middle", "font-size": 10.5, fill: colour }, shortened(kind, Math.floor(width / 6))));
      if (role) node.append(svg("text", { x: x + width / 2 + 3, y: y + 21, "font-size": 11, fill: c.text }, role === "producer" ? "▲ gives" : "▼ takes"));
      const groups = marks ? marks.groups.slice(0, 3) : [];
      groups.forEach((g, k) => {
        const shade = GROUPS[letterNumber(g.letter) % GROUPS.length], bx = x - width / 2 + 4 + 20 * k;
        node.append(svg("rect", { x: bx, y: y - 9, width: 17, height: 15, rx: 3, fill: shade, stroke: c.text }), svg("text", { x: bx + 8.5, y: y + 3, "text-anchor": "middle", "font-size": 11, "font-weight": 700, fill: ink(shade) }, g.letter));
      });
      if (marks && marks.dead) node.append(svg("text", { x: x + width / 2 - 2, y: y - 2, "text-anchor": "end", "font-size": 11, "font-weight": 700, fill: c.warn }, "dead"));
      const stub = stubs(of, i);
      if (stub) node.append(svg("text", { x: groups.length ? x + 10 : x, y: y - 4, "text-anchor": "middle", "font-size": 10.5, fill: c.muted }, shortened(stub, 34)));
      shapes.push(node);
    });
    if (!nodes.length) shapes.push(svg("text", { x: EDGE, y: TOP, fill: c.text }, "nothing is called inside"));
    const focused = picture.contains(document.activeElement);
    replaced(picture, shapes);
    if (focused) picture.querySelector(`[data-i="${chosen ?? 0}"]`)?.focus({ preventScroll: true });
  }

  function curve(points) {
    let path = `M${points[0] + EDGE} ${points[1] + TOP}`;
    for (let k = 2; k < points.length; k += 2) {
      const [x0, y0, x1, y1] = [points[k - 2] + EDGE, points[k - 1] + TOP, points[k] + EDGE, points[k + 1] + TOP], middle = (y0 + y1) / 2;
      path += `C${x0} ${middle} ${x1} ${middle} ${x1} ${y1 - (k + 2 === points.length ? 2 : 0)}`;
    }
    return path;
  }

  /** Where in this module an op is: the place of the child, or -1. */
  function placeOf(op) {
    let low = 0, high = nodes.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (op < nodes[middle].first) high = middle - 1;
      else if (op > nodes[middle].last) low = middle + 1;
      else return middle;
    }
    return -1;
  }

  /** What a child takes from outside of the module or from far above, in a few words. */
  function stubs(of, i) {
    const names = [];
    for (let k = 0; k < drawn.stubs.length; k += 2) if (drawn.stubs[k + 1] === i) names.push(titled(of, nodes[drawn.stubs[k]].node));
    if (nodes[i].last - nodes[i].first < 400) for (const o of outside(of, i).slice(0, 3)) names.push(o.op === undefined ? o.label : titled(of, ~o.op));
    const found = [...new Set(names)];
    return found.length ? `← ${found.slice(0, 2).join(", ")}${found.length > 2 ? ` +${found.length - 2}` : ""}` : "";
  }

  function titled(of, node) {
    if (node >= 0) return of.label(node);
    const m = of.op.module[~node];
    return m === app.container || m === 0 ? of.opName(~node) : `${of.label(m)}`;
  }

  function outside(of, i) {
    const found = new Map();
    for (let op = nodes[i].first; op <= nodes[i].last && found.size < 8; op++) for (const o of of.operands(op)) {
      if (o.input !== undefined) found.set(`i${o.input}`, { label: of.names[of.data.inputs[o.input][0]] });
      else if (o.op !== undefined && (o.op < of.start[app.container] || o.op >= of.stop[app.container]) && placeOf(o.op) < 0) found.set(`o${o.op}`, { op: o.op });
    }
    return [...found.values()];
  }

  function neighbours(of) {
    const producers = new Set(), consumers = new Set();
    if (chosen !== null) {
      for (const [a, b] of drawn.routes) { if (b === chosen) producers.add(a); if (a === chosen) consumers.add(b); }
      for (let k = 0; k < drawn.stubs.length; k += 2) { if (drawn.stubs[k + 1] === chosen) producers.add(drawn.stubs[k]); if (drawn.stubs[k] === chosen) consumers.add(drawn.stubs[k + 1]); }
    }
    return { producers, consumers };
  }

  function tell() {
    const of = piece();
    if (chosen === null || !nodes[chosen]) return void replaced(words, detail(of, app.container));
    const near = neighbours(of), n = nodes[chosen];
    const listed = places => [...places].sort((a, b) => a - b).flatMap((i, k) => [k ? ", " : "", link(titled(of, nodes[i].node), () => choose(i))]);
    const far = outside(of, chosen).map((o, k) => [k ? ", " : "", o.op === undefined ? `input ${o.label}` : link(`${of.opName(o.op)} in ${of.path(of.op.module[o.op]) || of.label(0)}`, () => select(~o.op))]);
    replaced(words, el("p", { id: "producers" }, el("strong", {}, "takes from: "), near.producers.size || far.length ? [listed(near.producers), near.producers.size && far.length ? "; from outside: " : "", far].flat(3) : "nothing here"),
      el("p", { id: "consumers" }, el("strong", {}, "feeds: "), near.consumers.size ? listed(near.consumers) : "what is outside, or nothing"), detail(of, n.node));
  }

  /** What is known of a module or op: its place, shapes, parameters, numbers to the digit. */
  function detail(of, node) {
    const rows = [];
    const row = (name, value) => { if (value) rows.push(el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value))); };
    const line = { node, count: 1 };
    row("what", nameOf(of, line));
    if (node < 0) {
      const i = ~node, { states } = of.data.findings;
      row("in", of.path(of.op.module[i]) || of.label(0));
      row("line", of.source(i));
      row("result", of.op.shapes[of.op.results[i]].map(f => `${of.dtype(f)} ${of.shape(f)} = ${of.shape(f, app.numbers)}`).join("; "));
      row("parameters", of.operands(i).filter(o => o.state !== undefined && states[o.state]).map(o => states[o.state][0]).join(", "));
    } else {
      row("path", of.path(node));
      row("result", of.result[node] < 0 ? "" : `${of.dtype(of.result[node])} ${of.shape(of.result[node])} = ${of.shape(of.result[node], app.numbers)}`);
      row("parameters", of.held[node] ? `${digits(of.held[node])} elements` : "");
      for (const name of ["macs", "flops", "bytes"]) {
        const text = of.formulas[name] ? of.formulas[name][node] : -1;
        if (text >= 0 && of.names[text] !== "0") row(`${name} formula`, el("code", {}, of.names[text]));
      }
    }
    for (const metric of COLUMNS[app.kind]) if (metric in ADDED || metric === "activations") row(metrics()[metric].label, digits(exactOf(metric, line)));
    return el("table", { class: "detail", id: "detail" }, el("tbody", {}, rows));
  }

  function choose(i) {
    chosen = i;
    app.selected = nodes[i].node;
    const keep = app.container;
    changed("selected");
    app.container = keep;
    const y = drawn.at[2 * i + 1];
    if (y < view.scrollTop || y + 80 > view.scrollTop + view.clientHeight) view.scrollTop = Math.max(0, y - view.clientHeight / 2);
    draw();
    tell();
  }

  picture.addEventListener("click", event => { const g = event.target.closest(".node"); if (g) { choose(Number(g.dataset.i)); picture.querySelector(`[data-i="${chosen}"]`)?.focus({ preventScroll: true }); } });
  picture.addEventListener("dblclick", event => { const g = event.target.closest(".node"); if (g) into(Number(g.dataset.i)); });
  picture.addEventListener("keydown", event => {
    const i = chosen ?? 0, of = piece(), near = neighbours(of);
    const first = set => [...set].sort((a, b) => a - b)[0];
    const to = { ArrowDown: first(near.consumers) ?? i + 1, ArrowUp: first(near.producers) ?? i - 1, ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: nodes.length - 1 }[event.key];
    if (to !== undefined) { if (nodes[to]) { choose(to); picture.querySelector(`[data-i="${to}"]`)?.focus({ preventScroll: true }); } }
    else if (event.key === "Enter" || event.key === " ") into(i);
    else if (event.key === "Backspace") { if (of.parent[app.container] >= 0) { enter(of.parent[app.container]); picture.querySelector(".node")?.focus({ preventScroll: true }); } }
    else return;
    event.preventDefault();
  });
  function into(i) {
    const { node } = nodes[i];
    if (node >= 0 && piece().inside(node).length) { enter(node); picture.querySelector('[tabindex="0"]')?.focus({ preventScroll: true }); }
  }
  view.addEventListener("scroll", () => { if (drawn && drawn.size[1] > 1500) requestAnimationFrame(draw); }, { passive: true });

  onView(host, (what, quick) => {
    if (what === "selected" && drawn && chosen !== null && nodes[chosen] && nodes[chosen].node === app.selected) { draw(); return; }
    if (what === "piece" || what === "model" || what === "selected" || !drawn) rebuild();
    else { draw(); if (!quick) tell(); }
  }, ["sizes", "piece", "model", "metric", "selected", "theme"]);
}
