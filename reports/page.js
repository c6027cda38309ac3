"use strict";
// Shows the panels that the switches select, and draws a figure when it first comes into view.
(() => {
  const form = document.getElementById("switches");
  const panels = [...document.querySelectorAll(".panel")];
  const config = { responsive: true, displaylogo: false, displayModeBar: false };
  const draw = (box) => {
    if (box.dataset.drawn) return;
    box.dataset.drawn = "yes";
    const figure = JSON.parse(box.querySelector("script").textContent);
    Plotly.newPlot(box, figure.data, figure.layout, config);
  };
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          watcher.unobserve(entry.target);
          draw(entry.target);
        }
      }
    },
    { rootMargin: "600px" },
  );
  const show = () => {
    for (const panel of panels) {
      panel.hidden = ["dataset", "metric", "split"].some((name) => {
        const wanted = form.elements[name].value;
        return wanted !== "" && panel.dataset[name] !== wanted;
      });
    }
  };
  form.hidden = false;
  form.addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll(".panel:not([hidden]) .figure").forEach(draw);
  });
  show();
  document.querySelectorAll(".figure").forEach((box) => watcher.observe(box));
})();
