// Memory over the calls, and any metric over any size.

const HOLDERS = ["activations", "inputs", "saved for the backward", "gradients", "optimizer states"];

function memoryChart(host) {
  const width = 1000, height = 220, left = 64, bottom = 22;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", id: "memory", role: "slider", tabindex: 0, "aria-valuemin": 1, "aria-describedby": "alive" });
  const list = el("div", { id: "alive", class: "alive" });
  let at = null;
  const word = app.kind === "step" ? "most" : "peak";  // a step has several peaks
  replaced(host, el("h2", {}, "Memory"), el("p", { class: "note" }, app.kind === "step" ? "Bytes alive while each op runs, gradients and states with them, parameters and buffers not. " : "Bytes alive while each op runs, parameters and buffers not. ", el("kbd", {}, "←"), " ", el("kbd", {}, "→"), " or a click look at another op; ",
    el("kbd", {}, "Home"), ` goes to the ${word}. `, el("button", { type: "button", onclick: () => saveSvg("memory.svg", picture) }, "SVG")), picture, list);

  const x = i => left + (width - left - 6) * (i + 0.5) / Math.max(1, piece().ops);

  function draw() {
    const now = app.numbers, of = now.piece, c = theme(), { ops } = now.of("peak");
    if (!of.ops) return void replaced(list, "No ops.");
    const peak = now.mostAt(), most = Math.max(ops[peak], 1);
    const here = at === null || at >= of.ops ? peak : at;
    const y = v => height - bottom - (height - bottom - 14) * v / most;
    const columns = Math.min(of.ops, width - left), tops = new Float64Array(columns);
    for (let i = 0; i < of.ops; i++) { const k = Math.floor(i * columns / of.ops); tops[k] = Math.max(tops[k], ops[i]); }
    let path = `M${left} ${y(0)}`;
    const step = (width - left - 6) / columns;
    tops.forEach((v, k) => { path += `V${y(v).toFixed(1)}H${(left + (k + 1) * step).toFixed(1)}`; });
    path += `V${y(0)}Z`;
    const shapes = [svg("path", { d: path, fill: "#56b4e9", "fill-opacity": 0.45, stroke: c.accent, "stroke-width": 1.2 })];
    for (const part of [0, 0.5, 1]) shapes.push(
      svg("line", { x1: left, x2: width - 6, y1: y(part * most), y2: y(part * most), stroke: c.faint }),
      svg("text", { x: left - 6, y: y(part * most) + 4, "text-anchor": "end", "font-size": 11, fill: c.muted }, bytesText(Math.round(part * most))));
    if (of.data.step) for (const [name, start, stop, counted] of of.data.step.phases) if (counted && stop > start) shapes.push(
      svg("line", { x1: x(start - 0.5), x2: x(start - 0.5), y1: 4, y2: height - bottom, stroke: c.line, "stroke-dasharray": "3 3" }),
      svg("text", { x: x(start - 0.5) + 4, y: 12, "font-size": 11, fill: c.muted }, name));
    shapes.push(svg("path", { d: `M${x(peak)} ${y(most)}l-5 -9h10z`, fill: c.warn }), svg("text", { x: Math.min(x(peak) + 8, width - 150), y: y(most) - 2, "font-size": 11, fill: c.text }, `${word} ${bytesText(most)}`));
    shapes.push(svg("line", { x1: x(here), x2: x(here), y1: 8, y2: height - bottom, stroke: c.text, "stroke-width": 1.5 }));
    shapes.push(svg("text", { x: left, y: height - 6, "font-size": 11, fill: c.muted }, "first op"), svg("text", { x: width - 6, y: height - 6, "text-anchor": "end", "font-size": 11, fill: c.muted }, `op ${of.ops}`));
    replaced(picture, shapes);
    const said = { label: `memory over ${of.ops} ops; the ${word} of ${bytesText(most)} is at ${of.opName(peak)}`, valuemax: of.ops, valuenow: here + 1,
      valuetext: `op ${here + 1} of ${of.ops}, ${of.opName(here)} in ${of.path(of.op.module[here]) || of.label(0)}: ${bytesText(ops[here])} alive` };
    for (const [name, value] of Object.entries(said)) picture.setAttribute(`aria-${name}`, value);
    return here;
  }

  function listed(here) {
    const now = app.numbers, of = now.piece;
    if (!of.ops) return;
    const found = now.alive(here), total = now.of("peak").ops[here], top = found.slice(0, 12);
    const rest = found.slice(12).reduce((sum, [, n]) => sum + n, 0), listed = found.reduce((sum, [, n]) => sum + n, 0);
    replaced(list, el("p", {}, here === now.mostAt() ? el("strong", {}, `At the ${word}: `) : "At ", link(`${of.opName(here)} in ${of.path(of.op.module[here]) || of.label(0)}`, () => select(~here)), `: ${bytesText(total)} alive`),
      el("table", {}, el("thead", {}, el("tr", {}, ["bytes", "what", "made by"].map(t => el("th", { scope: "col" }, t)))), el("tbody", {},
        top.map(([i, n]) => { const born = of.storage.born[i]; return el("tr", {}, el("td", { class: "num" }, bytesText(n)), el("td", {}, HOLDERS[of.storage.holder[i]]),
          el("td", {}, born < 0 ? "given" : link(`${of.opName(born)} in ${of.path(of.op.module[born]) || of.label(0)}`, () => select(~born)), born < 0 ? "" : ` ${of.opShape(born, now)}`)); }),
        rest ? el("tr", {}, el("td", { class: "num" }, bytesText(rest)), el("td", {}, `${found.length - 12} more`), el("td", {})) : null,
        total > listed ? el("tr", {}, el("td", { class: "num" }, bytesText(total - listed)), el("td", {}, "held by the op while it runs"), el("td", {})) : null)));
  }

  function go(i) { at = i === null ? null : Math.max(0, Math.min(piece().ops - 1, i)); listed(draw()); }
  picture.addEventListener("click", event => {
    const box = picture.getBoundingClientRect();
    go(Math.floor(((event.clientX - box.left) / box.width * width - left) / (width - left - 6) * piece().ops));
  });
  picture.addEventListener("keydown", event => {
    const here = at ?? app.numbers.mostAt();
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, PageDown: here + 20, PageUp: here - 20, Home: null }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  });
  onView(host, (what, quick) => {
    if (what === "selected" && app.selected < 0) at = ~app.selected;
    if (what === "piece" || what === "model") at = null;
    const here = draw();
    if (!quick) listed(here);
  }, ["sizes", "piece", "model", "selected", "theme"]);
}

