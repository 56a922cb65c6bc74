// Sizes as Python has them: programs of rows [op, a, b], in doubles while a slider moves and in BigInt for every digit.

/** A program as arrays. Rows refer to earlier rows; "int" holds a number as text, "sym" a name, "pow" a plain exponent. */
function compiled(rows) {
  const codes = { int: 0, sym: 1, add: 2, mul: 3, floordiv: 4, max: 5, min: 6, pow: 7 };
  const count = rows.length;
  const op = new Uint8Array(count), a = new Int32Array(count), b = new Int32Array(count);
  const numbers = new Array(count), floats = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const [name, left, right] = rows[i];
    const code = codes[name];
    if (code === undefined) throw new Error(`row ${i} has the unknown op ${name}`);
    op[i] = code;
    if (code === 0) { numbers[i] = BigInt(left); floats[i] = Number(numbers[i]); }
    else if (code === 1) numbers[i] = left;
    else { a[i] = left; b[i] = right; }
  }
  return { op, a, b, numbers, floats, count };
}

const WHOLE = Number.MAX_SAFE_INTEGER;

/** All rows in doubles. `exact` says that no number passed 2**53, so that every digit is right; NaN is a division by zero. */
function inDoubles(program, values, into) {
  const { op, a, b, numbers, floats, count } = program;
  const out = into || new Float64Array(count);
  let exact = true;
  for (let i = 0; i < count; i++) {
    let x;
    switch (op[i]) {
      case 0: x = floats[i]; break;
      case 1: x = Number(values[numbers[i]]); break;
      case 2: x = out[a[i]] + out[b[i]]; break;
      case 3: x = out[a[i]] * out[b[i]]; break;
      case 4: x = floorDouble(out[a[i]], out[b[i]]); break;
      case 5: x = Math.max(out[a[i]], out[b[i]]); break;
      case 6: x = Math.min(out[a[i]], out[b[i]]); break;
      default: { x = out[a[i]]; const base = x; for (let k = 1; k < b[i]; k++) x *= base; }
    }
    if (x > WHOLE || x < -WHOLE) exact = false;
    out[i] = x;
  }
  return { numbers: out, exact };
}

function floorDouble(a, b) {
  if (b === 0) return NaN;
  const rest = a % b;  // exact, as fmod is
  const quotient = (a - rest) / b;
  return rest !== 0 && (rest < 0) !== (b < 0) ? quotient - 1 : quotient + 0;
}

function floorBig(a, b) {
  const quotient = a / b;
  return a % b !== 0n && (a < 0n) !== (b < 0n) ? quotient - 1n : quotient;
}

/** Rows in BigInt, each when it is asked for; null where it divides by zero. */
class Exact {
  constructor(program, values) {
    this.program = program;
    this.values = values;
    this.known = new Array(program.count);
  }

  at(row) {
    if (this.known[row] !== undefined) return this.known[row];
    const { op, a, b } = this.program;
    const stack = [row];
    while (stack.length) {
      const i = stack[stack.length - 1];
      if (this.known[i] !== undefined) { stack.pop(); continue; }
      if (op[i] >= 2) {
        if (this.known[a[i]] === undefined) { stack.push(a[i]); continue; }
        if (op[i] !== 7 && this.known[b[i]] === undefined) { stack.push(b[i]); continue; }
      }
      this.known[i] = this.row(i);
      stack.pop();
    }
    return this.known[row];
  }

  row(i) {
    const { op, a, b, numbers } = this.program;
    if (op[i] === 0) return numbers[i];
    if (op[i] === 1) return BigInt(this.values[numbers[i]]);
    const left = this.known[a[i]], right = op[i] === 7 ? BigInt(b[i]) : this.known[b[i]];
    if (left === null || right === null) return null;
    switch (op[i]) {
      case 2: return left + right;
      case 3: return left * right;
      case 4: return right === 0n ? null : floorBig(left, right);
      case 5: return left > right ? left : right;
      case 6: return left < right ? left : right;
      default: return left ** right;
    }
  }
}

// -- what is assumed of sizes ----------------------------------------------------------------------------------------
/** Whether a condition of an analysis holds. */
function holds(condition, exact) {
  if (condition.is === "float") return claimHolds(condition.claim, exact);
  const value = exact.at(condition.row);
  if (value === null) return false;
  if (condition.is === "%") return value % BigInt(condition.of) === 0n;
  return condition.is === "==" ? value === 0n : condition.is === "!=" ? value !== 0n : value >= 0n;
}

/** A claim about Python's floats: integers are BigInt here, and doubles are doubles. */
function claimHolds([how, left, right], exact) {
  try {
    let x = computed(left, exact);
    const y = computed(right, exact);
    const rounding = ROUNDINGS[how];
    if (rounding) return (typeof x === "bigint" ? x : BigInt(rounding(x))) == y;
    switch (how) {
      case "==": return x == y;
      case "!=": return x != y;
      case "<": return x < y;
      case "<=": return x <= y;
      case ">": return x > y;
      default: return x >= y;
    }
  } catch (error) {
    return false;
  }
}

