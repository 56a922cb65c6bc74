// Sizes: a slider and a number box for every symbol, ties, presets; and the totals, which choose the metric.

/** Where a size is on its slider, which is logarithmic: 0 to 1000. */
function placeOf(value, s) { return Math.round(1000 * Math.log(Number(value) / s.low) / Math.log(s.high / s.low || 1)) || 0; }
function sizeAt(place, s) { return BigInt(Math.max(s.low, Math.min(s.high, Math.round(s.low * (s.high / s.low) ** (place / 1000))))); }

function controls(host) {
  const rows = new Map(), message = el("p", { id: "message", role: "status", class: "message" });
  const body = el("div", { class: "symbols" });
  replaced(host, el("h2", { id: "sizes-title" }, "Sizes"), body, message, presets());

  function build() {
    rows.clear();
    const found = current().symbols.map(s => symbolRow(s));
    const unknown = piece().data.unbacked.map(u => unbackedRow(u));
    replaced(body, found, unknown.length ? el("h3", {}, "Sizes that data decide") : null, unknown,
      found.length + unknown.length ? null : el("p", {}, "All sizes are numbers: nothing to change."));
  }

  function symbolRow(s) {
    const slider = el("input", { type: "range", min: 0, max: 1000, "aria-label": `${s.name}, logarithmic`, id: `slide-${s.name}` });
    const box = el("input", { type: "text", inputmode: "numeric", id: `size-${s.name}`, "aria-label": `size ${s.name}`, "aria-describedby": "message", size: 9, autocomplete: "off", spellcheck: "false" });
    const others = current().symbols.filter(o => o !== s);
    const tie = others.length ? el("select", { "aria-label": `${s.name} is`, id: `tie-${s.name}` },
      el("option", { value: "" }, "free"), others.map(o => el("option", { value: o.name }, `= ${o.name}`))) : null;
    slider.addEventListener("input", () => slid(s, slider));
    slider.addEventListener("change", () => { worked(); });
    box.addEventListener("keydown", event => { if (event.key === "Enter") typed(s.name, box); });
    box.addEventListener("change", () => typed(s.name, box));
    if (tie) tie.addEventListener("change", () => tied(s.name, tie.value));
    rows.set(s.name, { s, slider, box, tie });
    return el("div", { class: "symbol" }, el("label", { for: `size-${s.name}` }, s.name), slider, box, tie);
  }

  function unbackedRow(u) {
    const s = { name: u.name, low: 1, high: 1 << 20 };
    const row = symbolRow(s);
    rows.get(u.name).tie?.remove();
    row.append(el("p", { class: "note" }, `${u.what}${u.where ? ` at ${u.where}` : ""}${u.guess ? ": a guess, until you say what it is" : ""}`));
    return row;
  }

  function slid(s, slider) {
    const asked = sizeAt(Number(slider.value), s);
    const value = nearest(s.name, asked, s.low, s.high);
    app.snapped = value !== null && value !== asked ? `${s.name} = ${asked} is not taken here; the nearest that is: ${value}` : "";
    take({ ...app.sizes, [s.name]: value ?? asked }, true);
  }

  function typed(name, box) {
    const text = box.value.replace(/[,_\s]/g, "");
    app.snapped = "";
    if (!/^\d{1,100}$/.test(text) || BigInt(text) < 1n) {
      app.refused = { sizes: { [name]: box.value }, reason: { text: `${name} is an integer of at least 1`, why: "", line: "", where: "" } };
      changed("refused");
    } else if (app.sizes[name] === undefined || BigInt(text) !== app.sizes[name] || app.refused) take({ ...app.sizes, [name]: BigInt(text) });
  }

  function tied(name, to) {
    if (to) {
      app.ties[name] = to;
      if (app.ties[to]) delete app.ties[to];
      take(app.sizes);
      if (app.refused) { delete app.ties[name]; changed("sizes"); }
    } else { delete app.ties[name]; changed("sizes"); }
  }

  function presets() {
    const options = () => {
      const found = [["as the file was made", Object.fromEntries(Object.entries(current().data.sizes).map(([n, v]) => [n, BigInt(v)]))]];
      current().data.pieces.forEach((p, i) => {
        if (current().count > 1) found.push([`piece ${i + 1}: ${sizesText(asked(p.hints))}`, Object.fromEntries(Object.entries(asked(p.hints)).map(([n, v]) => [n, BigInt(v)]))]);
      });
      const batch = current().symbols.find(s => s.name === "B" || s.name === "N");
      if (batch) for (const n of [1n, 8n, 64n]) found.push([`${batch.name} = ${n}`, { ...app.sizes, [batch.name]: n }]);
      return found;
    };
    const select = el("select", { id: "preset", "aria-label": "presets" });
    const fill = () => replaced(select, el("option", { value: "" }, "presets"), options().map(([label], i) => el("option", { value: i }, label)));
    select.addEventListener("focus", fill);
    select.addEventListener("change", () => {
      const chosen = options()[Number(select.value)];
      if (select.value !== "" && chosen) take(chosen[1]);
      select.value = "";
    });
    fill();
    return el("p", { class: "presets" }, select,
      el("button", { type: "button", id: "pin", onclick: () => (app.pinned ? unpin() : pin()) }, "compare with these sizes"));
  }

  function asked(hints) { return Object.fromEntries(current().symbols.map(s => [s.name, hints[s.name]])); }

  function draw() {
    for (const { s, slider, box, tie } of rows.values()) {
      const value = app.sizes[s.name] ?? app.numbers.values[s.name];
      if (document.activeElement !== box || !app.refused) box.value = String(value);
      if (document.activeElement !== slider) slider.value = placeOf(value, s);
      slider.setAttribute("aria-valuetext", String(value));
      slider.disabled = box.disabled = Boolean(app.ties[s.name]);
      if (tie) tie.value = app.ties[s.name] || "";
      box.setAttribute("aria-invalid", String(Boolean(app.refused && !(document.activeElement !== box))));
    }
    const pieces = current().count > 1 ? `piece ${app.piece + 1} of ${current().count}` : "";
    message.className = app.refused ? "message refused" : "message";
    if (app.refused) {
      const { reason } = app.refused;
      replaced(message, el("strong", {}, "Refused: "), `${reason.text} does not hold at ${sizesText(app.refused.sizes)}. `,
        reason.line ? el("code", {}, reason.line) : null, reason.where ? ` ${reason.where}` : "",
        " The file holds no analysis of these sizes: make it with report.pieces(...) or to_html(over=...).");
    } else replaced(message, [pieces, app.snapped].filter(Boolean).join("; "));
    document.getElementById("pin").textContent = app.pinned ? `stop comparing with ${app.pinned.label}` : "compare with these sizes";
  }

  app.listeners.push(what => {
    if (what === "piece" || what === "model") build();
    if (["sizes", "piece", "model", "refused", "pinned"].includes(what)) draw();
  });
  build();
}

