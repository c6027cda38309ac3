// One cell of the matrix, opened: what its number rests on, and how to repeat it.

const cell = (() => {
  const N_FARTHEST = 5;
  const KEYS = ["open", "dataset", "outcome", "fraction", "way", "model"];
  const box = element("dialog", { id: "cell", "aria-labelledby": "cell-title" });
  const body = element("div", { class: "body" });
  const note = (text) => element("p", { class: "note" }, text);
  const missing = (text) => element("p", { class: "missing" }, text);
  const section = (title, ...children) => element("section", {}, element("h3", {}, title), ...children);
  const figure = () => element("div", { class: "figure" });

  /** Gather all that is known of the cell that the address names. */
  const gathered = async () => {
    const now = view.now();
    const index = await data("cells");
    const source = index?.sets[now.dataset] ?? now.dataset;
    const [way, model] = [state.get("way"), state.get("model")];
    const [shared, own, matrix] = await Promise.all([data(`set/${source}`), data(`cell/${source}/${model}`), data("matrix")]);
    const outcome = { key: now.outcome, label: now.outcome ?? "", unit: "", noun: "errors", better: "lower", ...matrix?.[now.outcome] };
    const picture = outcome.sets?.[source]?.[now.fraction] ?? outcome.sets?.[now.dataset]?.[now.fraction];
    const [row, column] = [picture?.ways.indexOf(way) ?? -1, picture?.models.indexOf(model) ?? -1];
    const at = (name) => (row < 0 || column < 0 ? null : picture[name][row][column]);
    const base = baseOf(Object.keys(shared?.ways ?? {}), way);
    return { ...now, index, source, way, base, model, shared, own, outcome, at, part: now.outcome?.split(":")[1] || "test" };
  };

  /** Say how far a ratio is from 1: `8.9 % lower`, `3.1 times as high`. */
  const change = (ratio) => {
    if (ratio > 100) return "over 100 times as high";
    if (ratio < 0.01) return "over 99 % lower";
    if (ratio >= 2) return `${short(ratio)} times as high`;
    const size = Math.abs(100 * (ratio - 1));
    return size < 0.05 ? "equally high" : `${+size.toPrecision(2)} % ${ratio < 1 ? "lower" : "higher"}`;
  };

  /** Say in words what the number of a cell means. */
  const meaning = ({ outcome, at, way }) => {
    const [ratio, low, high] = ["ratio", "low", "high"].map(at);
    const value = at("value");
    const worth = value === null ? "" : `${outcome.label}: ${short(value)} ${outcome.unit} (geometric mean over repeats). `;
    if (isRandom(way)) return `${worth}This is random data, which all others are compared with.`;
    if (ratio === null) return `${worth}There is no ratio to random: no repeat has a result both here and with random data.`;
    const found = `Beside random data, the ${outcome.noun} are ${change(ratio)} (ratio ${short(ratio)}`;
    if (low === null) return `${worth}${found}). It has no interval: the repeats are too few, or all alike, so nothing is known of its certainty.`;
    const interval = `, 95 % interval ${short(low)} to ${short(high)})`;
    if (low > 1 || high < 1) {
      const gain = ratio < 1 === (outcome.better === "lower");
      return `${worth}${found}${interval}. The interval excludes 1: this choice is ${gain ? "better" : "worse"} than random, for this data set and model.`;
    }
    return `${worth}${found}${interval}. The interval includes 1: no difference from random was found; one from ${change(low)} to ${change(high)} is compatible with the repeats.`;
  };

  const lost = ({ own, way, fraction }) => {
    const lines = own.unfinished[way]?.[fraction] ?? [];
    return lines.length ? element("div", { class: "notice" }, element("p", {}, "Repeats without a sound result:"), element("ul", {}, ...lines.map((one) => element("li", {}, one)))) : null;
  };

  const curvesOf = (known) => {
    const curves = known.own.curves;
    const place = figure();
    if (curves.outcomes[known.outcome.key]) {
      plot(place, behind.curves(curves, known.outcome, known.way, known.fraction), `curve-${known.model}-${known.way}`);
      return section("Learning curves", note("Each repeat (seed, and pool where there are several) a thin line, their mean bold; random grey, other ways faint. The ring is this cell."), place);
    }
    const fractions = Object.entries(known.outcome.sets?.[known.source] ?? {}).sort(([one], [other]) => one - other);
    const rows = fractions.map(([share, picture]) => {
      const value = (way) => picture.value[picture.ways.indexOf(way)]?.[picture.models.indexOf(known.model)] ?? null;
      return [percent(+share), null, value(known.way), value(known.base)];
    });
    const file = known.outcome.key?.startsWith("properties") ? "properties.parquet" : "md.parquet";
    const why = `${known.outcome.label}: this outcome rests on many values of each model, so single repeats are no curve here; they are in ${file}.`;
    return section("Learning curve", missing(why), rows.length ? behind.compared(`${known.outcome.label} by what is kept`, ["kept", "", "random", known.outcome.unit], rows) : null);
  };

  const noFit = ({ index, own, way, fraction, part }) => {
    if (!index.fits) return "The predictions of this run are not stored beside the table.";
    if (index.shown < index.fits) return `The page has the predictions of ${index.shown} of ${index.fits} cells, those at the fractions nearest to 10 %; the store has all, in objects/fit.`;
    if (own.unfinished[way]?.[fraction]) return "No repeat of this cell has stored predictions on this part.";
    return `The store holds no predictions of this cell on the part ${part}: the data set has no such part, or the store was pruned.`;
  };

  const parityOf = (known) => {
    const fit = known.own.fits?.[known.part]?.[known.way]?.[known.fraction];
    const labels = known.shared.parts[known.part];
    if (!fit || !labels) return section("Parity", missing(noFit(known)));
    const random = known.way === known.base ? null : known.own.fits[known.part][known.base]?.[known.fraction];
    const places = [figure(), figure()];
    plot(places[0], behind.energies(known.dataset, labels, fit, random), `parity-energy-${known.model}-${known.way}`);
    plot(places[1], behind.forces(labels, fit), `parity-force-${known.model}-${known.way}`);
    const beside = random ? " Grey: the model on random data." : "";
    const farthest = labels.frames
      .map((frame, at) => [frame, fit.errors[at]])
      .filter(([, error]) => error !== null)
      .sort(([, one], [, other]) => Math.abs(other) - Math.abs(one))
      .slice(0, N_FARTHEST)
      .map(([frame, error]) =>
        element(
          "button",
          { type: "button", onclick: () => structure.open(known.dataset, frame) },
          `frame ${frame}: ${short(error)} meV/atom`,
        ),
      );
    return section("Parity", note(`Seed ${fit.seed}, part ${known.part}: frames that the model was not fitted to.${beside} A click on a point shows its structure.`), element("div", { class: "pair" }, ...places), element("p", { class: "farthest" }, "Energies farthest off: ", ...farthest));
  };

  const groupsOf = (known) => {
    const groups = known.own.groups?.[known.part];
    const mine = groups?.ways[known.way]?.[known.fraction];
    if (!mine) return section("Errors by group", missing(`The table has no errors by group of this cell on the part ${known.part}.`));
    const random = groups.ways[known.base]?.[known.fraction];
    const table = (which, caption, unit) => {
      const rows = groups.names.map((name, at) => [name, groups.frames[at], mine[which][at], random?.[which][at] ?? null]);
      const sorted = rows.filter(([, , one]) => one !== null).sort((one, other) => other[2] - one[2]);
      return behind.compared(caption, ["group", "frames", "random", unit], sorted);
    };
    return section("Errors by group", note(`Mean absolute errors over all repeats, part ${known.part}, largest first.`), element("div", { class: "pair" }, table(1, "Forces", "eV/Å"), table(0, "Energies", "meV/atom")));
  };

  const byForceOf = (known) => {
    const fit = known.own.fits?.[known.part]?.[known.way]?.[known.fraction];
    const labels = known.shared.parts[known.part];
    if (!fit || !labels) return section("Errors by size of the force", missing(noFit(known)));
    const random = known.own.fits[known.part][known.base]?.[known.fraction];
    const ends = [0, ...labels.edges, null];
    const rows = labels.sizes.map((size, at) => {
      const range = ends[at + 1] === null ? `above ${short(ends[at])}` : `${short(ends[at])} to ${short(ends[at + 1])}`;
      return [range, size, fit.by_force[at], random?.by_force[at] ?? null];
    });
    return section("Errors by size of the force", note(`Fifths of the ${labels.atoms} atoms of the part ${known.part} by the length of the labelled force; seed ${fit.seed}.`), behind.compared("Mean absolute errors of force components", ["|F| (eV/Å)", "mean |F|", "random", "eV/Å"], rows));
  };

  const compositionOf = (known) => {
    const kept = known.shared.kept;
    const mine = kept?.ways[known.way]?.[known.fraction];
    if (!mine) return section("What was chosen", missing("The chosen configurations are not stored, or single atoms were chosen, so their groups cannot be counted."));
    const total = (values) => values.reduce((sum, one) => sum + one, 0) || 1;
    const share = (values, at) => (100 * values[at]) / total(values);
    const rows = kept.groups.map((name, at) => [name, mine[at], share(mine, at), share(kept.pool, at)]);
    return section("What was chosen", note("Configurations of each group among the chosen (means over repeats), beside the pool that was chosen from."), behind.compared("Shares", ["group", "kept", "pool", "%"], rows));
  };

  const propertiesOf = (known) => {
    const all = known.own.properties;
    if (!all) return section("Properties", missing("The study asked for no properties of this model."));
    const mine = all.ways?.[known.way]?.[known.fraction];
    if (!mine) return section("Properties", missing(all.left_out ? `There are too many for the page: see ${all.left_out}.` : "No property of this cell was computed."));
    const random = all.ways[known.base]?.[known.fraction];
    const rows = all.names.map(([structure, property], at) => {
      const [value, reference] = [mine.value[at], all.reference[at]];
      const off = value !== null && reference ? `${short((100 * (value - reference)) / Math.abs(reference))} %` : "–";
      const count = `${mine.n[at]} of ${mine.of[at]}${mine.suspect[at] ? `, ${mine.suspect[at]} suspect` : ""}`;
      const why = mine.why[at] < 0 ? "" : all.reasons[mine.why[at]];
      return [`${structure}: ${property.replaceAll("_", " ")}`, short(value), short(reference), off, short(random?.value[at]), count, element("td", { class: "reason" }, why)];
    });
    return section("Properties", behind.headed("Means over repeats that have a value; units are in the names", ["property", "value", "reference", "off by", "random", "repeats with a value", "first reason"], rows));
  };

  const runsOf = (known) => {
    const all = known.own.md;
    if (!all) return section("Molecular dynamics", missing("The study asked for no molecular dynamics of this model."));
    const runs = all.ways?.[known.way]?.[known.fraction];
    if (!runs) return section("Molecular dynamics", missing(all.left_out ? `There are too many runs for the page: see ${all.left_out}.` : "No run of this cell was asked for."));
    const rows = runs.map(([seed, start, ensemble, kelvin, survived, lasted, planned, why]) => {
      const end = survived === null ? "did not take place" : survived ? "survived" : "failed";
      return [seed, start || "crystal", ensemble, short(kelvin), end, `${short(lasted)} of ${short(planned)}`, element("td", { class: "reason" }, why < 0 ? "" : all.reasons[why])];
    });
    return section("Molecular dynamics", behind.headed("Runs", ["seed", "start", "ensemble", "K", "end", "ps", "why"], rows));
  };

  const optionsOf = ({ shared, own, way, model }) => {
    if (!shared.study) return section("Options", missing("The study's text is not stored beside the table, or is no longer understood: it has the options."));
    const chooser = shared.ways[way].chooser;
    const text = (name, options) => element("pre", {}, options ? `[options.${name}]\n${options}` : `# ${name}: all options are the family's defaults (crossprune adapters ${name})`);
    const others = chooser && chooser !== "random" && chooser !== model ? [text(chooser, shared.ways[way].options)] : [];
    return section("Options", text(model, own.options), ...others, ...own.settings.map(note), own.versions.length ? note(`Versions: ${own.versions.join("; ")}`) : null);
  };

  const copied = (text) => {
    const button = element("button", { type: "button" }, "Copy");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text).then(() => (button.textContent = "Copied"), () => (button.textContent = "Select the text and copy it"));
    });
    return element("div", { class: "command" }, element("pre", {}, text), button);
  };

  const quoted = (text) => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

  /** Say how the cell is repeated from nothing, and how its frames and its potential are taken out. */
  const repeatOf = ({ shared, own, source, way, model, fraction, part }) => {
    const how = shared.ways[way];
    if (!shared.study || !own.study || !how) return section("Repeat it", missing("The study's text is not stored beside the table, or is no longer understood, so there is nothing to repeat it from."));
    const toml = `${shared.study}${how.study}fractions = [${shared.fractions[fraction]}]\n${own.study}`;
    const file = element("a", { download: "cell.toml", href: `data:text/plain;charset=utf-8,${encodeURIComponent(toml)}` }, "cell.toml");
    const seed = own.fits?.[part]?.[way]?.[fraction]?.seed ?? 0;
    const key = own.keys?.[way]?.[fraction];
    const folder = key && `STORE/objects/fit/${key.slice(0, 2)}/${key}/potential`;
    const alike = Object.values(shared.ways).filter((one) => one.chooser === how.chooser && one.method === how.method);
    const which = `--data ${quoted(source)} --chooser ${quoted(how.chooser)} --method ${quoted(how.method)} --fraction ${shared.fractions[fraction]} --seed ${seed}`;
    return section(
      "Repeat it",
      element("p", {}, "From nothing: save ", file, " and run"),
      copied("crossprune run cell.toml --store cell"),
      element("details", {}, element("summary", {}, "The study of this cell"), copied(toml)),
      ...(key ? [element("p", {}, `From the run's folder, here called STORE: the errors of seed ${seed} again, from its potential.`), copied(`crossprune evaluate ${folder}`)] : []),
      ...(alike.length > 1
        ? [note(`${how.chooser} chose by ${how.method} in ${alike.length} ways, which the commands that take frames or a potential out of a store cannot tell apart: repeat the cell.`)]
        : [
            element("p", {}, "The frames that were chosen, and the potential ready for LAMMPS."),
            copied(`crossprune export STORE ${which} --output chosen.extxyz`),
            copied(`crossprune export-potential STORE --model ${quoted(model)} ${which} --output ${quoted(`${model}-potential`)}`),
          ]),
    );
  };

  const choice = (name, label, values, value) => {
    const select = element("select", { name, onchange: (event) => state.set({ [name]: event.target.value }) });
    values.forEach((one) => select.add(new Option(name === "fraction" ? percent(+one) : one, one, false, one === value)));
    return element("label", {}, `${label} `, select);
  };

  const fill = async () => {
    const known = await gathered();
    const title = `${known.model} on ${known.fraction ? percent(+known.fraction) : "a part"} of ${known.dataset}, chosen by ${known.way}`;
    box.querySelector("h2").textContent = title;
    if (!known.own || !known.shared || !Object.hasOwn(known.shared.ways, known.way)) {
      return body.replaceChildren(missing(`The study has no such cell: ${known.way} · ${known.model} · ${known.dataset}. Choose one in the matrix.`));
    }
    const models = Object.values(known.outcome.sets?.[known.source] ?? {})[0]?.models ?? [known.model];
    const shares = Object.keys(known.shared.fractions).filter((one) => +one < 1);
    const form = element("form", { class: "switches", onsubmit: (event) => event.preventDefault() }, choice("way", "Chosen by", Object.keys(known.shared.ways), known.way), choice("model", "model", models, known.model), choice("fraction", "kept", shares, known.fraction));
    const focused = document.activeElement?.name;
    const above = [curvesOf, parityOf, groupsOf].map((one) => one(known));
    const beside = element("div", { class: "pair" }, byForceOf(known), compositionOf(known));
    const below = [propertiesOf, runsOf, optionsOf, repeatOf].map((one) => one(known));
    body.replaceChildren(form, element("p", { class: "meaning" }, meaning(known)), ...[lost(known)].filter(Boolean), ...above, beside, ...below);
    if (focused) form.elements[focused]?.focus();
    return body;
  };

  const follow = async () => {
    if (state.get("open") !== "cell") return box.open && box.close();
    if (!box.isConnected) document.body.append(box);
    if (!box.open) box.showModal();
    return fill();
  };

  const start = () => {
    const shut = element("button", { type: "button", class: "close", "aria-label": "Close the cell", onclick: () => box.close() }, "×");
    box.append(element("header", {}, element("h2", { id: "cell-title" }), shut), body);
    box.addEventListener("close", () => {
      if (state.get("open") === "cell") state.set({ open: null, frame: null }, { step: true });
      // What had the focus is gone if the matrix was drawn anew: the cell that was open is beside it.
      const now = document.activeElement;
      if (now === document.body || box.contains(now)) document.querySelector('#picture [aria-pressed="true"]')?.focus();
    });
    state.listen((changed) => KEYS.some((one) => changed.has(one)) && follow());
    if (state.get("open") === "cell") follow();
  };
  return { start };
})();
