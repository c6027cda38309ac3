// Drawings and tables of what lies behind one cell: curves over repeats, parity, bars beside those of random.

const behind = (() => {
  const MINE = "#0072B2";
  const RANDOM = "#808080";
  const mean = (values) => {
    const known = values.filter((one) => one !== null && one !== undefined);
    return known.length ? known.reduce((sum, one) => sum + one, 0) / known.length : null;
  };
  const legend = { showlegend: true, legend: { orientation: "h", x: 0, y: -0.25 } };

  const line = (x, y, name, style) => ({ type: "scatter", mode: "lines+markers", x, y, name: escaped(name), ...style });
  const trace = (x, y, name, colour, width, more = {}) => line(x, y, name, { line: { color: colour, width }, marker: { size: width > 2 ? 8 : 4, color: colour }, ...more });

  /** Draw each repeat of a way as a thin line, their mean as a bold one; random grey, other ways faint. */
  const curves = (known, outcome, way, fraction) => {
    const ways = known.outcomes[outcome.key];
    const sizes = (name) => known.sizes[name];
    const means = (name) => known.fractions.map((_, at) => mean(ways[name].values.map((run) => run[at])));
    const tip = `%{x} configurations<br>%{y:.3g} ${outcome.unit}`;
    const runs = (name, colour) =>
      ways[name].values.map((values, at) => trace(sizes(name), values, `${name}, ${ways[name].runs[at]}`, colour, 1, { opacity: 0.55, showlegend: false, hovertemplate: tip }));
    const bold = (name, colour, legend) => trace(sizes(name), means(name), legend, colour, 3, { hovertemplate: tip });
    const base = baseOf(Object.keys(ways), way);
    const others = Object.keys(ways).filter((one) => one !== way && one !== base);
    const at = known.fractions.indexOf(fraction);
    const level = ways[way] ? means(way)[at] : null;
    const mark = { type: "scatter", mode: "markers", x: [sizes(way)?.[at]], y: [level], marker: { size: 16, symbol: "circle-open", color: MINE, line: { width: 3 } }, hoverinfo: "skip", showlegend: false };
    return {
      data: [
        ...others.map((one) => line(sizes(one), means(one), one, { mode: "lines", line: { color: "rgba(128,128,128,0.35)", width: 1 }, showlegend: false, hovertemplate: tip })),
        ...(base ? [...runs(base, RANDOM), bold(base, RANDOM, "random, mean")] : []),
        ...(ways[way] && way !== base ? [...runs(way, MINE), bold(way, MINE, `${way}, mean`)] : []),
        ...(level === null ? [] : [mark]),
      ],
      layout: {
        height: 340,
        margin: { l: 10, r: 12, t: 8, b: 10 },
        ...legend,
        xaxis: { type: "log", title: { text: "configurations kept", standoff: 6 }, ...plain(known.fractions.flatMap((_, one) => sizes(way)?.[one] ?? [])) },
        yaxis: { type: "log", title: { text: `${outcome.label} (${outcome.unit})`, standoff: 6 }, ...logTicks(Object.keys(ways).flatMap(means)) },
      },
    };
  };
  const plain = (values) => ({ tickvals: unique(values), ticktext: unique(values).map((one) => `${Math.round(one)}`) });

  const square = (title, unit, ends) => ({
    title: { text: title },
    height: 330,
    shapes: [{ type: "line", x0: ends[0], y0: ends[0], x1: ends[1], y1: ends[1], layer: "below", line: { color: RANDOM, width: 1.5, dash: "dot" } }],
    xaxis: { title: { text: `label (${unit})`, standoff: 6 }, nticks: 6 },
    yaxis: { title: { text: `model (${unit})`, standoff: 6 }, nticks: 6 },
  });

  /** Draw predicted energies against labels; a click on a point opens its frame. */
  const energies = (dataset, labels, fit, random) => {
    const x = labels.labels.map((one) => one / 1e4);
    const points = (known, name, colour, opacity) => ({
      type: "scatter",
      mode: "markers",
      name: escaped(name),
      x,
      y: x.map((one, at) => (known.errors[at] === null ? null : one + known.errors[at] / 1e3)),
      text: known.errors.map((one) => `${short(one)} meV/atom off`),
      customdata: labels.frames,
      meta: { frames: dataset },
      marker: { size: 6, color: colour, opacity },
      hovertemplate: "frame %{customdata}<br>label %{x:.4f} eV/atom<br>%{text}",
    });
    const ends = [Math.min(...x), Math.max(...x)];
    const data = [...(random ? [points(random, "random", RANDOM, 0.45)] : []), points(fit, "this cell", MINE, 0.75)];
    return { data, layout: { ...square(`Energy of ${x.length} of ${labels.n} frames`, "eV/atom", ends), ...legend } };
  };

  /** Draw the histogram of force components, label against prediction. */
  const forces = (labels, fit) => {
    const [low, high] = labels.ends;
    const width = (high - low) / labels.side;
    let index = 0;
    const heat = {
      type: "heatmap",
      x0: low + width / 2,
      y0: low + width / 2,
      dx: width,
      dy: width,
      filled: fit.filled.map((step) => (index += step)),
      counts: fit.counts,
      n: labels.side,
      colorscale: [[0, "#9ECAE1"], [0.5, "#3182BD"], [1, "#08306B"]],
      showscale: false,
      hovertemplate: "label %{x:.2f}<br>model %{y:.2f} eV/Å<br>%{text} components<extra></extra>",
    };
    const beyond = fit.beyond ? `, ${fit.beyond} beyond` : "";
    return { data: [heat], layout: square(`Forces: ${3 * labels.atoms} components${beyond}`, "eV/Å", labels.ends) };
  };

  const headed = (caption, names, rows) =>
    element(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      element(
        "table",
        { class: "behind" },
        element("caption", {}, caption),
        element("thead", {}, element("tr", {}, ...names.map((name) => name ? element("th", { scope: "col" }, name) : element("td")))),
        element("tbody", {}, ...rows.map(([name, ...rest]) => element("tr", {}, element("th", { scope: "row" }, `${name}`), ...rest.map((one) => (one instanceof Node ? one : element("td", {}, `${one}`)))))),
      ),
    );

  /** Two bars, one above the other: this cell's and random's (or the pool's), of what is largest. */
  const bars = (mine, other, largest) => {
    const bar = (kind, value) => element("i", { class: kind, style: `width: ${value > 0 ? Math.min(100, (100 * value) / largest).toFixed(1) : 0}%` });
    return element("td", { class: "bars", "aria-hidden": "true" }, bar("mine", mine), bar("other", other));
  };

  /** A table of rows `[name, size, mine, other]` with bars; `size` counts what a row is of. */
  const compared = (caption, [first, size, other, unit], rows, ratio = true) => {
    const largest = Math.max(...rows.flatMap(([, , one, two]) => [one ?? 0, two ?? 0]), 1e-12);
    const names = [first, size, "this cell", other, ...(ratio ? ["ratio"] : []), ""];
    const cells = rows.map(([name, n, one, two]) => {
      const share = ratio ? [one > 0 && two > 0 ? (one / two).toFixed(2) : "–"] : [];
      return [name, n === null ? "–" : short(n), short(one), short(two), ...share, bars(one, two, largest)];
    });
    return headed(`${caption} (${unit})`, names.filter((one, at) => at !== 1 || size), size ? cells : cells.map(([name, , ...rest]) => [name, ...rest]));
  };

  return { curves, energies, forces, headed, compared, mean };
})();
