// What is shown: the model and piece, the sizes, the metric, what is selected; kept in the address.

const app = {
  kind: "report", models: [], model: 0, piece: 0, sizes: {}, ties: {}, metric: "flops", selected: 0, container: 0,
  beside: false, numbers: null, other: null, pinned: null, refused: null, snapped: "", axis: "", listeners: [],
};

const current = () => app.models[app.model];
const piece = () => app.numbers.piece;
const metrics = () => METRICS[app.kind];

function shown(value, unit) {
  if (unit === "bytes") return bytesText(value);
  if (unit === "ratio") return Number(value).toPrecision(4);
  return countText(value);
}

/** Sizes with those that are tied to others. */
function tiedSizes(sizes) {
  const found = { ...sizes };
  for (const [name, to] of Object.entries(app.ties)) if (found[to] !== undefined) found[name] = found[to];
  return found;
}

/** Take these sizes if a piece holds there; else keep what is shown and say why. Says whether they were taken. */
function take(sizes, quick = false) {
  const wanted = tiedSizes(sizes);
  const answer = current().answering(app.piece, wanted);
  if (answer.reason) {
    app.refused = { sizes: wanted, reason: answer.reason };
    changed("refused", quick);
    return false;
  }
  app.refused = null;
  app.sizes = wanted;
  app.piece = answer.piece;
  worked(quick);
  return true;
}

/** The size nearest to this one, of a symbol that is slid, at which a piece holds; null if none is near. */
function nearest(name, value, low, high) {
  const reach = 256n;
  for (let step = 0n; step <= reach; step++) {
    for (const n of step === 0n ? [value] : [value - step, value + step]) {
      if (n < BigInt(low) || n > BigInt(high)) continue;
      if (!current().answering(app.piece, tiedSizes({ ...app.sizes, [name]: n })).reason) return n;
    }
  }
  return null;
}

/** The numbers again, at what is now asked. */
function worked(quick = false) {
  const now = current().piece(app.piece);
  const values = current().completed(app.piece, app.sizes);
  const same = app.numbers && app.numbers.piece === now;
  if (!same) keepSelection(now);
  app.numbers = new Numbers(now, values, app.numbers);
  compared(quick);
  changed(same ? "sizes" : "piece", quick);
}

/** The second model of the page at these sizes. */
function compared(quick) {
  if (!app.beside || app.pinned) return;
  const model = app.models[1 - app.model], sizes = {};
  for (const s of model.symbols) sizes[s.name] = app.sizes[s.name] ?? BigInt(model.data.sizes[s.name]);
  const answer = model.answering(app.other ? app.other.index : 0, sizes);
  if (answer.reason) { app.other = { refused: answer.reason, model }; return; }
  const values = model.completed(answer.piece, sizes);
  const before = app.other && app.other.model === model ? app.other.numbers : null;
  app.other = { model, index: answer.piece, numbers: new Numbers(model.piece(answer.piece), values, before), label: model.data.name };
}

/** What numbers are compared with: the second model, or what was pinned. */
function reference() {
  const found = app.pinned || app.other;
  return found && found.numbers ? found : null;
}

function pin() {
  const now = piece();
  const label = `${current().data.name} at ${sizesText(app.sizes)}`;
  app.pinned = { numbers: new Numbers(now, { ...app.numbers.values }, null), label, model: current() };
  changed("pinned");
}

function unpin() { app.pinned = null; compared(); changed("pinned"); }

function sizesText(sizes) { return Object.entries(sizes).map(([n, v]) => `${n}=${v}`).join(", ") || "the sizes given"; }

/** In another piece the same module may have another number. */
function keepSelection(now) {
  const before = app.numbers;
  app.container = 0;
  if (!before || app.selected < 0) { app.selected = 0; return; }
  const path = before.piece.path(app.selected), number = before.piece.number[app.selected];
  const found = modulesByPath(now).get(`${path}#${number}`);
  app.selected = found ?? 0;
  app.container = app.selected;
}

function modulesByPath(of) {
  if (!of.byPath) {
    of.byPath = new Map();
    for (let m = 0; m < of.modules; m++) of.byPath.set(`${of.path(m)}#${of.number[m]}`, m);
  }
  return of.byPath;
}

// -- telling the parts of the page ----------------------------------------------------------------------------------
/** Parts are asked to draw themselves: `what` is "sizes", "piece", "metric", "selected", "refused", "pinned", "theme". */
function changed(what, quick = false) {
  for (const listener of app.listeners) listener(what, quick);
  if (!quick) remembered();
}

let later = 0;
/** After the last of many changes. */
function soon(action) {
  clearTimeout(later);
  later = setTimeout(action, 150);
}

function remembered() {
  if (!app.numbers) return;
  const parts = Object.entries(app.sizes).filter(([n]) => !app.ties[n]).map(([n, v]) => [n, String(v)]);
  for (const [n, to] of Object.entries(app.ties)) parts.push([n, to]);
  parts.push(["metric", app.metric]);
  if (app.selected) parts.push(["at", app.selected < 0 ? `op${~app.selected}` : `${piece().path(app.selected)}${app.numbers.piece.number[app.selected] > 1 ? `#${piece().number[app.selected]}` : ""}`]);
  if (app.model) parts.push(["model", String(app.model)]);
  const hash = `#${parts.map(([n, v]) => `${encodeURIComponent(n)}=${encodeURIComponent(v)}`).join("&")}`;
  if (location.hash !== hash) try { history.replaceState(null, "", hash); } catch (error) { /* a frame without an address */ }
}

function recalled() {
  const found = {};
  for (const part of location.hash.slice(1).split("&")) {
    const [name, value] = part.split("=").map(text => { try { return decodeURIComponent(text); } catch (error) { return ""; } });
    if (name && value !== undefined) found[name] = value;
  }
  return found;
}
