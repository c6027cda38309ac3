"use strict";
// Shows the panels that the switches select, and draws a figure when it first comes into view.
(() => {
  const form = document.getElementById("switches");
  const panels = [...document.querySelectorAll(".panel")];
  const config = { responsive: true, displaylogo: false, displayModeBar: false };
  const axis = { automargin: true, zeroline: false, fixedrange: true, gridcolor: "rgba(128,128,128,0.3)" };
  const common = {
    template: {},
    margin: { l: 10, r: 12, t: 34, b: 10 },
    font: { family: "system-ui, sans-serif", size: 12 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
  };
  const place = { x: 0, xanchor: "left", y: 0.98, yanchor: "top", font: { size: 14 } };
  const dressed = (layout) => ({
    ...common,
    ...layout,
    title: { ...layout.title, ...place },
    xaxis: { ...axis, ...layout.xaxis },
    yaxis: { ...axis, ...layout.yaxis },
  });

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

  // Scripts and figures are compressed (gzip, base 64); a holder's figures are read when it is shown.
  const unpack = async (script) => {
    const bytes = Uint8Array.from(atob(script.textContent), (one) => one.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };
  const figures = new Map();
  const reading = new Map();
  const read = (holder) => {
    if (!reading.has(holder)) {
      const place = async () => {
        const found = JSON.parse(await unpack(holder.querySelector("script")));
        holder.querySelectorAll(".figure, .map").forEach((box, index) => figures.set(box, found[index]));
      };
      reading.set(holder, place());
    }
    return reading.get(holder);
  };
  const drawFigure = (box, figure) => {
    Plotly.newPlot(box, figure.data.map(unfold), dressed(figure.layout), config);
  };

  const select = (form, label, options) => {
    const box = document.createElement("select");
    options.forEach(([value, text]) => box.add(new Option(text, value)));
    const line = document.createElement("label");
    line.append(`${label} `, box);
    form.append(line);
    return box;
  };
  const unique = (values) => [...new Set(values)];
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  const percent = (share) => `${+(100 * share).toPrecision(3)} %`;

  const drawMap = (box, data) => {
    const controls = document.createElement("form");
    const plot = document.createElement("div");
    plot.className = "figure";
    box.append(controls, plot);
    controls.className = "switches";
    controls.addEventListener("submit", (event) => event.preventDefault());
    const spaces = select(controls, "Space of", data.spaces.map((one, index) => [index, one.name]));
    const ways = select(controls, "chosen by", unique(data.sets.map((one) => one.way)).map((one) => [one, one]));
    const shares = select(controls, "kept", unique(data.sets.map((one) => one.fraction)).map((one) => [one, percent(one)]));
    const colour = (group) => data.colours[group % data.colours.length];
    const symbol = (group) => data.symbols[Math.floor(group / data.colours.length) % data.symbols.length];
    const points = (space, indices, marker) => ({
      type: "scatter",
      mode: "markers",
      showlegend: false,
      x: indices.map((one) => space.x[one]),
      y: indices.map((one) => space.y[one]),
      text: indices.map((one) => escaped(data.groups[data.group[one]])),
      hovertemplate: "%{text}<extra></extra>",
      marker: {
        ...marker,
        color: indices.map((one) => colour(data.group[one])),
        symbol: indices.map((one) => symbol(data.group[one])),
      },
    });
    const draw = () => {
      const space = data.spaces[spaces.value];
      const set = data.sets.find((one) => one.way === ways.value && one.fraction === +shares.value);
      const isChosen = (one) => set && (parseInt(set.mask[one >> 2], 16) >> (3 - (one & 3))) & 1;
      const all = data.group.map((_, index) => index);
      const chosen = all.filter(isChosen);
      const rest = all.filter((one) => !isChosen(one));
      const legend = data.groups.map((name, group) => ({
        type: "scatter",
        mode: "markers",
        name: escaped(name),
        x: [null],
        y: [null],
        marker: { color: colour(group), symbol: symbol(group), size: 9 },
      }));
      const title = set ? `${chosen.length} of ${all.length} chosen by ${escaped(set.way)}` : "nothing is stored for this choice";
      const narrow = plot.clientWidth < 500;
      Plotly.react(
        plot,
        [
          points(space, rest, { size: 5, opacity: 0.45 }),
          points(space, chosen, { size: 10, opacity: 1, line: { width: 1, color: "#555" } }),
          ...legend,
        ],
        dressed({
          title: { text: title },
          height: narrow ? 600 : 560,
          legend: { orientation: "h", y: narrow ? -0.3 : -0.16, x: 0, itemclick: false, itemdoubleclick: false },
          showlegend: true,
          xaxis: { title: { text: `first axis, ${percent(space.shares[0])} of the variance`, standoff: 8 } },
          yaxis: { title: { text: `second axis, ${percent(space.shares[1])}`, standoff: 8 } },
        }),
        config,
      );
    };
    controls.addEventListener("change", draw);
    const own = [...ways.options].find((one) => one.value.startsWith(`${data.spaces[0].name} · `));
    if (own) ways.value = own.value;
    if (shares.options.length > 1) shares.selectedIndex = 1;
    draw();
  };

  const draw = (box) => {
    if (box.dataset.drawn || !figures.has(box) || !window.Plotly) return;
    box.dataset.drawn = "yes";
    if (box.classList.contains("map")) drawMap(box, figures.get(box));
    else drawFigure(box, figures.get(box));
  };
  const boxes = document.querySelectorAll(".figure, .map");
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          watcher.unobserve(entry.target);
          read(entry.target.parentElement).then(() => draw(entry.target));
        }
      }
    },
    { rootMargin: "600px" },
  );
  const show = () => {
    for (const panel of panels) {
      panel.hidden = ["dataset", "metric", "split"].some((name) => {
        const wanted = form.elements[name].value;
        return wanted !== "" && name in panel.dataset && panel.dataset[name] !== wanted;
      });
      if (!panel.hidden) panel.querySelectorAll(".figures").forEach(read);
    }
  };
  form.hidden = false;
  form.addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((one) => (one.open = true));
    boxes.forEach((box) => box.closest(".panel").hidden || draw(box));
    // On paper a drawing keeps the width that it has here: tell the style sheet.
    document.querySelectorAll(".figure").forEach((box) => {
      if (box._fullLayout) box.style.setProperty("--drawn", `${box._fullLayout.width}px`);
    });
  });
  if (!("DecompressionStream" in window)) {
    boxes.forEach((box) => (box.textContent = "This figure needs a browser of 2023 or later."));
    return;
  }
  show();
  unpack(document.getElementById("plotly")).then((code) => {
    const script = document.createElement("script");
    script.textContent = code;
    document.head.append(script);
    boxes.forEach((box) => watcher.observe(box));
  });
})();
