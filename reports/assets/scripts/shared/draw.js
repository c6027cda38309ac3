// Figures: plotly's own, dressed alike, drawn when they first come into view.

const config = (name) => ({
  responsive: true,
  displaylogo: false,
  modeBarButtons: [
    ["zoom2d", "pan2d", "select2d", "resetScale2d"],
    ["svg", "png"].map((format) => ({
      name: `Save as ${format.toUpperCase()}`,
      icon: Plotly.Icons[format === "svg" ? "disk" : "camera"],
      click: (box) => save(box, format, name),
    })),
  ],
});
const axis = { automargin: true, zeroline: false, gridcolor: "rgba(128,128,128,0.3)" };
const common = {
  template: {},
  margin: { l: 10, r: 12, t: 34, b: 10 },
  font: { family: "system-ui, sans-serif", size: 12 },
  paper_bgcolor: "rgba(0,0,0,0)",
  plot_bgcolor: "rgba(0,0,0,0)",
  dragmode: "zoom",
  modebar: { bgcolor: "rgba(0,0,0,0)", color: "rgba(128,128,128,0.8)", activecolor: "#808080" },
};
const titlePlace = { x: 0, xanchor: "left", y: 0.98, yanchor: "top", font: { size: 14 } };
const dressed = (layout) => ({
  ...common,
  ...layout,
  title: { ...layout.title, ...titlePlace },
  xaxis: { ...axis, ...layout.xaxis },
  yaxis: { ...axis, ...layout.yaxis },
});

/** Return five round ticks of a logarithmic axis, evenly spread over the values. */
const logTicks = (values) => {
  const all = values.filter((one) => one > 0);
  const [low, high] = [Math.log10(Math.min(...all)), Math.log10(Math.max(...all))];
  const places = Array.from({ length: 5 }, (_, at) => low + (at * (high - low)) / 4);
  const tickvals = unique(places.map((one) => +(10 ** one).toPrecision(high - low > 1.5 ? 1 : 2)));
  return { tickvals, ticktext: tickvals.map(short) };
};

/** Save a figure as a file: on white, and with what stands above it on the page. */
const save = async (box, format, name) => {
  const place = box.closest(".panel")?.querySelector("h3")?.textContent ?? "";
  const { margin, title = {} } = box.layout;
  const more = place ? 18 : 0;
  const text = [place && `<sub>${escaped(place)}</sub>`, title.text].filter(Boolean).join("<br>");
  const font = { ...box.layout.font, color: "#1b1f24" };
  const paper = { paper_bgcolor: "white", plot_bgcolor: "white", font, margin: { ...margin, t: margin.t + more } };
  const layout = { ...box.layout, ...paper, title: { ...title, text } };
  const size = { width: box.clientWidth, height: box.clientHeight + more };
  const scale = format === "png" ? 3 : 1;
  const address = await Plotly.toImage({ data: box.data, layout }, { format, ...size, scale });
  download(address, `${fileName([name, place, title.text ?? ""].filter(Boolean).join("-"))}.${format}`);
};

// A histogram comes as its filled bins; rows of a heat-map are its y.
const unfold = (trace) => {
  if (!trace.filled) return trace;
  const { filled, counts, n, ...rest } = trace;
  const square = () => Array.from({ length: n }, () => Array(n).fill(null));
  const [z, text] = [square(), square()];
  filled.forEach((index, at) => {
    const [column, row] = [Math.floor(index / n), index % n];
    z[row][column] = Math.log10(counts[at]);
    text[row][column] = counts[at];
  });
  return { ...rest, z, text, zmin: 0 };
};

/** Draw a figure into a box, or draw it anew; `name` is that of the file that it is saved as. */
const plot = async (box, figure, name = "figure") => {
  await library("plotly");
  await Plotly.react(box, figure.data.map(unfold), dressed(figure.layout), config(name));
  structure.listenTo(box);
};
