// Boxes beside what opened them: menus, and the meaning of a word at a heading or a marked word.

/** Put a box of the top layer below an element, or above where there is no room, inside the window. */
const putBeside = (box, anchor) => {
  const place = anchor.getBoundingClientRect();
  const [width, height] = [box.offsetWidth, box.offsetHeight];
  const below = place.bottom + height + 8 < innerHeight || place.top < height + 8;
  const right = document.documentElement.clientWidth - width - 4;
  box.style.left = `${scrollX + Math.max(4, Math.min(place.left, right))}px`;
  box.style.top = `${scrollY + (below ? place.bottom + 4 : place.top - height - 4)}px`;
};

/** Make a button and the box that it opens. */
const menu = (label, about, ...content) => {
  const box = element(
    "div",
    { class: "menu", popover: "auto", role: "group", "aria-label": about },
    ...content,
  );
  const button = element("button", { type: "button", "aria-label": `${label}: ${about}` }, label);
  button.popoverTargetElement = box;
  box.addEventListener("toggle", () => box.matches(":popover-open") && putBeside(box, button));
  return element("span", {}, button, box);
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
      document.addEventListener(name, (event) =>
        marked(event) ? show(marked(event)) : box.contains(event.target) || hide(),
      );
    }
    document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
    window.addEventListener("scroll", hide, { passive: true, capture: true });
  };
  return { start, describe };
})();