// -- curves ------------------------------------------------------------------------------------------------------------
const SAMPLES = 96;

function curveChart(host) {
  if (!current().symbols.length) return void replaced(host, el("h2", {}, "Curve"), el("p", {}, "All sizes are numbers."));
  const width = 1000, height = 300, left = 70, right = 150, bottom = 34;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", id: "curve", role: "img", "aria-describedby": "crossings" });
  const axis = el("select", { "aria-label": "size that runs", id: "axis" });
  const parts = el("select", { "aria-label": "lines", id: "series" }, el("option", { value: "parts" }, "parts of what is selected"), el("option", { value: "kinds" }, "kinds of op"), el("option", { value: "total" }, "total alone"));
  const words = el("ul", { id: "crossings" });
  replaced(host, el("h2", {}, "Curve"), el("p", { class: "tools" }, el("span", { id: "curve-metric" }), " over ", axis, el("span", { class: "printed", id: "curve-axis" }), " lines: ", parts, " ", el("button", { type: "button", onclick: () => saveSvg("curve.svg", picture) }, "SVG")), picture, words);
  const fill = () => replaced(axis, current().symbols.map(s => el("option", { value: s.name }, s.name)));
  fill();
  axis.value = (current().symbols.find(s => !["B", "N"].includes(s.name)) || current().symbols[0]).name;

  /** The lines: a name, and rows with their counts. */
  function lines(of, metric) {
    if (metric === "peak" || metric === "total" || metric === "intensity" || metric === "params" || !(metric in ADDED || metric === "activations" || metric === "forward" || metric === "backward")) return [];
    if (parts.value === "total") return [];
    const groups = new Map();
    const add = (name, calls) => {
      if (!groups.has(name)) groups.set(name, new Map());
      const counts = groups.get(name);
      for (const i of calls) {
        if (of.phase && { forward: 1, backward: 2 }[metric] && of.phase[i] !== { forward: 1, backward: 2 }[metric]) continue;
        const key = metric === "activations" ? -1 - of.op.made[i] : of.op.signature[i];
        counts.set(key, (counts.get(key) || 0) + 1);
      }
    };
    if (parts.value === "kinds") for (let i = 0; i < of.ops; i++) add(of.opName(i), [i]);
    else for (const { name, calls } of partsOf(of)) add(name, calls);
    return [...groups].map(([name, counts]) => ({ name, counts }));
  }

  const evaluate = (line, now, metric) => {
    let sum = 0;
    for (const [key, n] of line.counts) {
      if (key < 0) sum += n * now.row[-1 - key];
      else for (const r of ADDED[metric === "forward" || metric === "backward" ? "macs" : metric](now.piece.signatures[key])) sum += n * now.row[r];
    }
    return metric === "forward" || metric === "backward" ? 2 * sum : sum;
  };

  const totalAt = (now, metric) => {
    const name = metric === "intensity" ? null : metrics()[metric].total, rows = now.piece.data.totals;
    if (metric === "intensity") return now.row[rows.flops[0]] / Math.max(1, now.row[rows.read_bytes[0]] + now.row[rows.write_bytes[0]]);
    if (name === "bytes") return now.row[rows.read_bytes[0]] + now.row[rows.write_bytes[0]];
    return name && rows[name] ? Math.max(...rows[name].map(r => now.row[r])) : Number(now.total(name));
  };

  /** The numbers of the piece that holds with one size changed; nothing where none does. */
  function numbersAt(name, n, cache) {
    const sizes = tiedSizes({ ...app.sizes, [name]: n });
    const answer = current().answering(app.piece, sizes);
    if (answer.reason) return { reason: answer.reason };
    const of = current().piece(answer.piece);
    const before = cache.get(answer.piece);
    const now = new Numbers(of, current().completed(answer.piece, sizes), before);
    cache.set(answer.piece, now);
    return { now, index: answer.piece };
  }

  function draw() {
    const metric = app.metric, unit = metrics()[metric].unit, c = theme(), symbol = current().symbols.find(s => s.name === axis.value) || current().symbols[0];
    document.getElementById("curve-metric").textContent = metrics()[metric].label;
    document.getElementById("curve-axis").textContent = axis.value;
    const low = Math.max(symbol.low, 1), high = symbol.high;
    const points = [], cache = new Map(), perPiece = new Map();
    const xs = [...new Set(Array.from({ length: SAMPLES }, (_, i) => Math.round(low * (high / low) ** (i / (SAMPLES - 1)))))];
    for (const n of xs) {
      let found = numbersAt(symbol.name, BigInt(n), cache), at = n;
      if (!found.now) {  // the nearest that is taken, so that multiples of 32 make a curve
        const other = nearest(symbol.name, BigInt(n), low, high);
        if (other !== null && Math.abs(Number(other) - n) <= Math.max(64, n * 0.02)) { at = Number(other); found = numbersAt(symbol.name, other, cache); }
      }
      if (!found.now) { points.push({ n, refused: found.reason }); continue; }
      if (!perPiece.has(found.index)) perPiece.set(found.index, lines(found.now.piece, metric));
      const values = new Map(perPiece.get(found.index).map(line => [line.name, evaluate(line, found.now, metric)]));
      points.push({ n: at, index: found.index, total: totalAt(found.now, metric), values });
    }
    const known = points.filter(p => p.index !== undefined);
    if (!known.length) return void replaced(picture, svg("text", { x: 20, y: 40, fill: c.text }, "no size of this range is taken"));
    const last = known[known.length - 1];
    const names = [...last.values.keys()].sort((a, b) => Math.max(...known.map(p => p.values.get(b) || 0)) - Math.max(...known.map(p => p.values.get(a) || 0))).slice(0, 5);
    const series = [{ name: "total", of: p => p.total }, ...names.filter(n => known.some(p => p.values.get(n))).map(name => ({ name, of: p => p.values.get(name) || 0 }))];
    const positive = known.flatMap(p => series.map(s => s.of(p))).filter(v => v > 0);
    const top = Math.max(...positive, 1), floor = Math.max(Math.min(...positive, top), top / 1e7);
    const span = Math.log(top / floor) || 1;
    const X = n => left + (width - left - right) * Math.log(n / low) / (Math.log(high / low) || 1);
    const Y = v => height - bottom - (height - bottom - 14) * Math.max(0, Math.log(Math.max(v, floor) / floor)) / span;
    const shapes = [];
    for (let e = Math.ceil(Math.log10(floor)); e <= Math.log10(top); e += Math.max(1, Math.floor(Math.log10(top / floor) / 6))) shapes.push(
      svg("line", { x1: left, x2: width - right, y1: Y(10 ** e), y2: Y(10 ** e), stroke: c.faint }), svg("text", { x: left - 6, y: Y(10 ** e) + 4, "text-anchor": "end", "font-size": 11, fill: c.muted }, shown(10 ** e, unit)));
    for (let n = 2 ** Math.ceil(Math.log2(low)); n <= high; n *= high / low > 4096 ? 4 : 2) shapes.push(svg("text", { x: X(n), y: height - bottom + 15, "text-anchor": "middle", "font-size": 11, fill: c.muted }, String(n)));
    shapes.push(svg("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle", "font-size": 12, fill: c.text }, symbol.name));
    marksOfPieces(points, X, c, shapes);
    let used = [];
    series.forEach((s, i) => {
      let path = "", pen = false;
      for (const p of points) {
        if (p.index === undefined || !(s.of(p) >= floor)) { pen = false; continue; }
        path += `${pen ? "L" : "M"}${X(p.n).toFixed(1)} ${Y(s.of(p)).toFixed(1)}`;
        pen = true;
      }
      const colour = i ? GROUPS[(i - 1) % 7] : c.text;
      shapes.push(svg("path", { d: path, fill: "none", stroke: i ? colour : c.text, "stroke-width": i ? 2 : 2.6, "stroke-dasharray": DASHES[i % DASHES.length] }));
      if (!(s.of(last) >= floor)) return;
      let y = Y(s.of(last)) + 4;
      while (used.some(u => Math.abs(u - y) < 13)) y += 13;
      used.push(y);
      shapes.push(svg("text", { x: X(last.n) + 6, y, "font-size": 12, fill: c.text }, shortened(s.name, 20)));
    });
    const here = app.sizes[symbol.name];
    if (here !== undefined) shapes.push(svg("line", { x1: X(Number(here)), x2: X(Number(here)), y1: 10, y2: height - bottom, stroke: c.accent, "stroke-width": 1.5 }), svg("text", { x: X(Number(here)) + 3, y: 12, "font-size": 11, fill: c.text }, `${symbol.name} = ${here}`));
    replaced(picture, shapes);
    picture.setAttribute("aria-label", `${metrics()[metric].label} over ${symbol.name} from ${low} to ${high}`);
    replaced(words, crossings(names, points, symbol, metric, cache, perPiece), pieceWords(points, symbol));
  }

  /** Where one line begins to exceed another, to the size: found between two samples by halving. Of two that do so by turns, as
   *  steps of rounding make them, the last time is told, and how often there was one before. */
  function crossings(names, points, symbol, metric, cache, perPiece) {
    const found = [], known = points.filter(p => p.index !== undefined);
    for (let i = 0; i < Math.min(4, names.length); i++) for (let j = 0; j < Math.min(4, names.length); j++) {
      if (i === j) continue;
      const [a, b] = [names[i], names[j]], began = [];
      for (let k = 1; k < known.length; k++) {
        const before = known[k - 1], after = known[k];
        const above = p => (p.values.get(a) || 0) > (p.values.get(b) || 0);
        if (above(before) || !above(after) || before.index !== after.index) continue;
        let lo = before.n, hi = after.n;
        while (hi - lo > 1) {
          const middle = Math.floor((lo + hi) / 2), now = numbersAt(symbol.name, BigInt(middle), cache);
          if (!now.now || now.index !== before.index) break;
          const values = perPiece.get(now.index).filter(l => l.name === a || l.name === b).map(l => [l.name, evaluate(l, now.now, metric)]);
          if ((new Map(values).get(a) || 0) > (new Map(values).get(b) || 0)) hi = middle; else lo = middle;
        }
        began.push(`${symbol.name} ${hi - lo > 1 ? ">=" : ">"} ${hi - lo > 1 ? hi : lo}`);
      }
      if (!began.length) continue;
      const before = began.length > 1 ? `; by turns before, from ${began[0]} on` : "";
      found.push(el("li", {}, `${a} exceeds ${b} for ${began[began.length - 1]}${before}`));
    }
    return found.slice(0, 8);
  }

  function pieceWords(points, symbol) {
    const found = [];
    let start = 0;
    for (let k = 1; k <= points.length; k++) {
      if (k < points.length && points[k].index === points[start].index && !points[k].refused === !points[start].refused) continue;
      const from = points[start].n, to = points[k - 1].n;
      if (points[start].index !== undefined) { if (current().count > 1) found.push(el("li", {}, `piece ${points[start].index + 1}: ${symbol.name} about ${from} to ${to}`)); }
      else found.push(el("li", { class: "warn" }, `no piece of this file for ${symbol.name} about ${from} to ${to}: ${points[start].refused.text} does not hold`));
      start = k;
    }
    return found.slice(0, 12);
  }

  function marksOfPieces(points, X, c, shapes) {
    for (let k = 1; k < points.length; k++) {
      if (points[k].index === points[k - 1].index) continue;
      const x = (X(points[k].n) + X(points[k - 1].n)) / 2;
      shapes.push(svg("line", { x1: x, x2: x, y1: 14, y2: height - bottom, stroke: c.line, "stroke-dasharray": "2 4" }));
      if (points[k].index !== undefined && current().count > 1) shapes.push(svg("text", { x: x + 3, y: height - bottom - 4, "font-size": 10, fill: c.muted }, `piece ${points[k].index + 1}`));
    }
    let from = null;
    points.forEach((p, k) => {
      if (p.refused && from === null) from = p.n;
      if (from !== null && (!p.refused || k === points.length - 1)) {
        shapes.push(svg("rect", { x: X(from), y: 14, width: Math.max(2, X(p.n) - X(from)), height: height - bottom - 14, fill: c.faint, "fill-opacity": 0.6 }));
        from = null;
      }
    });
  }

  axis.addEventListener("change", draw);
  parts.addEventListener("change", draw);
  onView(host, (what, quick) => { if (what === "model") fill(); if (!quick) draw(); }, ["sizes", "piece", "model", "metric", "selected", "theme"]);
}

