// Elements, colours and files. Names reach the page as text nodes only.

/** An element with attributes, listeners (on...) and children; texts become text nodes. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  return filled(node, attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return node;
}

function replaced(node, ...children) { node.replaceChildren(...children.flat().filter(child => child)); return node; }

const HEAT = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"];
const GROUPS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999"];
const DASHES = ["", "6 3", "2 2", "8 3 2 3", "1 3", "10 4"];

/** Cividis by a share of the whole, on a logarithmic scale of four decades. */
function heat(share) {
  const level = share > 0 ? Math.min(Math.max(1 + Math.log10(share) / 4, 0), 1) : 0;
  const place = level * (HEAT.length - 1), low = Math.min(Math.floor(place), HEAT.length - 2), part = place - low;
  const channel = i => {
    const [a, b] = [HEAT[low], HEAT[low + 1]].map(c => parseInt(c.slice(i, i + 2), 16));
    return Math.round(a + (b - a) * part).toString(16).padStart(2, "0");
  };
  return `#${channel(1)}${channel(3)}${channel(5)}`;
}

/** Black or white, whichever is read better on a colour. */
function ink(background) {
  const linear = i => { const c = parseInt(background.slice(i, i + 2), 16) / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  return 0.2126 * linear(1) + 0.7152 * linear(3) + 0.0722 * linear(5) > 0.179 ? "#000000" : "#ffffff";
}

/** Colours of pictures, which are files of their own when they are saved. */
function theme() {
  return dark()
    ? { text: "#e8e8e8", muted: "#a8a8a8", line: "#7d8590", paper: "#15181c", faint: "#2b3138", accent: "#56b4e9", warn: "#ff9d6b" }
    : { text: "#1b1b1b", muted: "#555555", line: "#767676", paper: "#ffffff", faint: "#e4e4e4", accent: "#0072b2", warn: "#a33c00" };
}

let printing = false;
function dark() {
  if (printing) return false;
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** A letter in the colour of its group, with an outline. */
function badge(group) {
  const colour = GROUPS[letterNumber(group.letter) % GROUPS.length];
  const node = el("span", { class: "badge", title: `${group.kind}: ${group.names.join(", ")}` }, group.letter);
  node.style.background = colour;
  node.style.color = ink(colour);
  return node;
}

function letterNumber(letter) { return [...letter].reduce((n, c) => n * 26 + c.charCodeAt(0) - 64, 0) - 1; }

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** A picture as a file: on paper of its own colour, with its fonts named. */
function saveSvg(name, picture) {
  const copy = picture.cloneNode(true);
  const box = picture.viewBox.baseVal;
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("font-family", "system-ui, sans-serif");
  copy.setAttribute("width", box.width);
  copy.setAttribute("height", box.height);
  copy.prepend(svg("rect", { x: box.x, y: box.y, width: box.width, height: box.height, fill: theme().paper }));
  save(name, "image/svg+xml", new XMLSerializer().serializeToString(copy));
}

function csvCell(value) {
  const text = String(value ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

async function copied(text, button) {
  const area = el("textarea", { class: "offscreen", readonly: true });
  area.value = text;
  document.body.append(area);
  area.select();
  let done = false;
  try { done = document.execCommand("copy"); } catch (error) { done = false; }
  area.remove();
  if (!done && navigator.clipboard) try { await navigator.clipboard.writeText(text); done = true; } catch (error) { done = false; }
  const before = button.textContent;
  button.textContent = done ? "copied" : "cannot copy";
  setTimeout(() => { button.textContent = before; }, 1200);
  button.focus();
}

function shortened(text, most) { return text.length <= most ? text : `${text.slice(0, most - 1)}…`; }
