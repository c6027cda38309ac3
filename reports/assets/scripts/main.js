// Start: everything follows the address.

const goTo = (id) => {
  const place = document.getElementById(id);
  for (let one = place?.closest("details"); one; one = one.parentElement.closest("details")) one.open = true;
  place?.scrollIntoView();
};
/** Go to a place as a link does, which is where the next press of Tab starts from. */
const enter = (id) => {
  goTo(id);
  const place = document.getElementById(id);
  if (!place || place.hasAttribute("tabindex")) return place?.focus({ preventScroll: true });
  place.tabIndex = -1;
  place.addEventListener("blur", () => place.removeAttribute("tabindex"), { once: true });
  return place.focus({ preventScroll: true });
};
const bar = document.getElementById("bar");
new ResizeObserver(() => {
  const height = getComputedStyle(bar).position === "sticky" ? bar.offsetHeight : 0;
  document.documentElement.style.setProperty("--sticky", `${height + 8}px`);
}).observe(bar);

view.start();
panels.show();
panels.watch();
matrix.start();
tables.watch(document.body);
words.start();
drawings.offer(document);
links.start();
enough.start();
copying.start();
state.listen((changed) => {
  view.follow();
  panels.show();
  matrix.follow(changed);
  if (changed.has("at")) goTo(state.get("at"));
});
cell.start(); // they follow the address too, after the switches
structure.start();
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#"]');
  if (!link || link.hash.includes("=")) return;
  event.preventDefault();
  state.set({ at: link.hash.slice(1) }, { step: true });
  enter(link.hash.slice(1));
});
if (state.get("at")) goTo(state.get("at"));

window.addEventListener("beforeprint", () => {
  if (canUnpack) panels.drawAll(); // no browser waits for it: what was never in view is on the next print
  document.querySelectorAll("details").forEach((one) => (one.open = true));
  // On paper a drawing keeps the width that it has here: tell the style sheet.
  document.querySelectorAll(".figure").forEach((box) => {
    if (box._fullLayout) box.style.setProperty("--drawn", `${box._fullLayout.width}px`);
  });
});
