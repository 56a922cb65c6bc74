// The data of the page as objects: pieces, their ops and modules, and their numbers at some sizes.

/** One analysis. Columns of ops and modules are arrays; nothing here changes. */
class Piece {
  constructor(data, model) {
    this.data = data;
    this.model = model;
    this.names = data.names;
    this.program = compiled(data.rows);
    this.signatures = data.signatures;
    const ops = data.ops;
    this.op = { shapes: ops.shapes };
    for (const name of ["signature", "source", "operands", "results", "made"]) lazily(this.op, name, () => unrolled(ops[name]));
    lazily(this.op, "module", () => summed(unrolled(ops.module)));
    this.ops = this.op.signature.length;
    lazily(this, "events", () => unrolled(ops.events));
    this.readModules(data.modules);
    lazily(this, "layoutOf", () => unrolled(data.layouts.of));
    this.formulas = {};
    for (const [name, runs] of Object.entries(data.formulas)) lazily(this.formulas, name, () => unrolled(runs));
    this.phase = this.phases();
    lazily(this, "storage", () => this.storages());
    lazily(this, "flow", () => this.flows());
    lazily(this, "extra", () => Int32Array.from(data.signatures, (_, i) => data.temporaries[i] ?? -1));
    lazily(this, "stateBefore", () => this.lastStates());
    this.children = new Map();
    this.counted = [];
    const { states } = data.findings;
    if (!Array.isArray(states)) lazily(data.findings, "states", () => this.states(states));
  }

  /** Parameters: name, shape, dtype, bytes, and 1 for trainable, 2 for shared, 4 for dead. */
  states({ names, kind, kinds }) {
    let name = "";
    return Array.from(unrolled(kind), (k, i) => {
      name = name.slice(0, names[2 * i]) + names[2 * i + 1];
      return [name, ...kinds[k]];
    });
  }

  readModules(m) {
    const up = unrolled(m.up), start = unrolled(m.start), ops = unrolled(m.ops);
    this.modules = up.length;
    this.parent = up.map((distance, i) => i - distance);
    this.start = new Float64Array(up.length);
    for (let i = 0; i < up.length; i++) this.start[i] = start[i] + (this.parent[i] >= 0 ? this.start[this.parent[i]] : 0);
    this.stop = this.start.map((s, i) => s + ops[i]);
    this.moduleName = unrolled(m.name);
    this.className = unrolled(m.class);
    this.number = unrolled(m.number);
    this.held = unrolled(m.held);
    this.kind = unrolled(m.kind);
    this.result = unrolled(m.result);
  }

  /** Of a training step the phase of each op, 0 for what is not counted; of a report nothing. */
  phases() {
    if (!this.data.step) return null;
    const numbers = { forward: 1, backward: 2, update: 3, optimizer: 4, setup: 4 };
    const found = new Uint8Array(this.ops);
    for (const [name, start, stop, counted] of this.data.step.phases) if (counted) found.fill(numbers[name], start, stop);
    return found;
  }

  /** Storages in the order of their births: the row of their bytes, the op before which they are there and die. */
  storages() {
    const births = this.data.events.map(entries => entries.reduce((n, entry) => n + (entry >= 0 ? 1 : 0), 0));
    let count = 0;
    for (const number of this.events) count += births[number];
    const rows = new Int32Array(count), born = new Int32Array(count), died = new Int32Array(count).fill(this.ops);
    let next = 0;
    for (let call = -1; call < this.ops; call++) {
      for (const entry of this.data.events[this.events[call + 1]]) {
        if (entry >= 0) { rows[next] = entry; born[next++] = call; }
        else died[next - ~entry] = call;
      }
    }
    const holder = new Uint8Array(count);  // 0 activation, 1 input, 2 saved, 3 gradient, 4 state
    for (let i = 0; i < rows.length && born[i] < 0; i++) holder[i] = 1;
    const step = this.data.step;
    if (step) for (const [number, name] of [[2, "saved"], [3, "gradients"], [4, "states"]]) for (const i of step[name]) holder[i] = number;
    return { rows, born, died, holder };
  }