const ROUNDINGS = { floor: Math.floor, ceil: Math.ceil, trunc: Math.trunc, round: halfEven };

function halfEven(x) {
  const low = Math.floor(x), part = x - low;
  return part < 0.5 ? low : part > 0.5 ? low + 1 : low % 2 === 0 ? low : low + 1;
}

function computed(program, exact) {
  if (Array.isArray(program)) return applied(program[0], computed(program[1], exact), computed(program[2], exact));
  if (program.row !== undefined) {
    const value = exact.at(program.row);
    if (value === null) throw new RangeError("a division by zero");
    return value;
  }
  return program.int !== undefined ? BigInt(program.int) : Number(program.float);
}

const FUNCTIONS = { sqrt: Math.sqrt, log: Math.log, log2: Math.log2, log10: Math.log10, log1p: Math.log1p, exp: Math.exp };

function applied(op, x, y) {
  const named = FUNCTIONS[op.replace("np.", "")];
  if (named) {
    const value = named(Number(x));
    if (!Number.isFinite(value)) throw new RangeError("a function where it is not defined");
    return value;
  }
  const whole = typeof x === "bigint" && typeof y === "bigint";
  if ("/ // %".includes(op) && y == 0) throw new RangeError("a division by zero");
  if (whole && op !== "/" && !(op === "**" && y < 0n)) {
    switch (op) {
      case "+": return x + y;
      case "-": return x - y;
      case "*": return x * y;
      case "//": return floorBig(x, y);
      case "%": return x - floorBig(x, y) * y;
      default: return x ** y;
    }
  }
  const a = Number(x), b = Number(y);
  switch (op) {
    case "+": return a + b;
    case "-": return a - b;
    case "*": return a * b;
    case "/": return a / b;
    case "//": return floorDouble(a, b);
    case "%": { const rest = a % b; return rest !== 0 && (rest < 0) !== (b < 0) ? rest + b : rest; }
    default: return a ** b;
  }
}

// -- numbers for people ----------------------------------------------------------------------------------------------
const PREFIXES = ["", " k", " M", " G", " T", " P", " E", " Z", " Y"];

function scaled(n) {
  const big = typeof n === "bigint" ? n : null;
  let step = 0;
  if (big !== null) for (let left = big < 0n ? -big : big; left >= 1000n && step < 8; left /= 1000n) step++;
  else for (let left = Math.abs(n); left >= 1000 && step < 8; left = Math.floor(left / 1000)) step++;
  if (step === 0) return big === null && !Number.isInteger(n) ? n.toPrecision(4) : String(n);
  const value = Number(n) / 1000 ** step;
  const digits = Math.max(0, 4 - String(Math.trunc(Math.abs(value))).length);
  return fixedEven(value, digits) + PREFIXES[step];
}

/** As Python rounds: a tie goes to the even digit. */
function fixedEven(value, digits) {
  if (Math.abs(value) >= 1e21) return String(value);
  const text = value.toFixed(digits);
  const rest = value.toFixed(60).split(".")[1].slice(digits);
  if (!/^50*$/.test(rest)) return text;
  const down = value.toFixed(60).slice(0, digits ? digits - 60 : -61);
  return Number(down[down.length - 1]) % 2 === 0 ? down : text;
}

/** Four significant digits and a prefix. */
function countText(n) { return n == 0 ? "-" : scaled(n); }

/** Four significant digits and a unit. */
function bytesText(n) { const text = scaled(n); return text.includes(" ") ? `${text}B` : `${text} B`; }

/** All digits, in groups of three. */
function digits(n) { return String(typeof n === "bigint" ? n : Math.round(n)).replace(/\B(?=(\d{3})+(?!\d))/g, ","); }

/** A column of which repetitions were written as [start, count]. */
function unrolled(runs) {
  let count = 0;
  for (const entry of runs) count += typeof entry === "number" ? 1 : entry[1];
  const out = new Float64Array(count);
  let at = 0;
  for (const entry of runs) {
    if (typeof entry === "number") out[at++] = entry;
    else for (let from = entry[0], end = at + entry[1]; at < end;) out[at++] = out[from++];
  }
  return out;
}

/** A property that is worked out when it is first asked for. */
function lazily(target, name, make) {
  Object.defineProperty(target, name, { configurable: true, enumerable: true, get() {
    const value = make();
    Object.defineProperty(target, name, { value, configurable: true, enumerable: true });
    return value;
  } });
}

/** From differences to the numbers themselves. */
function summed(column) { for (let i = 1; i < column.length; i++) column[i] += column[i - 1]; return column; }

if (typeof module !== "undefined") {
  module.exports = { compiled, inDoubles, Exact, holds, countText, bytesText, digits, unrolled, summed };
}
