// Buttons that copy a text of the page; where the browser does not let us, the text is selected instead.

const copying = (() => {
  const say = (text) => (document.getElementById("copied").textContent = text);

  const copy = async (place) => {
    try {
      await navigator.clipboard.writeText(place.textContent);
      say("copied");
    } catch {
      place.closest("details")?.setAttribute("open", "");
      getSelection().selectAllChildren(place);
      say("selected: copy it with the keyboard");
    }
  };

  const start = () => {
    for (const button of document.querySelectorAll("button[data-copies]")) {
      button.hidden = false;
      button.addEventListener("click", () => copy(document.getElementById(button.dataset.copies)));
    }
  };
  return { start };
})();