  /** Births and deaths as one column: the row of the bytes that come, or `~row` of those that go. `from[i + 1]` is where those of
   *  op i begin, `from[0]` where those before the first op do. */
  flows() {
    const { rows } = this.storage, entries = this.data.events, from = new Int32Array(this.ops + 2);
    for (let i = 0; i <= this.ops; i++) from[i + 1] = from[i] + entries[this.events[i]].length;
    const moved = new Int32Array(from[this.ops + 1]);
    let next = 0, at = 0;
    for (let i = 0; i <= this.ops; i++) for (const entry of entries[this.events[i]]) moved[at++] = entry >= 0 ? rows[next++] : ~rows[next - ~entry];
    return { from, moved };
  }

  /** How often each signature, and each row of bytes that are made, is in a module of a report: [number, count]. Modules of one
   *  kind have the same, so that each kind is looked into once. */
  counts(m) {
    const kind = this.kind[m];
    if (this.counted[kind]) return this.counted[kind];
    const signatures = new Map(), made = new Map();
    const add = (to, key, n) => to.set(key, (to.get(key) || 0) + n);
    for (const child of this.inside(m)) {
      if (child < 0) { add(signatures, this.op.signature[~child], 1); add(made, this.op.made[~child], 1); continue; }
      const inner = this.counts(child);
      for (const [key, n] of inner.signatures) add(signatures, key, n);
      for (const [key, n] of inner.made) add(made, key, n);
    }
    return (this.counted[kind] = { signatures: [...signatures], made: [...made] });
  }

  /** The parameter or buffer that was named last before each op: others are told by their distance from it. */
  lastStates() {
    const moves = this.data.operands.map(codes => codes.reduce((sum, code) => sum + (code % 4 === 3 ? signed(code) : 0), 0));
    const found = new Int32Array(this.ops);
    for (let i = 1; i < this.ops; i++) found[i] = found[i - 1] + moves[this.op.operands[i - 1]];
    return found;
  }

  // -- names ---------------------------------------------------------------------------------------------------------
  path(m) {
    const parts = [];
    for (let at = m; at > 0; at = this.parent[at]) {
      const part = this.names[this.moduleName[at]];
      parts.unshift(part.startsWith("/") ? part.slice(1) : part);
      if (part.startsWith("/")) break;
    }
    return parts.filter(Boolean).join(".");
  }
  label(m) {
    const name = m === 0 ? "" : this.names[this.moduleName[m]];
    return name.slice(name.lastIndexOf(".") + 1) || this.names[this.className[m]];
  }
  opName(i) { return this.names[this.signatures[this.op.signature[i]][0]]; }
  source(i) { return this.names[this.op.source[i]]; }

  /** Text of a shape: as formulas, or at the sizes of some numbers. */
  shape(fact, numbers) {
    if (fact < 0) return "";
    const [, ...rows] = this.data.facts[fact];
    return `(${rows.map(row => (numbers ? digits(numbers.exact.at(row)).replaceAll(",", "") : this.text(row))).join(", ")})`;
  }
  dtype(fact) { return fact < 0 ? "" : this.names[this.data.facts[fact][0]]; }
  text(row) {
    const known = this.data.texts[row];
    return known !== undefined ? known : this.program.op[row] === 0 ? String(this.program.numbers[row]) : "...";
  }
  opShape(i, numbers) { return this.op.shapes[this.op.results[i]].map(fact => this.shape(fact, numbers)).join(" "); }

  /** What an op takes: {op}, {input} or {state}, by number. */
  operands(i) {
    let state = this.stateBefore[i];
    return this.data.operands[this.op.operands[i]].map(code => {
      const n = Math.floor(code / 4);
      switch (code % 4) {
        case 0: return { op: i - n };
        case 1: return { op: n };
        case 2: return { input: n };
        default: return { state: state += signed(code) };
      }
    });
  }

