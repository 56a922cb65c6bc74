// The tree of modules and ops as a table of which only the visible lines exist, and the icicle of its costs.

const ROW = 26;
const COLUMNS = {
  report: ["params", "macs", "flops", "activations", "peak", "bytes", "intensity"],
  step: ["params", "forward", "backward", "saved", "gradients", "peak"],
};

/** Members of a folded run: modules that follow one another. */
function members(of, first, count) {
  const found = [first];
  while (found.length < count) found.push(found[found.length - 1] + of.span(found[found.length - 1]));
  return found;
}

/** A metric of a line: of a module, of an op, or of all the modules of a folded line. */
function valueOf(numbers, metric, line) {
  if (line.node < 0 || line.count === 1) return numbers.value(metric, line.node);
  const all = members(numbers.piece, line.node, line.count);
  if (metric === "intensity") {
    const bytes = valueOf(numbers, "bytes", line);
    return bytes ? valueOf(numbers, "flops", line) / bytes : 0;
  }
  if (metric === "params" && !sharesNothing(numbers.piece, all)) return numbers.value(metric, all[0]);
  const most = metric === "peak" || metric === "total";
  let found = 0;
  for (const m of all) { const value = numbers.value(metric, m); found = most ? Math.max(found, value) : found + value; }
  return found;
}

/** Whether the modules are different ones, and not calls of one. */
function sharesNothing(of, all) { return all.length < 2 || of.path(all[0]) !== of.path(all[1]); }

function nameOf(of, line) {
  if (line.node < 0) return of.opName(~line.node);
  const m = line.node, kind = of.names[of.className[m]];
  if (line.count > 1) {
    const all = members(of, m, line.count), last = all[all.length - 1];
    const name = of.path(m) === of.path(last) ? `${of.label(m)} (calls ${of.number[m]} .. ${of.number[last]})` : `${of.label(m)} .. ${of.label(last)}`;
    return `${name}: ${kind} x${line.count}`;
  }
  const again = of.number[m] > 1 ? ` (call ${of.number[m]})` : "";
  return m === 0 || of.label(m) === kind ? `${kind}${again}` : `${of.label(m)}: ${kind}${again}`;
}

