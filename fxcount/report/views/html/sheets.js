// Tables whose numbers follow the sizes: a comparison that was saved, pieces over a range.

const MOST_LINES = 500;

function startSheets(data) {
  const root = document.getElementById("app"), program = compiled(data.rows), boxes = new Map(), cells = [];
  let sizes = Object.fromEntries(Object.entries(data.sizes).map(([n, v]) => [n, BigInt(v)]));
  const wanted = recalled();
  for (const n of Object.keys(sizes)) if (isSize(wanted[n] || "")) sizes[n] = BigInt(wanted[n]);
  const message = el("p", { id: "message", role: "status", class: "message" });

  function isSize(text) { return /^\d{1,100}$/.test(text) && BigInt(text) > 0n; }

  function box(name) {
    const input = el("input", { type: "text", inputmode: "numeric", id: `size-${name}`, "aria-describedby": "message", size: 9, autocomplete: "off", spellcheck: "false" });
    input.value = String(sizes[name]);
    const typed = () => {
      const text = input.value.replace(/[,_\s]/g, ""), good = isSize(text);
      input.setAttribute("aria-invalid", String(!good));
      message.className = good ? "message" : "message refused";
      if (good && BigInt(text) !== sizes[name]) {
        sizes = { ...sizes, [name]: BigInt(text) };
        draw();
      }
      message.textContent = good ? `numbers are at ${sizesText(sizes)}` : `${name} is an integer of at least 1`;
    };
    input.addEventListener("change", typed);
    input.addEventListener("keydown", event => { if (event.key === "Enter") typed(); });
    boxes.set(name, input);
    return el("span", { class: "size" }, el("label", { for: `size-${name}` }, name), " ", input);
  }

  function cell(given) {
    if (typeof given === "string") return el("td", { class: given.length > 24 ? "long" : null }, given);
    if (given.code !== undefined) return el("td", { class: given.code ? "code" : null }, el("code", {}, given.code));
    const node = el("td", { class: "num" });
    cells.push([node, given]);
    return node;
  }

  /** To the digit; a difference has a sign, and a mark of its direction. */
  function valued(given, exact) {
    if (given.row !== undefined) { const n = exact.at(given.row); return n === null ? "-" : digits(n); }
    const [a, b] = given.rows.map(row => exact.at(row));
    if (a === null || b === null) return "-";
    return a === b ? "=" : `${b > a ? "▲ +" : "▼ -"}${digits(b > a ? b - a : a - b)}`;
  }

  function draw() {
    const exact = new Exact(program, sizes);
    for (const [node, given] of cells) node.textContent = valued(given, exact);
    const hash = `#${Object.entries(sizes).map(([n, v]) => `${encodeURIComponent(n)}=${v}`).join("&")}`;
    if (boxes.size && location.hash !== hash) try { history.replaceState(null, "", hash); } catch (error) { /* a frame without an address */ }
  }

  function sheet({ id, title, head, rows }) {
    const body = el("tbody", {}, rows.slice(0, MOST_LINES).map(row => el("tr", {}, row.map(cell))));
    const csv = () => {
      const exact = new Exact(program, sizes), plain = given => (typeof given === "string" ? given : given.code !== undefined ? given.code : given.row !== undefined ? String(exact.at(given.row)) : String(exact.at(given.rows[1]) - exact.at(given.rows[0])));
      save(`${data.name} ${id}.csv`, "text/csv", [head, ...rows.map(row => row.map(plain))].map(line => line.map(csvCell).join(",")).join("\n") + "\n");
    };
    return el("section", { class: "panel scrolled", "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, title),
      el("p", { class: "tools" }, el("button", { type: "button", id: `csv-${id}`, onclick: csv }, "CSV"), rows.length > MOST_LINES ? ` the first ${MOST_LINES} of ${rows.length}; all are in the CSV` : ""),
      el("table", { id, class: "sheet" }, el("thead", {}, el("tr", {}, head.map(h => el("th", { scope: "col" }, h)))), body));
  }

  const names = Object.keys(sizes);
  replaced(root, el("header", {}, el("h1", {}, data.name), el("p", { class: "note" }, data.note), el("p", { class: "tools" }, themeButton(), " ",
    el("button", { type: "button", id: "json", onclick: () => save(`${data.name}.json`, "application/json", JSON.stringify(data)) }, "JSON"), " ", el("button", { type: "button", onclick: () => print() }, "print"))),
    el("main", {}, names.length ? el("section", { class: "panel", "aria-label": "sizes" }, el("h2", {}, "Sizes"), el("p", { class: "boxes" }, names.flatMap((n, i) => [i ? "  " : null, box(n)])), message) : null, data.sections.map(sheet)));
  draw();
}