  // -- structure -----------------------------------------------------------------------------------------------------
  /** What is directly inside a module, in order: module m as m, op i as ~i. */
  inside(m) {
    const known = this.children.get(m);
    if (known) return known;
    const found = [], end = m + this.span(m), shown = this.phase, home = this.op.module;
    let at = this.start[m];
    const ops = to => { for (; at < to; at++) if (home[at] === m && (!shown || shown[at] === 1)) found.push(~at); };
    for (let child = m + 1; child < end; child += this.span(child)) {
      ops(this.start[child]);
      found.push(child);
      at = Math.max(at, this.stop[child]);
    }
    ops(this.stop[m]);
    this.children.set(m, found);
    return found;
  }

  /** Parts of a module with what is alike and stands together as one: [first, count]. */
  folded(m) {
    const found = [];
    for (const child of this.inside(m)) {
      const last = found[found.length - 1];
      const alike = last && child >= 0 && last[0] >= 0 && this.kind[child] === this.kind[last[0]]
        && this.stop[child] > this.start[child] && child === last[2] + this.span(last[2]);
      if (alike) { last[1]++; last[2] = child; } else found.push([child, 1, child]);
    }
    return found.flatMap(([first, count, last]) => (count > 1 && count < 3 && this.small(first) ? range(first, last, this) : [[first, count]]));
  }
  small(m) { return this.span(m) === 1; }
  /** How many module calls are in a module call, itself included. */
  span(m) {
    if (!this.spans) {
      this.spans = new Int32Array(this.modules).fill(1);
      for (let i = this.modules - 1; i > 0; i--) this.spans[this.parent[i]] += this.spans[i];
    }
    return this.spans[m];
  }
  calls(m) { return range(this.start[m], this.stop[m] - 1); }
}

/** A distance to either side, in a code. */
function signed(code) { const n = Math.floor(code / 4); return n % 2 ? -(n + 1) / 2 : n / 2; }

function range(first, last, piece) {
  const found = [];
  for (let i = first; i <= last; i += piece ? piece.span(i) : 1) found.push(piece ? [i, 1] : i);
  return found;
}

// -- numbers at some sizes -------------------------------------------------------------------------------------------
const METRICS = {
  report: {
    macs: { label: "MACs", about: "multiply-accumulates of contractions", unit: "count", total: "macs" },
    flops: { label: "FLOPs", about: "all floating-point operations, 2 for each MAC", unit: "count", total: "flops" },
    params: { label: "parameters", short: "params", about: "elements, each counted once", unit: "count", total: "params" },
    activations: { label: "activations", about: "bytes of all results", unit: "bytes", total: "activation_bytes" },
    peak: { label: "peak memory", about: "most bytes alive at one moment, inputs included, parameters not", unit: "bytes", total: "peak_bytes" },
    bytes: { label: "bytes moved", about: "bytes read and written", unit: "bytes", total: "bytes" },
    intensity: { label: "intensity", about: "FLOPs for each byte read or written", unit: "ratio", total: null },
  },
  step: {
    forward: { label: "forward FLOPs", about: "of the forward and the loss", unit: "count", total: "forward_flops" },
    backward: { label: "backward FLOPs", about: "with what checkpointing computes again", unit: "count", total: "backward_flops" },
    saved: { label: "saved", about: "bytes that only the graph holds between forward and backward", unit: "bytes", total: "saved_bytes" },
    gradients: { label: "gradients", about: "bytes held after the backward", unit: "bytes", total: "gradient_bytes" },
    states: { label: "states", about: "bytes the optimizer keeps", unit: "bytes", total: "optimizer_bytes" },
    peak: { label: "peak memory", about: "forward and backward, parameters not included", unit: "bytes", total: "peak" },
    total: { label: "total peak", about: "everything, parameters, buffers and states included", unit: "bytes", total: "total_peak" },
    params: { label: "parameters", short: "params", about: "elements, each counted once", unit: "count", total: null },
  },
};