function treeTable(host) {
  const open = new Set(["m0"]);
  let lines = [], sort = "", down = true, filter = "", active = 0, byNode = new Map();
  const columns = COLUMNS[app.kind];
  const search = el("input", { type: "search", id: "filter", placeholder: "filter by path, class or op", "aria-label": "filter by path, class or op" });
  const head = el("div", { class: "head row", role: "row" });
  const body = el("div", { class: "lines", role: "rowgroup" });
  const view = el("div", { class: "view" }, body);
  const table = el("div", { class: "treegrid", role: "treegrid", "aria-label": "modules and ops", id: "tree" }, el("div", { role: "rowgroup", class: "headgroup" }, head), view);
  const count = el("span", { class: "note", role: "status", id: "lines" });
  replaced(host, el("h2", {}, "Modules and ops"), el("p", { class: "tools" }, search, " ",
    el("button", { type: "button", id: "expand", onclick: () => openTo(99) }, "expand all"), " ", el("button", { type: "button", onclick: () => openTo(1) }, "collapse"), " ",
    el("button", { type: "button", id: "csv", onclick: csv }, "CSV"), " ", count), table);

  const titles = ["name", "result", ...columns, "share"];
  function header() {
    replaced(head, titles.map((title, i) => {
      const metric = i >= 2 && i < 2 + columns.length ? title : "";
      const label = metric ? metrics()[metric].short || metrics()[metric].label : title === "share" ? `share of ${metrics()[app.metric].label}` : title;
      const direction = sort !== title ? "none" : down ? "descending" : "ascending";
      const cell = el("div", { role: "columnheader", class: `cell c-${i === 0 ? "name" : i === 1 ? "result" : title === "share" ? "share" : "n"}${metric && metric === app.metric ? " chosen" : ""}`, "aria-sort": metric || i === 0 ? direction : null });
      if (metric || i === 0) cell.append(el("button", { type: "button", class: "sorter", onclick: () => sorted(title) }, label, sort === title ? (down ? " ▼" : " ▲") : ""));
      else cell.append(label);
      return cell;
    }));
    table.classList.toggle("against-on", Boolean(reference()));
    if (reference()) head.append(el("div", { role: "columnheader", class: "cell c-n" }, "against"));
  }

  function sorted(title) {
    if (sort !== title) { sort = title; down = title !== "name"; } else if (down === (title !== "name")) down = !down; else sort = "";
    rebuild();
  }

  let written = [];  // the lines that exist
  function refresh() {
    const of = piece(), whole = valueOf(app.numbers, app.metric, lines[0]);
    for (const drawn of written) write(of, drawn, whole);
  }

  const keyOf = (node, times) => (node < 0 ? `o${~node}` : `${times > 1 ? "g" : "m"}${node}`);

  // -- which lines there are ----------------------------------------------------------------------------------------
  function rebuild() {
    const of = piece();
    lines = [];
    const matches = filter ? matching(of) : null;
    const add = (node, times, level, up) => {
      const line = { node, count: times, level, key: keyOf(node, times), up, inner: 0, size: 1, place: 1 };
      const expandable = node >= 0 && (times > 1 || of.inside(node).length > 0);
      line.expandable = expandable;
      line.open = expandable && (matches ? true : open.has(line.key));
      const at = lines.push(line) - 1;
      if (!line.open) return;
      let parts = times > 1 ? members(of, node, times).map(m => [m, 1]) : matches ? of.inside(node).map(c => [c, 1]) : of.folded(node);
      if (matches) parts = parts.filter(([c]) => (c < 0 ? matches.ops.has(~c) || matches.all.has(node) : matches.kept.has(c) || matches.all.has(node)));
      if (sort) parts = ordered(of, parts);
      parts.forEach(([c, n], i) => { const child = lines.length; add(c, n, level + 1, at); lines[child].size = parts.length; lines[child].place = i + 1; });
    };
    add(0, 1, 1, -1);
    byNode = new Map(lines.map((line, i) => [line.key, i]));
    active = Math.min(active, lines.length - 1);
    count.textContent = filter ? `${matches.count} found` : `${lines.length} lines`;
    table.setAttribute("aria-rowcount", lines.length + 1);
    header();
    draw();
  }

  function ordered(of, parts) {
    const value = sort === "name"
      ? ([c, n]) => nameOf(of, { node: c, count: n })
      : ([c, n]) => valueOf(app.numbers, sort, { node: c, count: n });
    const found = parts.map(part => [value(part), part]);
    found.sort((x, y) => (x[0] < y[0] ? -1 : x[0] > y[0] ? 1 : 0) * (down ? -1 : 1));
    return found.map(([, part]) => part);
  }

  /** Modules and ops whose path, class or name has the words; and what is around them. */
  function matching(of) {
    const words = filter.toLowerCase(), kept = new Set([0]), all = new Set(), ops = new Set();
    let found = 0;
    const keep = m => { for (let at = m; at >= 0 && !kept.has(at); at = of.parent[at]) kept.add(at); };
    for (let m = 0; m < of.modules; m++) {
      if (all.has(of.parent[m])) { all.add(m); kept.add(m); continue; }
      if (`${of.path(m)} ${of.names[of.className[m]]}`.toLowerCase().includes(words)) { keep(m); if (m) all.add(m); found++; }
    }
    const named = of.signatures.map(s => of.names[s[0]].toLowerCase().includes(words));
    for (let i = 0; i < of.ops; i++) if (named[of.op.signature[i]]) { ops.add(i); keep(of.op.module[i]); found++; }
    return { kept, all, ops, count: found };
  }

  /** Open all modules down to a depth; as many lines as a table can hold. */
  function openTo(depth) {
    open.clear();
    const of = piece();
    let budget = 20000;
    const visit = (node, times, level) => {
      if (level > depth || budget-- <= 0) return;
      open.add(keyOf(node, times));
      if (times > 1) { for (const m of members(of, node, times)) visit(m, 1, level + 1); return; }
      for (const [c, n] of of.folded(node)) if (c >= 0) visit(c, n, level + 1);
    };
    visit(0, 1, 1);
    rebuild();
  }

  /** At first: as many levels as fit on a screen. */
  function opened() {
    open.clear();
    open.add("m0");
    const of = piece();
    let level = [[0, 1]], shownLines = 1;
    for (let depth = 0; depth < 4 && level.length; depth++) {
      const next = level.flatMap(([m, n]) => (n > 1 ? [[m, 1]] : of.folded(m).filter(([c]) => c >= 0)));
      const more = level.reduce((sum, [m, n]) => sum + (n > 1 ? n : of.folded(m).length), 0);
      if (shownLines + more > 30 && depth > 0) break;
      shownLines += more;
      for (const [m, n] of level) if (n === 1) open.add(keyOf(m, n));
      level = next.filter(([, n]) => n === 1);
    }
  }

  /** Open what is around a node, so that it has a line; its number. */
  function reveal(node) {
    const of = piece(), chain = [];
    for (let at = node < 0 ? of.op.module[~node] : of.parent[node]; at >= 0; at = of.parent[at]) chain.unshift(at);
    for (const m of chain) open.add(keyOf(m, 1));
    for (const m of node < 0 ? chain : [...chain, node]) {  // a folded line around it
      const up = of.parent[m];
      if (up < 0) continue;
      const group = of.folded(up).find(([c, n]) => c >= 0 && n > 1 && members(of, c, n).includes(m));
      if (group) open.add(keyOf(group[0], group[1]));
    }
  }

  // -- drawing --------------------------------------------------------------------------------------------------------
  function draw() {
    const height = printing ? lines.length : Math.ceil((view.clientHeight || 460) / ROW) + 2;
    const first = printing ? 0 : Math.max(0, Math.floor(view.scrollTop / ROW) - 1);
    const last = Math.min(lines.length, printing ? 400 : first + height);
    body.style.height = `${(printing ? last : lines.length) * ROW}px`;
    const focused = body.contains(document.activeElement);
    const of = piece(), whole = valueOf(app.numbers, app.metric, lines[0]);
    written = [];
    replaced(body, Array.from({ length: Math.max(0, last - first) }, (_, i) => row(of, first + i, whole)));
    if (focused) body.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
  }

  function row(of, i, whole) {
    const line = lines[i], { node } = line;
    const name = nameOf(of, line);
    const node_ = el("div", {
      class: `row line${node < 0 ? " op" : ""}${isSelected(line) ? " selected" : ""}`, role: "row", "aria-level": line.level, "aria-setsize": line.size,
      "aria-posinset": line.place, "aria-expanded": line.expandable ? String(line.open) : null, "aria-rowindex": i + 2, "aria-selected": String(isSelected(line)),
      tabindex: i === active ? 0 : -1, "data-i": i, "data-key": line.key,
    });
    node_.style.top = `${i * ROW}px`;
    const toggle = el("span", { class: "toggle", "aria-hidden": "true" }, line.expandable ? (line.open ? "▾" : "▸") : "");
    const title = el("div", { role: "gridcell", class: "cell c-name", title: node < 0 ? of.source(~node) : of.path(node) }, toggle, el("span", { class: "name" }, name), marks(of, line));
    title.style.paddingLeft = `${(Math.min(line.level, 30) - 1) * 14 + 2}px`;
    node_.append(title, el("div", { role: "gridcell", class: "cell c-result" }, node < 0 ? of.opShape(~node) : of.shape(of.result[node])));
    const cells = columns.map(metric => el("div", { role: "gridcell", class: `cell c-n${metric === app.metric ? " chosen" : ""}`, "data-metric": metric }, document.createTextNode("")));
    const bar = el("span", { class: "bar" }), share = document.createTextNode("");
    node_.append(...cells, el("div", { role: "gridcell", class: "cell c-share" }, el("span", { class: "track" }, bar), share));
    const other = reference() ? el("div", { role: "gridcell", class: "cell c-n against" }) : null;
    if (other) node_.append(other);
    const drawn = { line, cells, bar, share, other };
    written.push(drawn);
    write(of, drawn, whole);
    return node_;
  }

  /** The numbers of a line that is there. */
  function write(of, { line, cells, bar, share, other }, whole) {
    columns.forEach((metric, k) => {
      const value = valueOf(app.numbers, metric, line);
      const text = value ? shown(value, metrics()[metric].unit) : metric === "params" ? "" : "-";
      if (cells[k].firstChild.data !== text) cells[k].firstChild.data = text;
    });
    const value = valueOf(app.numbers, app.metric, line), part = whole ? value / whole : 0;
    bar.style.width = `${Math.max(0, Math.min(1, part)) * 52}px`;
    bar.style.background = heat(part);
    const text = ` ${(100 * part).toFixed(1)}%`;
    if (share.data !== text) share.data = text;
    if (other) other.textContent = against(of, line, value, reference());
  }

  function against(of, line, value, other) {
    const there = counterpart(of, line, other.numbers.piece);
    return there === null ? "only here" : ratioText(value, valueOf(other.numbers, app.metric, there));
  }

  /** Letters of shared parameters that a module, or one of the equal modules of a line, holds itself; and a mark of dead ones. */
  function marks(of, line) {
    const known = stateMarks(of);
    if (line.node < 0 || !known.size) return null;
    const found = members(of, line.node, line.count).map(m => known.get(m)).filter(Boolean);
    if (!found.length) return null;
    const groups = [...new Set(found.flatMap(f => f.groups))];
    return [...groups.slice(0, 4).map(badge), groups.length > 4 ? el("span", { class: "note" }, ` +${groups.length - 4}`) : null,
      found.some(f => f.dead) ? el("span", { class: "deadmark", title: "holds dead parameters" }, "dead") : null];
  }

  const isSelected = line => line.node === app.selected && line.count === 1 || (line.count > 1 && line.node === app.selected && !line.open);

  // -- what a reader does -----------------------------------------------------------------------------------------------
  function toggled(i, wish) {
    const line = lines[i];
    if (!line.expandable || filter) return;
    if (wish ?? !line.open) open.add(line.key); else open.delete(line.key);
    rebuild();
  }

  function focusLine(i) {
    active = Math.max(0, Math.min(lines.length - 1, i));
    const top = active * ROW;
    if (top < view.scrollTop) view.scrollTop = top;
    if (top + ROW > view.scrollTop + view.clientHeight) view.scrollTop = top + ROW - view.clientHeight;
    draw();
    body.querySelector(`[data-i="${active}"]`)?.focus({ preventScroll: true });
  }

  function keys(event) {
    const line = lines[active], page = Math.max(1, Math.floor(view.clientHeight / ROW) - 1);
    const moves = { ArrowDown: active + 1, ArrowUp: active - 1, Home: 0, End: lines.length - 1, PageDown: active + page, PageUp: active - page };
    if (event.key in moves) focusLine(moves[event.key]);
    else if (event.key === "ArrowRight") { if (line.expandable && !line.open) toggled(active, true); else if (line.open) focusLine(active + 1); }
    else if (event.key === "ArrowLeft") { if (line.open) toggled(active, false); else if (line.up >= 0) focusLine(line.up); }
    else if (event.key === "Enter" || event.key === " ") select(line.node);
    else return;
    event.preventDefault();
  }

  function csv() {
    const of = piece();
    const out = [["path", "class", "times", "result", ...columns]];
    for (const line of lines) {
      const path = line.node < 0 ? `${of.path(of.op.module[~line.node])}/${of.opName(~line.node)}` : of.path(line.node);
      out.push([path, line.node < 0 ? "" : of.names[of.className[line.node]], line.count, line.node < 0 ? of.opShape(~line.node, app.numbers) : of.shape(of.result[line.node], app.numbers),
        ...columns.map(metric => exactOf(metric, line))]);
    }
    save(`${current().data.name}.csv`, "text/csv", out.map(cells => cells.map(csvCell).join(",")).join("\n") + "\n");
  }

  body.addEventListener("click", event => {
    const target = event.target.closest(".line");
    if (!target) return;
    active = Number(target.dataset.i);
    if (event.target.classList.contains("toggle")) { toggled(active); return; }
    const { node } = lines[active];
    select(node);
    body.querySelector(`[data-i="${active}"]`)?.focus({ preventScroll: true });
  });
  body.addEventListener("dblclick", event => { if (event.target.closest(".line")) toggled(active); });
  body.addEventListener("keydown", keys);
  view.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
  search.addEventListener("input", () => soon(() => { filter = search.value.trim(); active = 0; view.scrollTop = 0; rebuild(); }));

  app.listeners.push((what, quick) => {
    if (what === "piece" || what === "model") { active = 0; opened(); rebuild(); }
    else if (what === "pinned" || what === "metric" || (what === "sizes" && sort && !quick)) rebuild();
    else if (what === "sizes" && written.length) refresh();
    else if (what === "sizes" || what === "theme") draw();
    else if (what === "selected") {
      if (!filter && !body.contains(document.activeElement)) {
        reveal(app.selected);
        rebuild();
        const at = byNode.get(keyOf(app.selected, 1));
        if (at !== undefined) { active = at; if (at * ROW < view.scrollTop || (at + 1) * ROW > view.scrollTop + view.clientHeight) view.scrollTop = Math.max(0, at * ROW - view.clientHeight / 2); }
      }
      draw();
    }
  });
}

