// Every section has a link to what it shows now.

const links = (() => {
  const copyLink = (section, name) => {
    state.set({ at: section.id });
    return copy(new URL(state.link({ at: section.id }), location.href).href, `the link to ${name}`);
  };
  const start = () => {
    for (const section of document.querySelectorAll("main section[id]")) {
      const title = section.querySelector("h2");
      if (!title) continue;
      const name = title.textContent.trim();
      const label = `Copy a link to this view: ${name}`;
      title.after(
        element(
          "button",
          { type: "button", class: "view-link", "aria-label": label, onclick: () => copyLink(section, name) },
          "Copy link",
        ),
      );
    }
  };
  return { start };
})();