/** What adds up over ops, as rows of a signature or of an op. */
const ADDED = { macs: s => [s[2]], flops: s => [s[3]], bytes: s => [s[5], s[6]] };

/** All numbers of a piece at some sizes, in doubles; `exact` gives any row to the digit. */
class Numbers {
  constructor(piece, values, before) {
    this.piece = piece;
    this.values = values;
    this.exact = new Exact(piece.program, values);
    const reuse = before && before.piece === piece ? before : null;
    const found = inDoubles(piece.program, values, reuse ? reuse.row : null);
    this.row = found.numbers;
    this.doubles = found.exact;
    if (!found.exact) for (let i = 0; i < piece.program.count; i++) {  // digits were lost, so floors may be wrong: once more, exactly
      const value = this.exact.at(i);
      this.row[i] = value === null ? NaN : Number(value);
    }
    this.memo = reuse ? reuse.memo : {};
    this.stale = new Set(Object.keys(this.memo));
    this.kinds = {};
  }

  /** A total in BigInt. */
  total(name) {
    const rows = this.piece.data.totals;
    if (name === "bytes") return this.total("read_bytes") + this.total("write_bytes");
    if (name === null || !rows[name]) return BigInt(this.piece.data.findings.parameters.total);
    return rows[name].map(row => this.exact.at(row)).reduce((a, b) => (a > b ? a : b));
  }

  /** The total a metric stands for: BigInt, or for a ratio a double. */
  headline(metric) {
    if (metric === "intensity") return Number(this.total("flops")) / Math.max(1, Number(this.total("bytes")));
    return this.total(METRICS[this.piece.model.kind][metric].total);
  }

  /** A metric of one module, or of an op i as ~i: only what is asked for is worked out. */
  value(metric, node) {
    const { piece, row } = this;
    if (metric === "params") return node < 0 ? 0 : piece.held[node];
    if (metric === "intensity") {
      const bytes = this.value("bytes", node);
      return bytes ? this.value("flops", node) / bytes : 0;
    }
    if (piece.phase || !(metric in ADDED || metric === "activations")) {
      const all = this.of(metric);
      return node < 0 ? all.ops[~node] : all.modules[node];
    }
    if (node < 0) return metric === "activations" ? row[piece.op.made[~node]] : this.each(metric, piece.op.signature[~node]);
    const known = (this.kinds[metric] ||= []), kind = piece.kind[node];
    return (known[kind] ??= this.added(metric, piece.counts(node)));
  }

  added(metric, { signatures, made }) {
    let sum = 0;
    if (metric === "activations") for (const [at, n] of made) sum += n * this.row[at];
    else for (const [at, n] of signatures) sum += n * this.each(metric, at);
    return sum;
  }

  /** What an op of a signature adds. */
  each(metric, signature) {
    let sum = 0;
    for (const at of ADDED[metric](this.piece.signatures[signature])) sum += this.row[at];
    return sum;
  }

  /** A metric of every module call, and of every op. */
  of(metric) {
    if (this.memo[metric] && !this.stale.has(metric)) return this.memo[metric];
    const { piece } = this;
    let found = this.memo[metric];
    if (!found) found = this.memo[metric] = { ops: new Float64Array(piece.ops), modules: new Float64Array(piece.modules) };
    this.stale.delete(metric);
    this.fill(metric, found.ops);
    if (metric === "params") found.modules.set(piece.held);
    else if (metric === "intensity") {
      const flops = this.of("flops").modules, bytes = this.of("bytes").modules;
      for (let m = 0; m < piece.modules; m++) found.modules[m] = bytes[m] ? flops[m] / bytes[m] : 0;
    } else this.gather(found, metric === "peak" || metric === "total" ? Math.max : (a, b) => a + b);
    return found;
  }

