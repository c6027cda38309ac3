// Sections have a panel for each data set and outcome: the switches at the top say which are shown.

const panels = (() => {
  const figures = new Map();

  /** Read the figures of a place: they come as one packed list, in the order of their boxes. */
  const read = remembered(async (holder) => {
    const found = JSON.parse(await unpack(holder.querySelector("script")));
    holder.querySelectorAll(".figure, .map").forEach((box, index) => figures.set(box, found[index]));
  });
  const draw = remembered(async (box) => {
    await read(box.parentElement);
    const figure = figures.get(box);
    if (box.classList.contains("map")) return drawMap(box, figure);
    return plot(box, figure, box.closest("section").id);
  });

  const all = () => [...document.querySelectorAll(".panel")];
  const shown = (panel) => {
    const wanted = view.now();
    const { dataset, metric, split } = panel.dataset;
    const isOf = (value, one) => !one || value === undefined || value === one;
    return isOf(view.sourceOf(dataset), wanted.dataset) && isOf(metric, wanted.metric) && isOf(split, wanted.split);
  };
  /** Show the panels of what is chosen, and say where they stand in for an outcome that they do not know. */
  const show = () => {
    all().forEach((panel) => (panel.hidden = !shown(panel)));
    const { outcome, stands, text } = view.now();
    document.querySelectorAll(".stands-in").forEach((note) => {
      note.hidden = !outcome || !stands;
      note.textContent = `Not drawn for ${text}: this section shows ${stands}.`;
    });
    prepare();
  };

  const watch = () => {
    const boxes = document.querySelectorAll(".figures > .figure, .figures > .map");
    if (!canUnpack) {
      boxes.forEach((box) => (box.textContent = "This figure needs a browser of 2023 or later."));
      return;
    }
    const watcher = new IntersectionObserver(
      (entries) => {
        for (const entry of entries.filter((one) => one.isIntersecting)) {
          watcher.unobserve(entry.target);
          draw(entry.target);
        }
      },
      { rootMargin: "600px" },
    );
    boxes.forEach((box) => watcher.observe(box));
  };

  /** Draw all that is shown, whether in view or not. */
  const drawAll = async () => {
    const boxes = document.querySelectorAll(".panel:not([hidden]) .figures > *:not(script)");
    if (canUnpack) await Promise.all([...boxes].map(draw));
  };

  /** Read what is shown when there is nothing else to do: printing waits for nothing that is still to be read. */
  const prepare = () => {
    const idle = window.requestIdleCallback ?? setTimeout;
    const holders = document.querySelectorAll(".panel:not([hidden]) .figures");
    if (canUnpack && holders.length) idle(() => Promise.all([library("plotly"), ...[...holders].map(read)]));
  };

  return { show, watch, drawAll, prepare };
})();
