// The structure behind a point: its numbers, and its atoms with cell and forces, which 3Dmol draws.

const structure = (() => {
  const ARROW = 2; // Å that the largest force is long
  const FORCE = "#D6006C"; // no element's colour
  const STEP = 15; // degrees that an arrow key turns
  const sides = [[0, 1], [2, 3], [4, 5], [6, 7], [0, 2], [1, 3], [4, 6], [5, 7], [0, 4], [1, 5], [2, 6], [3, 7]];
  const box = element("dialog", { id: "structure", "aria-labelledby": "structure-title" });
  let before = null; // what had the focus

  /** Return the frames of a data set, as switches call it, or null. */
  const framesOf = async (name) => {
    const source = (await data("cells"))?.sets[name] ?? name;
    return data(`frames/${source}`);
  };
  const open = (dataset, index) => state.set({ frame: `${dataset}/${index}` }, { step: true });
  const close = () => state.set({ frame: null }, { step: true });
  const named = () => {
    const text = state.get("frame");
    const cut = text.lastIndexOf("/");
    return [text.slice(0, cut), Number(text.slice(cut + 1))];
  };

  /** Say who chose a frame at the fraction that the switches show (or at any), and who did not. */
  const choiceOf = (known, place) => {
    if (known.parts[known.part[place]] !== "train") return `nobody can: it is in the part ${known.parts[known.part[place]]}`;
    const { fraction } = view.now();
    const has = (mask) => (parseInt(mask[place >> 2], 16) >> (3 - (place & 3))) & 1;
    const ways = Object.entries(known.chosen).flatMap(([way, shares]) =>
      Object.entries(shares).filter(([share]) => !fraction || share === fraction).map(([share, mask]) => [fraction ? way : `${way} at ${percent(+share)}`, mask]),
    );
    if (!ways.length) return "not known: the choices of this run are not stored, or none is of this fraction";
    const took = ways.filter(([, mask]) => has(mask)).map(([way]) => way);
    const left = ways.filter(([, mask]) => !has(mask)).map(([way]) => way);
    return [took.length ? `by ${took.join(", ")}` : "by nobody", left.length ? `; not by ${left.join(", ")}` : ""].join("");
  };
  const facts = (known, place) => {
    const part = known.parts[known.part[place]];
    const files = known.files[part] ?? [];
    const share = view.now().fraction;
    return [
      ["group", known.groups[known.group[place]]],
      ["part", part],
      ["file", files.length ? files.join(", ") : "not known: neither a card nor the study says"],
      ["atoms", known.size[place]],
      ["energy", `${(known.energy[place] / 1e4).toFixed(4)} eV/atom`],
      ["largest force", `${known.force[place]} eV/Å`],
      [share ? `chosen at ${percent(+share)}` : "chosen", choiceOf(known, place)],
    ];
  };

  const corners = (cell) =>
    Array.from({ length: 8 }, (_, at) =>
      [0, 1, 2].map((one) => [4, 2, 1].reduce((sum, bit, axis) => sum + (at & bit ? cell[3 * axis + one] : 0), 0)),
    );
  const point = ([x, y, z]) => ({ x, y, z });
  const triple = (values, at) => [0, 1, 2].map((one) => values[3 * at + one] / 1000);

  /** Put atoms, cell and forces into a viewer. */
  const fill = (viewer, atoms, symbols) => {
    const n = atoms.positions.length / 3;
    const symbol = (at) => symbols[atoms.elements[atoms.elements.length === 1 ? 0 : at]];
    const lines = Array.from({ length: n }, (_, at) => `${symbol(at)} ${triple(atoms.positions, at).join(" ")}`);
    viewer.addModel([n, "", ...lines].join("\n"), "xyz");
    viewer.setStyle({}, { sphere: { scale: 0.2 }, stick: { radius: 0.08 } });
    if (atoms.cell.length) {
      const edges = viewer.addShape({ color: "#808080" });
      const ends = corners(atoms.cell).map(point);
      sides.forEach(([from, to]) => edges.addCylinder({ start: ends[from], end: ends[to], radius: 0.035 }));
    }
    const lengths = Array.from({ length: n }, (_, at) => Math.hypot(...triple(atoms.forces, at)));
    const largest = Math.max(...lengths);
    const arrows = viewer.addShape({ color: FORCE });
    lengths.forEach((length, at) => {
      if (length < 0.02 * largest || largest < 1e-3) return; // shorter than the sphere
      const start = triple(atoms.positions, at);
      const end = triple(atoms.forces, at).map((one, axis) => start[axis] + (ARROW * one) / largest);
      arrows.addArrow({ start: point(start), end: point(end), radius: 0.1, radiusRatio: 2.2, mid: 0.7 });
    });
    viewer.setView([0, 0, 0, 0, 0, 0, 0, 1]);
    viewer.rotate(-25, "y");
    viewer.rotate(15, "x");
    viewer.zoomTo();
    viewer.render();
    return largest;
  };

  const turns = { ArrowLeft: ["y", -STEP], ArrowRight: ["y", STEP], ArrowUp: ["x", -STEP], ArrowDown: ["x", STEP] };
  const steer = (viewer) => (event) => {
    if (event.key in turns) viewer.rotate(turns[event.key][1], turns[event.key][0]);
    else if ("+-".includes(event.key)) viewer.zoom(event.key === "+" ? 1.2 : 1 / 1.2);
    else return;
    event.preventDefault();
    viewer.render();
  };
  const hasWebgl = remembered(() => {
    const canvas = document.createElement("canvas");
    return Boolean(canvas.getContext("webgl2") ?? canvas.getContext("webgl"));
  });
  // One viewer for all structures: a browser has few contexts for such drawings.
  const viewerIn = remembered(async (canvas) => {
    await library("3dmol");
    const viewer = $3Dmol.createViewer(canvas, { backgroundColor: "white", backgroundAlpha: 0 });
    viewer.divwatcher?.disconnect(); // it would draw into no area when the pane closes
    canvas.addEventListener("keydown", steer(viewer));
    return viewer;
  });
  const canvas = element("div", { class: "viewer", tabindex: "0", role: "img", "aria-label": "The structure; arrow keys turn it, + and − zoom" });

  // Where it is while nothing shows it: with an area, for it draws whenever the window changes.
  const parking = element("div", { class: "parking", "aria-hidden": "true" });
  const park = () => canvas.isConnected && parking.append(canvas);

  /** Draw a structure into a place, or say why there is none. */
  const draw = async (place, atoms, known) => {
    if (!atoms) {
      const drawn = known.atoms.filter(Boolean).length;
      return place.append(element("p", { class: "notice" }, `The page has room for the atoms of ${drawn} of ${known.atoms.length} frames, drawn at random; this is none of them. The data set has all.`));
    }
    if (!hasWebgl()) return place.append(element("p", { class: "notice" }, "This browser has no WebGL, which draws the atoms; the numbers are all there."));
    place.append(canvas);
    const viewer = await viewerIn(canvas);
    viewer.clear();
    viewer.resize();
    const largest = fill(viewer, atoms, known.symbols);
    const first = viewer.getView();
    const axes = ["a", "b", "c"].filter((_, at) => atoms.periodic[at]);
    const periodic = axes.length ? `Periodic along ${axes.join(", ")}` : "Not periodic";
    const forces = largest < 1e-3 ? "all forces are below 0.001 eV/Å" : `arrows are the labelled forces, the longest ${largest.toFixed(2)} eV/Å`;
    const reset = element("button", { type: "button", onclick: () => viewer.setView(first) }, "Reset view");
    return place.append(element("p", { class: "note" }, `${periodic}; ${forces}. Drag or arrow keys turn, wheel or + and − zoom. `, reset));
  };

  const neighbour = (dataset, known, place, step, label) => {
    const next = known.index[place + step];
    return element("button", { type: "button", disabled: next === undefined, "data-frame": step, onclick: () => open(dataset, next) }, label);
  };

  const fillBox = async () => {
    park();
    const [dataset, index] = named();
    const known = await framesOf(dataset);
    const place = known?.index.indexOf(index) ?? -1;
    const shut = element("button", { type: "button", class: "close", "aria-label": "Close the structure", onclick: close }, "×");
    const title = element("h2", { id: "structure-title" }, `Frame ${index} of ${dataset}`);
    if (place < 0) {
      const why = known ? `The page has ${known.index.length} frames of ${dataset}, those on its maps and parity plots, and ${index} is none of them.` : `The page has no frames of ${dataset}: its store does not hold the data set.`;
      return box.replaceChildren(shut, title, element("p", { class: "notice" }, why));
    }
    const rows = facts(known, place).map(([name, text]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, `${text}`)));
    const picture = element("div");
    const steps = element("p", { class: "steps" }, neighbour(dataset, known, place, -1, "← previous frame"), neighbour(dataset, known, place, 1, "next frame →"));
    box.replaceChildren(shut, title, picture, element("table", { class: "facts" }, element("tbody", {}, ...rows)), steps);
    return draw(picture, known.atoms[place], known);
  };

  /** Let the pane follow the address; above an open cell it is part of that, since all else is out of reach. */
  const follow = async () => {
    if (!state.get("frame")) {
      park();
      if (box.open) box.close();
      before?.focus();
      before = null;
      return;
    }
    const host = document.querySelector("dialog#cell[open]") ?? document.body;
    const step = box.contains(document.activeElement) ? document.activeElement.dataset.frame : null;
    if (!parking.isConnected) document.body.append(parking);
    if (box.parentElement !== host) host.append(box);
    if (!box.open) {
      before = document.activeElement;
      box.show();
    }
    await fillBox();
    (box.querySelector(`[data-frame="${step}"]:not([disabled])`) ?? box.querySelector(".close")).focus();
  };

  /** Open the frame behind a point that is clicked, where a trace says which frames its points are. */
  const listenTo = (plotted) => {
    if (plotted.dataset.listens || !plotted.on) return;
    plotted.dataset.listens = "yes";
    plotted.on("plotly_click", ({ points: [first] }) => {
      const dataset = first.data.meta?.frames;
      if (dataset !== undefined && first.customdata !== undefined) open(dataset, first.customdata);
    });
  };

  const start = () => {
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault(); // a cell below stays open
      event.stopPropagation();
      close();
    });
    state.listen((changed) => changed.has("frame") && follow());
    if (state.get("frame")) follow();
  };
  return { start, open, listenTo, framesOf, named };
})();