  /** From ops to the modules around them: every module has a smaller number than what is inside it. */
  gather({ ops, modules }, join) {
    const { piece } = this;
    modules.fill(0);
    const home = piece.op.module;
    if (join === Math.max) for (let i = 0; i < piece.ops; i++) modules[home[i]] = Math.max(modules[home[i]], ops[i]);
    else for (let i = 0; i < piece.ops; i++) modules[home[i]] += ops[i];
    for (let m = piece.modules - 1; m > 0; m--) modules[piece.parent[m]] = join(modules[piece.parent[m]], modules[m]);
  }

  fill(metric, out) {
    const { piece, row } = this, { signature, made } = piece.op;
    if (metric === "peak") return this.timeline(out);
    if (metric === "total") { this.timeline(out); return void addTo(out, this.base()); }
    if (metric === "activations") { for (let i = 0; i < piece.ops; i++) out[i] = row[made[i]]; return; }
    if (metric === "params") return void out.fill(0);
    if (metric === "intensity") {
      const flops = this.of("flops").ops, bytes = this.of("bytes").ops;
      for (let i = 0; i < piece.ops; i++) out[i] = bytes[i] ? flops[i] / bytes[i] : 0;
      return;
    }
    if (metric === "saved" || metric === "gradients" || metric === "states") return this.held(metric, out);
    const phase = { forward: 1, backward: 2 }[metric];
    const factor = phase ? 2 : 1;
    const each = piece.signatures.map((_, i) => factor * this.each(phase ? "macs" : metric, i));
    for (let i = 0; i < piece.ops; i++) out[i] = !phase || piece.phase[i] === phase ? each[signature[i]] : 0;
  }

  held(metric, out) {
    const { storage } = this.piece, wanted = { saved: 2, gradients: 3, states: 4 }[metric];
    out.fill(0);
    storage.holder.forEach((holder, i) => { if (holder === wanted && storage.born[i] >= 0) out[storage.born[i]] += this.row[storage.rows[i]]; });
  }

  base() {
    const { parameters } = this.piece.data.findings;
    return parameters.bytes + parameters.buffer_bytes;
  }

  /** The most bytes alive while each op runs. */
  timeline(out) {
    const { piece, row } = this, { from, moved } = piece.flow, { extra, op: { signature } } = piece;
    let alive = 0;
    for (let call = -1; call < piece.ops; call++) {
      const held = call >= 0 ? extra[signature[call]] : -1, more = held >= 0 ? row[held] : 0;
      let most = alive, grew = false;
      for (let k = from[call + 1]; k < from[call + 2]; k++) {
        const at = moved[k];
        if (at >= 0) { alive += row[at]; grew = true; continue; }
        if (grew && alive + more > most) most = alive + more;
        grew = false;
        alive -= row[~at];
      }
      if (grew && alive + more > most) most = alive + more;
      if (call >= 0) out[call] = most;
      else this.atStart = most;
    }
  }

  /** Storages alive while an op runs, largest first: [number, bytes]. */
  alive(call) {
    const { rows, born, died } = this.piece.storage;
    const found = [];
    for (let i = 0; i < rows.length; i++) if (born[i] <= call && died[i] >= call && this.row[rows[i]] > 0) found.push([i, this.row[rows[i]]]);
    return found.sort((x, y) => y[1] - x[1] || x[0] - y[0]);
  }

  /** The op at which most is alive, of those that count; where there are none, the first. */
  mostAt(counts) {
    const { ops } = this.of("peak");
    let best = -1;
    for (let i = 0; i < ops.length; i++) if ((!counts || counts(i)) && (best < 0 || ops[i] > ops[best])) best = i;
    return Math.max(best, 0);
  }

