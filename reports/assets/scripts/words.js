// What a word means, beside it: headings and marked words show their entry of the glossary.

/** Put a box of the top layer below an element, inside the window. */
const putBeside = (box, anchor) => {
  const place = anchor.getBoundingClientRect();
  const [width, height] = [box.offsetWidth, box.offsetHeight];
  const below = place.bottom + height + 8 < innerHeight || place.top < height + 8;
  box.style.left = `${Math.max(4, Math.min(place.left, innerWidth - width - 4))}px`;
  box.style.top = `${below ? place.bottom + 4 : place.top - height - 4}px`;
};

const words = (() => {
  const box = element("div", { class: "tooltip", role: "tooltip", popover: "manual" });
  const meaning = (one) => document.getElementById(`word-${one.dataset.word}`);
  let anchor = null;

  const hide = () => {
    anchor = null;
    if (box.matches(":popover-open")) box.hidePopover();
  };
  const show = (one) => {
    if (one === anchor || !meaning(one)) return;
    anchor = one;
    box.textContent = meaning(one).textContent;
    box.showPopover();
    putBeside(box, one);
  };
  const marked = (event) => event.target.closest?.("[data-word]");

  /** Let what takes the focus in a heading be described by the meaning of its word. */
  const describe = (heading, focused) => {
    if (meaning(heading)) focused.setAttribute("aria-describedby", `word-${heading.dataset.word}`);
  };

  const start = () => {
    if (!("popover" in box)) return;
    document.body.append(box);
    document.querySelectorAll("button[data-word]").forEach((one) => describe(one, one));
    for (const name of ["pointerover", "focusin", "click"]) {
      document.addEventListener(name, (event) => (marked(event) ? show(marked(event)) : box.contains(event.target) || hide()));
    }
    document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
    window.addEventListener("scroll", hide, { passive: true, capture: true });
  };
  return { start, describe };
})();
