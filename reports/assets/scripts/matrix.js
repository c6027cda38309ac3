// The first screen: the matrix chooser × model as a picture, and the learning curves of the cell that is chosen.

const matrix = (() => {
  const WORDS = {
    lower: "lower",
    higher: "higher",
    "none found": "no difference found",
    "too few seeds": "undecided, too few repeats",
    "needs pools": "undecided, only pools can tell",
    "all alike": "all alike",
    "no pairs": "nothing to compare",
  };
  const LEAST_SPAN = Math.log2(1.1); // noise is not painted as an effect
  const MOST_SPAN = 1; // beyond a factor of two all colours are alike, and the cell says so
  const OUTLYING = 4; // times the middle one
  const MOST_TINT = 60;
  const ratioText = (ratio) => (ratio >= 10 ? `${+ratio.toPrecision(2)}` : ratio.toFixed(2));

  /** Return the picture that the switches ask for, or null. */
  const pictureOf = (known, now) => known?.[now.outcome]?.sets[now.dataset]?.[now.fraction] ?? null;

  /** Return where colours end, as |log₂ ratio|: at the largest ratio that is none of a few outliers. */
  const spanOf = (picture) => {
    const sizes = picture.ratio.flat().filter((one) => one > 0).map((one) => Math.abs(Math.log2(one)));
    sizes.sort((one, other) => one - other);
    const limit = OUTLYING * (sizes[Math.floor(sizes.length / 2)] ?? 0);
    const most = sizes.filter((one) => one <= limit).pop() ?? 0;
    return Math.min(Math.max(most, LEAST_SPAN), MOST_SPAN);
  };

  const isSure = (verdict) => verdict === "lower" || verdict === "higher";
  const isGain = (outcome, ratio) => (outcome.better === "lower" ? ratio < 1 : ratio > 1);

  /** Say in words what a cell shows: the label of its button, and the line beside the curve. */
  const sentence = (outcome, picture, row, column) => {
    const at = (name) => picture[name][row][column];
    if (at("ratio") === null) return "no result, or none of random to compare it with";
    const sure = at("low") === null ? "" : `, 95 % interval ${short(at("low"))} to ${short(at("high"))}`;
    const lost = at("missing") ? `, ${at("missing")} lost` : "";
    const found = isSure(at("verdict")) ? `${at("verdict")} ${outcome.noun}` : WORDS[at("verdict")];
    return `${short(at("ratio"))} × random${sure}: ${found} (${at("pairs")} ${at("pairs") === 1 ? "pair" : "pairs"}${lost})`;
  };

  const cell = (outcome, picture, span, row, column) => {
    const [way, model] = [picture.ways[row], picture.models[column]];
    const [ratio, value] = [picture.ratio[row][column], picture.value[row][column]];
    if (isRandom(way)) return element("td", { class: "base" }, value === null ? "–" : short(value));
    const own = picture.own[row][column] === 1;
    const said = `data chosen by ${way}, model ${model}${own ? ", its own descriptor" : ""}: `;
    const attributes = { "data-way": way, "data-model": model, type: "button" };
    const label = said + sentence(outcome, picture, row, column);
    if (ratio === null) return element("td", { class: own && "own" }, element("button", { ...attributes, "aria-label": label }, "–"));
    const size = Math.abs(Math.log2(ratio)) / span;
    const sure = isSure(picture.verdict[row][column]);
    const kinds = [isGain(outcome, ratio) ? "gain" : "loss", own && "own", sure && "certain", size > 1.001 && "beyond"];
    const tint = Math.round(MOST_TINT * Math.min(size, 1) * (sure ? 1 : 0.45));
    const shown = `${ratioText(ratio)}${sure ? "*" : ""}`;
    return element(
      "td",
      { class: kinds.filter(Boolean).join(" "), style: `--tint: ${tint}%` },
      element("button", { ...attributes, "aria-label": label, title: label }, shown, size > 1.001 ? element("i", { "aria-hidden": "true" }, ratio > 1 ? "▲" : "▼") : null),
    );
  };

  const legend = (outcome, span) => {
    const ends = [2 ** -span, 2 ** span].map((one) => one.toFixed(2));
    const [left, right] = outcome.better === "lower" ? ["gain", "loss"] : ["loss", "gain"];
    return element(
      "p",
      { class: "legend" },
      element("span", { class: `bar ${left} ${right}-right` }, `${ends[0]}`, element("b", {}, "1"), `${ends[1]}`),
      `ratio to random; blue is better. `,
      element("b", {}, "*"),
      ` the 95 % interval excludes 1 (all cells of the picture together); pale: it does not. `,
      element("b", { class: "framed" }, "framed"),
      ` the model’s own descriptor. ▲▼ beyond the scale. Means over repeats are geometric.`,
    );
  };

  const table = (outcome, picture, now) => {
    const span = spanOf(picture);
    const head = element("tr", {}, element("th", { scope: "col" }, "chosen by ↓  model →"));
    picture.models.forEach((model) => head.append(element("th", { scope: "col" }, model)));
    const rows = picture.ways.map((way, row) => {
      const name = isRandom(way) ? `${way}, mean (${outcome.unit})` : way;
      const line = element("tr", {}, element("th", { scope: "row" }, name));
      picture.models.forEach((_, column) => line.append(cell(outcome, picture, span, row, column)));
      return line;
    });
    const title = `${view.now().text}: ratio to random data, ${percent(+view.now().fraction)} kept`;
    const label = `${title}, ${now.dataset}, ${percent(+now.fraction)} kept`;
    const [top, body] = [element("thead", {}, head), element("tbody", {}, ...rows)];
    const made = element("table", { class: "matrix", "aria-label": label }, top, body);
    const scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Matrix" }, made);
    const tools = "popover" in made && element("div", { class: "tools" }, tables.saving(made, "matrix"));
    return [element("h3", {}, title), scroll, legend(outcome, span), tools || ""];
  };

  /** Return the cell that the address names, or the first model on its own data, or the first that there is. */
  const chosen = (picture) => {
    const named = [picture.ways.indexOf(state.get("way")), picture.models.indexOf(state.get("model"))];
    if (named[0] >= 0 && named[1] >= 0 && !isRandom(picture.ways[named[0]])) return named;
    const all = picture.ways.flatMap((way, row) => (isRandom(way) ? [] : picture.models.map((_, column) => [row, column])));
    return all.find(([row, column]) => picture.own[row][column]) ?? all[0] ?? null;
  };

  const FAINT = { mode: "lines", line: { color: "rgba(128,128,128,0.45)", width: 1 } };
  const LINE = { random: { color: "#808080", width: 3 } };
  const curve = (outcome, lines, way, fraction) => {
    const trace = (name, style) => ({
      type: "scatter",
      mode: "lines+markers",
      name: escaped(name),
      x: lines[name].x.map((one) => 100 * one),
      y: lines[name].y,
      text: lines[name].n.map((one) => (one === null ? "" : `${Math.round(one)} configurations<br>`)),
      hovertemplate: `%{x:.3g} %<br>%{text}%{y:.3g} ${outcome.unit}`,
      ...style,
    });
    const bars = (name) => ({ array: lines[name].e.map((one) => one ?? 0), thickness: 1.2, width: 3 });
    const names = Object.keys(lines);
    const faint = names.filter((one) => one !== way && !isRandom(one));
    const bold = names.filter((one) => one === way);
    return {
      data: [
        ...faint.map((one, at) => trace(one, { ...FAINT, name: "other choosers", legendgroup: "others", showlegend: at === 0 })),
        ...names.filter(isRandom).map((one) => trace(one, { line: LINE.random, marker: { symbol: "circle-open", size: 8 }, error_y: bars(one) })),
        ...bold.map((one) => trace(one, { line: { color: "#0072B2", width: 3 }, marker: { size: 8 }, error_y: bars(one) })),
      ],
      layout: {
        height: 330,
        margin: { l: 10, r: 12, t: 8, b: 10 },
        showlegend: true,
        legend: { orientation: "h", x: 0, y: 1.12 },
        xaxis: { type: "log", title: { text: "% of the pool kept", standoff: 6 }, ...ticks(lines) },
        yaxis: { type: "log", title: { text: `${outcome.label} (${outcome.unit})`, standoff: 6 }, ...logTicks(Object.values(lines).flatMap((one) => one.y)) },
        shapes: [{ type: "line", x0: 100 * fraction, x1: 100 * fraction, yref: "paper", y0: 0, y1: 1, line: { color: "#808080", width: 1, dash: "dot" } }],
      },
    };
  };
  const ticks = (lines) => {
    const shares = unique(Object.values(lines).flatMap((one) => one.x)).sort((one, other) => one - other);
    return { tickvals: shares.map((one) => 100 * one), ticktext: shares.map((one) => `${+(100 * one).toPrecision(3)}`) };
  };

  const place = document.getElementById("picture");
  const beside = document.getElementById("beside");

  /** Draw the learning curves of the chosen cell, and say what it shows. */
  const drawBeside = async (outcome, picture, now) => {
    const [row, column] = chosen(picture) ?? [];
    place.querySelectorAll("button").forEach((one) => one.setAttribute("aria-pressed", `${one.dataset.way === picture.ways[row] && one.dataset.model === picture.models[column]}`));
    if (row === undefined) return beside.replaceChildren();
    const [way, model] = [picture.ways[row], picture.models[column]];
    const canvas = element("div", { class: "figure" });
    const open = element("button", { type: "button", class: "open", onclick: () => state.set({ way, model, open: "cell" }, { step: true }) }, "Open this cell: parity, groups, properties, runs");
    beside.replaceChildren(
      element("h3", {}, `${model} on data chosen by ${way}`),
      element("p", {}, `${percent(+now.fraction)} kept: ${sentence(outcome, picture, row, column)}`),
      canvas,
      element("p", { class: "note" }, "Bars: one standard error over repeats, of each curve by itself; the interval above is of their ratio."),
      open,
    );
    const lines = (await data("curves"))?.[now.outcome]?.[now.dataset]?.[model];
    if (lines?.[way]) await plot(canvas, curve(outcome, lines, way, +now.fraction), `curve-${model}-${way}`);
  };

  const draw = async () => {
    if (!place) return;
    const now = view.now();
    const known = await data("matrix");
    const picture = pictureOf(known, now);
    if (!picture) {
      beside.replaceChildren();
      place.replaceChildren(element("p", { class: "notice" }, "Nothing to compare here: no cell of this data set, outcome and fraction has a result beside random."));
      return;
    }
    place.replaceChildren(...table(known[now.outcome], picture, now));
    await drawBeside(known[now.outcome], picture, now);
  };

  /** One click chooses a cell, a click on the chosen cell opens it. */
  const click = (event) => {
    const button = event.target.closest("button[data-way]");
    if (!button) return;
    const { way, model } = button.dataset;
    const again = button.getAttribute("aria-pressed") === "true";
    if (again) state.set({ way, model, open: "cell" }, { step: true });
    else state.set({ way, model });
  };

  const start = () => {
    place?.addEventListener("click", click);
    draw();
  };
  const follow = async (changed) => {
    if (["dataset", "outcome", "fraction"].some((name) => changed.has(name))) return draw();
    if (!changed.has("way") && !changed.has("model")) return null;
    const now = view.now();
    const known = await data("matrix");
    const picture = pictureOf(known, now);
    return picture && drawBeside(known[now.outcome], picture, now);
  };
  return { start, follow };
})();