  /** The op at which a peak is reached: of a step that of forward and backward, or with "total" that of all of it in the steady
   *  state, in which the states are there from the beginning. */
  peakAt(metric = "peak") {
    const { phase, data, storage } = this.piece;
    if (!phase) return this.mostAt();
    const running = this.mostAt(i => phase[i] === 1 || phase[i] === 2);
    if (metric !== "total") return running;
    const begins = phase.indexOf(1), late = storage.holder.some((holder, i) => holder === 4 && storage.born[i] >= begins);
    const [, start, stop] = data.step.phases[data.step.phases.length - 1];
    const stepping = this.mostAt(i => (late ? i >= start && i < stop : phase[i] > 2)), { ops } = this.of("peak");
    return ops[running] + (late ? Number(this.total("optimizer_bytes")) : 0) >= ops[stepping] ? running : stepping;
  }

  /** A metric of some ops in BigInt: equal signatures are multiplied. */
  sum(metric, calls) {
    const { piece } = this, counts = new Map();
    const phase = { forward: 1, backward: 2 }[metric];
    for (const i of calls) {
      if (phase && piece.phase[i] !== phase) continue;
      const key = metric === "activations" ? piece.op.made[i] : piece.op.signature[i];
      counts.set(key, (counts.get(key) || 0) + 1);
    }
    let total = 0n;
    for (const [key, n] of counts) {
      const rows = metric === "activations" ? [key] : ADDED[phase ? "macs" : metric](piece.signatures[key]);
      for (const r of rows) total += BigInt(n) * this.exact.at(r);
    }
    return phase ? 2n * total : total;
  }
}

function addTo(out, base) { for (let i = 0; i < out.length; i++) out[i] += base; }

/** A model: its pieces, of which each is read when it is first needed. */
class Model {
  constructor(data, kind) {
    this.data = data;
    this.kind = kind;
    this.read = new Array(data.pieces.length);
  }
  get count() { return this.data.pieces.length; }
  piece(i) { return (this.read[i] ||= new Piece(this.data.pieces[i], this)); }
  get symbols() { return this.data.symbols; }

  /** Sizes with those that data decide: BigInt by name. */
  completed(i, sizes) {
    const piece = this.piece(i), full = { ...sizes };
    for (const u of piece.data.unbacked) {
      if (full[u.name] !== undefined) continue;
      const value = new Exact(piece.program, full).at(u.default);
      full[u.name] = value === null || value < 1n ? 1n : value;
    }
    return full;
  }

  /** The first condition of a piece that these sizes break, in words; null if they break none. */
  broken(i, sizes) {
    const piece = this.piece(i), values = this.completed(i, sizes), exact = new Exact(piece.program, values);
    for (const [name, value] of Object.entries(values)) if (value < 1n) return { text: `${name} >= 1`, why: "sizes are at least 1", line: "", where: "" };
    for (const c of piece.data.holds) if (!holds(c, exact)) return c;
    for (const row of piece.data.limits) {
      const value = exact.at(row);
      if (value === null || value >= 2n ** 43n || value <= -(2n ** 43n)) return { text: `${piece.text(row)} < 2**43`, why: "the model computes a float of it, which is not exact beyond", line: "", where: "" };
    }
    for (const u of piece.data.unbacked) {
      if (u.most === null) continue;
      const most = exact.at(u.most);
      if (most === null || values[u.name] > most) return { text: `${u.name} <= ${most}`, why: u.what, line: "", where: u.where };
    }
    return null;
  }

  /** The piece that holds at these sizes, the one that is shown first if it does; or the first reason why none does. */
  answering(current, sizes) {
    const order = [current, ...Array.from({ length: this.count }, (_, i) => i).filter(i => i !== current)];
    let reason = null;
    for (const i of order) {
      const broken = this.broken(i, sizes);
      if (!broken) return { piece: i };
      reason ||= broken;
    }
    return { reason };
  }
}
