// The switches at the top: data set, outcome and fraction of everything that is shown.

const view = (() => {
  const form = document.getElementById("switches"); // its switch "dataset" hides form.dataset
  const known = form ? JSON.parse(form.getAttribute("data-outcomes")) : [];
  const sources = form ? JSON.parse(form.getAttribute("data-sources")) : {};

  /** Return the data set that a pool is of. */
  const sourceOf = (name) => sources[name] ?? name;

  /** Return the data set, outcome and fraction shown, and the metric and part that panels go by. */
  const now = () => {
    if (!form) return {};
    const value = (name) => form.elements[name]?.value ?? "";
    const outcome = known.find((one) => one.key === value("outcome")) ?? {};
    const { key, text, metric, split, stands } = outcome;
    return { dataset: value("dataset"), outcome: key, fraction: value("fraction"), metric, split, text, stands };
  };

  /** Let the switches follow the address. */
  const follow = () => {
    for (const name of ["dataset", "outcome", "fraction"]) {
      const box = form?.elements[name];
      if (!box) continue;
      const wanted = state.get(name);
      const first = box.querySelector("[selected]")?.value ?? box.options[0]?.value;
      box.value = [...box.options].some((one) => one.value === wanted) ? wanted : first;
    }
  };

  const start = () => {
    if (!form) return;
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("change", (event) => state.set({ [event.target.name]: event.target.value }));
    follow();
  };
  return { now, follow, start, sourceOf, outcomes: known };
})();
