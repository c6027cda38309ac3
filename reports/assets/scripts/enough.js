// The slider: for an error above the full set's that somebody accepts, the smallest fraction and what it costs.

const enough = (() => {
  const [BELOW, FIRST] = [-1, 0.05];
  const box = document.getElementById("enough-view");
  const whole = (value) => Math.round(+value.toPrecision(2)).toLocaleString("en");
  const share = (value) => +(100 * value).toPrecision(2);
  const held = { known: null, parts: {} };

  /** Return the outcome that the switches ask for; where that is no error of a curve, the first that there is. */
  const outcomeNow = () => {
    const { outcomes } = held.known;
    const key = view.now().outcome;
    return key in outcomes ? outcomes[key] : Object.values(outcomes)[0];
  };

  /** Return the names of what belongs to the data set that is shown: itself, or its pools. */
  const namesOf = (outcome) => {
    const wanted = view.now().dataset;
    const names = Object.keys(outcome.sets);
    const mine = names.filter((name) => name === wanted || view.sourceOf(name) === wanted);
    return mine.length ? mine : names.slice(0, 1);
  };

  /** Return the place of the accepted error on the ladder. */
  const rung = () => {
    const { tolerances } = held.known;
    const place = tolerances.findIndex((one) => `${+(100 * one).toPrecision(6)}` === state.get("accept"));
    return place < 0 ? Math.max(tolerances.indexOf(FIRST), 0) : place;
  };

  // Words: a number that is not known says why.
  const partText = (value, set) => {
    if (value === null) return "not known";
    return value === BELOW ? `less than ${share(set.smallest)} %` : `about ${share(value)} %`;
  };
  const endText = (value, set) => (value === BELOW ? `below ${share(set.smallest)}` : `${share(value)}`);
  const intervalText = (cell, at, set) => {
    if (cell.low[at] === null) return cell.seeds === 1 ? "one seed: no interval" : "no interval";
    if (cell.high[at] === BELOW) return "certainly (95 %)";
    return `${endText(cell.low[at], set)} to ${endText(cell.high[at], set)} %`;
  };
  const costText = (value, least) => {
    if (value === null) return "–";
    if (value !== BELOW) return `about ${whole(value)}`;
    return least === null ? "fewer than counted" : `fewer than ${whole(least)}`;
  };

  /** Draw point and interval on a logarithmic axis from the study's smallest fraction to all. */
  const track = (cell, at, set) => {
    const place = (value) => (value === BELOW ? 0 : 100 * (1 - Math.log(value) / Math.log(set.smallest)));
    const made = element("span", { class: "track", "aria-hidden": "true" });
    if (cell.f[at] === null) return made;
    if (cell.low[at] !== null) {
      const [left, right] = [place(cell.low[at]), place(cell.high[at])];
      made.append(element("i", { style: `left: ${left}%; width: ${Math.max(right - left, 0.5)}%` }));
    }
    made.append(element("b", { class: cell.f[at] === BELOW && "below", style: `left: ${place(cell.f[at])}%` }));
    return made;
  };

  const table = (caption, head, rows) => {
    const cells = head.map((text) => element("th", { scope: "col" }, text));
    const made = element("table", { "data-name": `enough-${state.get("model", "all")}` }, element("caption", {}, caption), element("thead", {}, element("tr", {}, ...cells)), element("tbody", {}, ...rows));
    const scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, made);
    const tools = "popover" in made && element("div", { class: "tools" }, tables.saving(made));
    return element("div", { class: "tabled" }, tools || null, scroll);
  };
  const row = (way, cells) => element("tr", {}, element("th", { scope: "row" }, way), ...cells);

  /** One model: a line for each way of choosing, with its interval and its cost. */
  const ofModel = (set, model, at, caption) => {
    const rows = set.ways.filter((way) => set.cells[model][way]).map((way) => {
      const cell = set.cells[model][way];
      const labels = cell.n[at] > 0 && set.full ? ` (${share(cell.n[at] / set.full)} % of all)` : "";
      return row(way, [
        element("td", { class: "part" }, partText(cell.f[at], set), track(cell, at, set)),
        element("td", {}, intervalText(cell, at, set)),
        element("td", {}, costText(cell.c[at], cell.least[0])),
        element("td", {}, `${costText(cell.n[at], cell.least[1])}${labels}`),
      ]);
    });
    return table(caption, ["chosen by", `part of the pool (line: ${share(set.smallest)} to 100 %)`, "95 % interval", "configurations", "labels"], rows);
  };

  /** All models: parts of the pool, intervals and labels below them. */
  const ofAll = (set, at, caption) => {
    const rows = set.ways.map((way) =>
      row(way, set.models.map((model) => {
        const cell = set.cells[model][way];
        if (!cell) return element("td", {}, "–");
        const lines = [intervalText(cell, at, set), ...(cell.n[at] === null ? [] : [`${costText(cell.n[at], cell.least[1])} labels`])];
        const below = lines.flatMap((line) => [element("br"), element("small", {}, line)]);
        return element("td", {}, partText(cell.f[at], set).replace("about ", ""), ...below);
      })),
    );
    return table(caption, ["chosen by ↓  model →", ...set.models], rows);
  };

  /** Say what the table shows for one model: the way that needs least, and random. */
  const told = (set, model, at) => {
    const known = set.ways.map((way) => [way, set.cells[model][way]]).filter(([, cell]) => cell && cell.f[at] !== null);
    if (!known.length) return "Nothing is known here: no way of choosing has all fractions and the full set.";
    const say = ([, cell]) => `${partText(cell.f[at], set)} of the pool (95 % interval: ${intervalText(cell, at, set)}), ${costText(cell.n[at], cell.least[1])} labels`;
    const others = known.filter(([way]) => !isRandom(way));
    const base = known.find(([way]) => isRandom(way));
    const least = [...others].sort((one, two) => one[1].f[at] - two[1].f[at])[0];
    const luck = others.length > 1 ? ` That it is the least of ${others.length} ways is partly luck.` : "";
    return [least && `Least data with ${least[0]}: ${say(least)}.${luck}`, base && `At random: ${say(base)}.`].filter(Boolean).join(" ");
  };

  const draw = () => {
    const outcome = outcomeNow();
    const names = namesOf(outcome);
    const at = rung();
    const accepted = `${+(100 * held.known.tolerances[at]).toPrecision(6)} %`;
    const models = unique(names.flatMap((name) => outcome.sets[name].models));
    const model = models.includes(state.get("model")) ? state.get("model") : "";
    const { slider, output, select, shown, words } = held.parts;
    [slider.value, output.value] = [at, accepted];
    slider.setAttribute("aria-valuetext", `${accepted} above the error of the full set`);
    select.replaceChildren(new Option("all", ""), ...models.map((one) => new Option(one, one)));
    select.value = model;
    const caption = (name) => `${name} · ${outcome.text}: at most ${accepted} above the full set${model ? `, model ${model}` : ""}`;
    words.textContent = model && names.length === 1 ? told(outcome.sets[names[0]], model, at) : "";
    words.hidden = !words.textContent;
    shown.replaceChildren(
      ...names.map((name) => {
        const set = outcome.sets[name];
        return model && set.cells[model] ? ofModel(set, model, at, caption(name)) : ofAll(set, at, caption(name));
      }),
    );
  };

  const build = () => {
    const { tolerances } = held.known;
    const slider = element("input", { type: "range", id: "accept", min: 0, max: tolerances.length - 1, step: 1 });
    const output = element("output", { for: "accept" });
    const form = element("form", { class: "slider", onsubmit: (event) => event.preventDefault() });
    form.append(element("label", { for: "accept" }, "Accept an error above that of the full set by"), slider, output);
    const select = labelledSelect(form, "Model", []);
    const words = element("p", { class: "told", "aria-live": "polite" });
    const shown = element("div", {});
    slider.addEventListener("input", () => state.set({ accept: `${+(100 * tolerances[slider.value]).toPrecision(6)}` }));
    select.addEventListener("change", () => state.set({ model: select.value }));
    held.parts = { slider, output, select, words, shown };
    box.append(form, words, shown);
  };

  const start = async () => {
    if (!box || !(held.known = await data("enough"))) return;
    build();
    draw();
    box.hidden = false;
    document.getElementById("enough-plain").hidden = true;
    const mine = ["dataset", "outcome", "model", "accept"];
    state.listen((changed) => mine.some((name) => changed.has(name)) && draw());
  };
  return { start };
})();