/** A metric of a line to the digit, where it is added up; else as a double. */
function exactOf(metric, line) {
  const of = piece();
  if (line.node < 0 && (metric in ADDED || metric === "activations" || metric === "forward" || metric === "backward")) return String(app.numbers.sum(metric, [~line.node]));
  if (metric in ADDED || metric === "activations") {
    const calls = members(of, line.node, line.count).flatMap(m => of.calls(m));
    return String(app.numbers.sum(metric, calls));
  }
  return String(valueOf(app.numbers, metric, line));
}

/** The line of another piece that is of the same module: same path, same call. */
function counterpart(of, line, there) {
  if (of === there) return line;
  if (line.node < 0) return null;
  const found = modulesByPath(there);
  const nodes = members(of, line.node, line.count).map(m => found.get(`${of.path(m)}#${of.number[m]}`));
  if (nodes[0] === undefined) return null;
  const alike = nodes.every((m, i) => m !== undefined && (!i || m === nodes[i - 1] + there.span(nodes[i - 1])));
  return { node: nodes[0], count: alike ? nodes.length : 1 };
}

/** For modules that hold such parameters themselves: the groups, and whether any is dead. */
function stateMarks(of) {
  if (of.marks) return of.marks;
  of.marks = new Map();
  if (!of.data.findings.groups.length && !of.data.findings.dead.length) return of.marks;  // and the names are not read
  const byPath = new Map();
  const { states, groups } = of.data.findings;
  const at = name => { const path = name.includes(".") ? name.slice(0, name.lastIndexOf(".")) : ""; if (!byPath.has(path)) byPath.set(path, { groups: [], dead: false }); return byPath.get(path); };
  for (const group of groups) {
    const names = group.kind.startsWith("module") ? group.states.map(i => states[i][0]).concat(group.names.map(n => `${n}.`)) : group.names;
    for (const name of names) { const found = at(name); if (!found.groups.includes(group)) found.groups.push(group); }
  }
  for (const [name, , , , flags] of states) if (flags & 4) at(name).dead = true;
  for (let m = 0; m < of.modules && byPath.size; m++) { const found = byPath.get(of.path(m)); if (found) of.marks.set(m, found); }
  return of.marks;
}

