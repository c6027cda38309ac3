// The map of a latent space: which configurations each way of choosing took.

/** Draw the map of `known` (see reports/drawing/evidence.py) with its switches into a box. */
const drawMap = (box, known) => {
  const controls = element("form", { class: "switches", onsubmit: (event) => event.preventDefault() });
  const canvas = element("div", { class: "figure" });
  box.append(controls, canvas);
  const ways = unique(known.sets.map((one) => one.way));
  const shares = unique(known.sets.map((one) => one.fraction));
  const space = labelledSelect(controls, "Space of", known.spaces.map((one, index) => [index, one.name]));
  const way = labelledSelect(controls, "chosen by", ways.map((one) => [one, one]));
  const share = labelledSelect(controls, "kept", shares.map((one) => [one, percent(one)]));
  const colour = (group) => known.colours[group % known.colours.length];
  const symbol = (group) => known.symbols[Math.floor(group / known.colours.length) % known.symbols.length];

  const points = (axes, indices, marker) => ({
    type: "scatter",
    mode: "markers",
    showlegend: false,
    x: indices.map((one) => axes.x[one]),
    y: indices.map((one) => axes.y[one]),
    text: indices.map((one) => escaped(known.groups[known.group[one]])),
    customdata: indices.map((one) => known.frames[one]),
    meta: { frames: known.dataset },
    hovertemplate: "%{text}, frame %{customdata}<extra></extra>",
    marker: {
      ...marker,
      color: indices.map((one) => colour(known.group[one])),
      symbol: indices.map((one) => symbol(known.group[one])),
    },
  });
  const legend = known.groups.map((name, group) => ({
    type: "scatter",
    mode: "markers",
    name: escaped(name),
    x: [null],
    y: [null],
    marker: { color: colour(group), symbol: symbol(group), size: 9 },
  }));

  /** A ring around the frame whose structure is open. */
  const opened = (axes) => {
    const [dataset, index] = structure.named();
    const place = dataset === known.dataset ? known.frames.indexOf(index) : -1;
    const marker = { size: 20, symbol: "circle-open", line: { width: 3 }, color: "#D55E00" };
    return place < 0 ? [] : [{ type: "scatter", mode: "markers", showlegend: false, hoverinfo: "skip", x: [axes.x[place]], y: [axes.y[place]], marker }];
  };

  /** A field for the number of a frame: what a click on its point does, by keyboard. */
  const addField = () => {
    const field = element("input", { type: "number", min: known.frames[0], max: known.frames.at(-1), step: "1", placeholder: known.frames[0] });
    const go = () => field.value && structure.open(known.dataset, +field.value);
    field.addEventListener("change", (event) => event.stopPropagation()); // nothing else to draw
    controls.addEventListener("submit", go);
    controls.append(element("label", {}, "frame ", field), element("button", { type: "submit" }, "Show structure"));
  };

  const draw = async () => {
    const axes = known.spaces[space.value];
    const set = known.sets.find((one) => one.way === way.value && one.fraction === +share.value);
    const isChosen = (one) => set && (parseInt(set.mask[one >> 2], 16) >> (3 - (one & 3))) & 1;
    const all = known.group.map((_, index) => index);
    const chosen = all.filter(isChosen);
    const narrow = canvas.clientWidth < 500;
    const title = set
      ? `${chosen.length} of ${all.length} chosen by ${escaped(set.way)}`
      : "nothing is stored for this choice";
    await plot(canvas, {
      data: [
        points(axes, all.filter((one) => !isChosen(one)), { size: 5, opacity: 0.45 }),
        points(axes, chosen, { size: 10, opacity: 1, line: { width: 1, color: "#555" } }),
        ...opened(axes),
        ...legend,
      ],
      layout: {
        title: { text: title },
        height: narrow ? 600 : 560,
        legend: { orientation: "h", y: narrow ? -0.3 : -0.16, x: 0, itemclick: false, itemdoubleclick: false },
        showlegend: true,
        xaxis: { title: { text: `first axis, ${percent(axes.shares[0])} of the variance`, standoff: 8 } },
        yaxis: { title: { text: `second axis, ${percent(axes.shares[1])}`, standoff: 8 } },
      },
    }, `map-${axes.name}`);
  };
  addField();
  controls.addEventListener("change", draw);
  state.listen((changed) => changed.has("frame") && draw());
  const own = [...way.options].find((one) => one.value.startsWith(`${known.spaces[0].name} · `));
  if (own) way.value = own.value;
  if (share.options.length > 1) share.selectedIndex = 1;
  draw();
};