/** What a module is made of, by name: equal siblings as one; one part that is nearly all is looked into. */
function partsOf(of) {
  const now = piece(), shown = app.selected < 0 ? now.op.module[~app.selected] : app.selected;
  let m = of === now ? shown : modulesByPath(of).get(`${now.path(shown)}#${now.number[shown]}`) ?? 0;
  const weight = (c, n) => (of === now ? valueOf(app.numbers, partMetric(), { node: c, count: n }) : n * (of.stop[c] - of.start[c]));
  if (!of.inside(m).some(c => c >= 0)) m = Math.max(0, of.parent[m]);
  let times = 1;
  for (let depth = 0; depth < 6; depth++) {
    const found = of.folded(m).filter(([c]) => c >= 0);
    const whole = weight(m, 1), best = found.find(([c, n]) => weight(c, n) > 0.9 * whole);
    if (!best || app.selected !== 0 || !of.inside(best[0]).some(c => c >= 0)) break;
    [m] = best;
    times *= best[1];
  }
  const own = of.inside(m).filter(c => c < 0).map(c => ~c);
  const parts = of.folded(m).filter(([c]) => c >= 0).map(([c, n]) => ({ name: n > 1 ? `${of.label(c)} x${n}` : of.label(c), calls: members(of, c, n).flatMap(k => of.calls(k)) }));
  if (own.length) parts.push({ name: parts.length ? "own ops" : "ops", calls: own });
  return times > 1 ? parts.map(p => ({ name: p.name, calls: Array.from({ length: times }, () => p.calls).flat() })) : parts;
}

function partMetric() { return ["peak", "total", "intensity", "params"].includes(app.metric) ? (app.kind === "step" ? "forward" : "flops") : app.metric; }

/** Parts that are drawn only while they can be seen. */
function onView(host, draw, whats) {
  let visible = false, waiting = "piece";
  const go = (what, quick) => { waiting = ""; draw(what, quick); };
  new IntersectionObserver(entries => {
    visible = entries[entries.length - 1].isIntersecting;
    if (visible && waiting) go(waiting, false);
  }, { rootMargin: "200px" }).observe(host);
  app.listeners.push((what, quick) => {
    if (what === "print") { go("piece", false); return; }
    if (!whats.includes(what)) return;
    if (visible) { go(what, quick); if (quick) waiting = what; } else waiting = what === "sizes" && (waiting === "piece" || waiting === "model") ? waiting : what;
  });
}
