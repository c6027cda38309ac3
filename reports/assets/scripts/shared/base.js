// What all scripts of the page share. They are joined in the order of `SCRIPTS` in reports/embedding.py.

const unique = (values) => [...new Set(values)];
const percent = (share) => `${+(100 * share).toPrecision(3)} %`;

/** Say whether a way of choosing is the random base line, of whatever budget. */
const isRandom = (way) => way.split(" · ").pop().split(", ")[0] === "random";

/** Return the random way that has the budget and the mask of another, or undefined. */
const baseOf = (ways, way) => {
  const labels = (one) => one.split(", ").slice(1);
  const bases = ways.filter(isRandom);
  const told = labels(way).filter((label) => bases.some((one) => labels(one).includes(label)));
  return bases.find((one) => `${labels(one)}` === `${told}`);
};

/** Write a number with three digits, – for none. */
const short = (value) => {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size && (size >= 1e5 || size < 1e-3) ? value.toExponential(1) : `${+value.toPrecision(3)}`;
};

/** Make text safe inside plotly's labels, which read some HTML. */
const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;");

/** Make an element: `element("td", { class: "own" }, "0.93", another)`. */
const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === undefined || value === null) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((one) => one !== null && one !== undefined));
  return made;
};

/** Make a labelled select of `[value, text]` pairs and put it into a form. */
const labelledSelect = (form, label, options) => {
  const box = element("select");
  options.forEach(([value, text]) => box.add(new Option(text, value)));
  form.append(element("label", {}, `${label} `, box));
  return box;
};

// Data, scripts and figures are compressed (gzip, base 64).
const canUnpack = "DecompressionStream" in window;
const unpack = async (script) => {
  const bytes = Uint8Array.from(atob(script.textContent), (one) => one.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
};

const remembered = (make) => {
  const known = new Map();
  return (key) => {
    if (!known.has(key)) known.set(key, make(key));
    return known.get(key);
  };
};

/** Return a promise of the data that `<script data-name="…">` holds; null if the page has none. */
const data = remembered(async (name) => {
  const script = [...document.querySelectorAll("script[data-name]")].find((one) => one.dataset.name === name);
  return script && canUnpack ? JSON.parse(await unpack(script)) : null;
});

/** Run a library that `<script data-library="…">` holds, once, when it is first needed. */
const library = remembered(async (name) => {
  const code = await unpack(document.querySelector(`script[data-library="${name}"]`));
  document.head.append(element("script", {}, code));
});