// -- icicle ------------------------------------------------------------------------------------------------------------
function icicle(host) {
  const width = 1000, height = 24, levels = 6;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height * levels}`, class: "icicle", role: "img", id: "icicle", "aria-label": "share of each module; the table below has the same numbers" });
  const title = el("h2", {});
  replaced(host, title, picture, el("p", { class: "legend" }, legend(), " ", el("button", { type: "button", onclick: () => saveSvg("icicle.svg", picture) }, "SVG")));

  function draw() {
    const of = piece(), c = theme(), shapes = [];
    const metric = ["peak", "total", "intensity"].includes(app.metric) ? (app.kind === "step" ? "saved" : "activations") : app.metric;
    title.textContent = `Where the ${metrics()[metric].label} are`;
    const whole = valueOf(app.numbers, metric, { node: 0, count: 1 });
    const visit = (line, x, w, level) => {
      const value = valueOf(app.numbers, metric, line), share = whole ? value / whole : 0, fill = heat(share);
      const name = nameOf(of, line);
      const part = svg("g", { class: "part" }, svg("title", {}, `${name}: ${shown(value, metrics()[metric].unit)}, ${(100 * share).toFixed(1)}%`),
        svg("rect", { x: x.toFixed(2), y: level * height, width: Math.max(0.5, w - 0.6).toFixed(2), height: height - 1, fill, stroke: line.node === app.selected ? c.accent : "none", "stroke-width": 3 }));
      if (w > 34) part.append(svg("text", { x: (x + 4).toFixed(1), y: level * height + 16, fill: ink(fill), "font-size": 12 }, shortened(name, Math.floor((w - 6) / 6.4))));
      part.addEventListener("click", () => select(line.node));
      shapes.push(part);
      if (level + 1 >= levels || line.node < 0 || !value) return;
      let at = x;
      const parts = line.count > 1 ? of.folded(line.node).map(([n, k]) => [n, k, line.count]) : of.folded(line.node).map(([n, k]) => [n, k, 1]);
      for (const [node, count, times] of parts) {
        const inner = { node, count }, share_ = times * valueOf(app.numbers, metric, inner) / value;
        if (share_ * w >= 1.5) visit(inner, at, share_ * w, level + 1);
        at += share_ * w;
      }
    };
    visit({ node: 0, count: 1 }, 0, width, 0);
    replaced(picture, shapes);
  }

  app.listeners.push(what => { if (["sizes", "piece", "model", "metric", "selected", "theme"].includes(what)) draw(); });
}

function legend() {
  const stops = [0.0001, 0.001, 0.01, 0.1, 1];
  return el("span", { class: "heat", role: "img", "aria-label": "colours: from a ten-thousandth of the whole, dark, to all of it, yellow" },
    stops.map(share => { const s = el("span", { class: "swatch" }, `${+(share * 100).toPrecision(3)}%`); s.style.background = heat(share); s.style.color = ink(heat(share)); return s; }));
}
