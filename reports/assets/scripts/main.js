// Start: everything follows the address.

const goTo = (id) => document.getElementById(id)?.scrollIntoView();

view.start();
panels.show();
panels.watch();
enough.start();
state.listen((changed) => {
  view.follow();
  panels.show();
  if (changed.has("at")) goTo(state.get("at"));
});
document.addEventListener("click", (event) => {
  const link = event.target.closest?.('a[href^="#"]');
  if (!link || link.hash.includes("=")) return;
  event.preventDefault();
  state.set({ at: link.hash.slice(1) }, { step: true });
  goTo(link.hash.slice(1));
});
if (state.get("at")) goTo(state.get("at"));

window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((one) => (one.open = true));
  // On paper a drawing keeps the width that it has here: tell the style sheet.
  document.querySelectorAll(".figure").forEach((box) => {
    if (box._fullLayout) box.style.setProperty("--drawn", `${box._fullLayout.width}px`);
  });
});
