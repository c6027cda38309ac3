// Buttons that copy a text of the page.

const copying = (() => {
  const start = () => {
    for (const button of document.querySelectorAll("button[data-copies]")) {
      const { copies, about } = button.dataset;
      button.hidden = false;
      button.addEventListener("click", () => copy(document.getElementById(copies).textContent, about));
    }
  };
  return { start };
})();