/** One card for each metric: its number, and by a click its formula and what the rest of the page shows. */
function cards(host) {
  const details = el("div", { class: "formula", id: "formula" });
  const buttons = new Map();
  const list = el("div", { class: "cards", role: "radiogroup", "aria-label": "metric" });
  for (const [name, m] of Object.entries(metrics())) {
    const number = el("span", { class: "number" }), delta = el("span", { class: "delta" });
    const button = el("button", { type: "button", role: "radio", class: "card", id: `metric-${name}`, title: m.about, onclick: () => choose(name) },
      el("span", { class: "label" }, m.label), number, delta);
    buttons.set(name, { button, number, delta });
    list.append(button);
  }
  list.addEventListener("keydown", event => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const names = [...buttons.keys()];
    choose(names[(names.indexOf(app.metric) + step + names.length) % names.length]);
    buttons.get(app.metric).button.focus();
  });
  replaced(host, el("h2", { class: "offscreen" }, "Totals"), list, details);

  function choose(name) { app.metric = name; changed("metric"); }

  function draw(quick) {
    const other = reference();
    for (const [name, { button, number, delta }] of buttons) {
      const value = app.numbers.headline(name), unit = metrics()[name].unit;
      number.textContent = shown(value, unit);
      button.setAttribute("aria-checked", String(name === app.metric));
      button.tabIndex = name === app.metric ? 0 : -1;
      delta.textContent = other ? ratioText(Number(value), Number(other.numbers.headline(name))) : "";
    }
    if (!quick || app.metric !== "intensity") formula();
  }

  function formula() {
    const m = metrics()[app.metric], value = app.numbers.headline(app.metric);
    const exact = m.unit === "ratio" ? String(value) : digits(value);
    const text = totalText(app.metric);
    const parts = [el("p", {}, el("strong", {}, m.label), `: ${m.about}`)];
    parts.push(el("p", { class: "exact" }, el("output", { id: "exact" }, exact), m.unit === "bytes" ? " bytes " : " ",
      el("button", { type: "button", id: "copy", onclick: event => copied(m.unit === "ratio" ? exact : String(value), event.currentTarget) }, "copy exact")));
    if (text) parts.push(el("p", { class: "text" }, el("code", {}, text)));
    if (app.metric === "peak" || app.metric === "total") {
      const at = app.numbers.peakAt(app.metric), now = piece();
      if (now.ops) parts.push(el("p", {}, "at ", link(`${now.opName(at)} in ${now.path(now.op.module[at]) || now.label(0)}`, () => select(~at)), now.source(at) ? ` (${now.source(at)})` : ""));
    }
    const lower = piece().data.findings.uncounted.length && ["macs", "flops", "forward", "backward", "intensity"].includes(app.metric);
    if (lower) parts.push(el("p", { class: "warn" }, "⚠ A lower bound: some ops have no cost rule."));
    replaced(details, parts);
  }

  app.listeners.push((what, quick) => { if (["sizes", "piece", "model", "metric", "pinned"].includes(what)) draw(quick); });
}

function totalText(metric) {
  const { totals, texts } = piece().data;
  const name = metric === "intensity" ? null : metrics()[metric].total;
  if (metric === "bytes") return ["read_bytes", "write_bytes"].map(n => texts[totals[n][0]]).filter(Boolean).map((t, i) => `${["read", "written"][i]}: ${t}`).join("   ");
  if (!name || !totals[name]) return "";
  if (totals[name].length === 1) return texts[totals[name][0]] || "";
  const numbers = app.numbers;
  const best = totals[name].reduce((a, b) => (numbers.exact.at(a) >= numbers.exact.at(b) ? a : b));
  return `${texts[best] || "a number"}   here; the largest of ${totals[name].length} moments`;
}

function ratioText(now, other) {
  if (now === other) return "= same";
  if (!other) return "only here";
  const ratio = now / other;
  return `${ratio > 1 ? "▲" : "▼"} ×${ratio >= 100 || ratio < 0.01 ? ratio.toExponential(1) : ratio.toPrecision(3)}`;
}

function link(text, action, attributes = {}) { return el("button", { type: "button", class: "link", onclick: action, ...attributes }, text); }

function select(node) {
  app.selected = node;
  const now = piece(), m = node < 0 ? now.op.module[~node] : node;
  app.container = node < 0 || !now.inside(m).length ? (node < 0 ? m : Math.max(now.parent[m], 0)) : m;
  if (node >= 0 && !now.inside(m).some(c => c >= 0) && now.parent[m] >= 0 && now.inside(m).length <= 1) app.container = now.parent[m];
  changed("selected");
}
