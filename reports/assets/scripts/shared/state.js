// What is shown is in the address (`#dataset=si-pbe&outcome=force:test&at=curves`), so that every view has a link.

const state = (() => {
  const listeners = [];
  const read = () => {
    const text = location.hash.slice(1);
    return text.includes("=") ? new URLSearchParams(text) : new URLSearchParams(text ? { at: text } : {});
  };
  let now = read();

  const tell = (before) => {
    const names = new Set([...now.keys(), ...before.keys()]);
    const changed = new Set([...names].filter((name) => now.get(name) !== before.get(name)));
    if (changed.size) listeners.forEach((listener) => listener(changed));
  };

  /** Return one value, or the fallback where the address does not say. */
  const get = (name, fallback = "") => now.get(name) ?? fallback;

  /** Return the address of this view with some values changed; null takes one out. */
  const link = (changes) => {
    const next = new URLSearchParams(now);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === "") next.delete(name);
      else next.set(name, value);
    }
    return `#${next.toString().replaceAll("%3A", ":").replaceAll("%2F", "/")}`;
  };

  /** Change values; with `step` the browser's back button returns to what was before. */
  const set = (changes, { step = false } = {}) => {
    const before = now;
    const address = link(changes);
    now = new URLSearchParams(address.slice(1));
    if (step) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
    tell(before);
  };

  const reread = () => {
    const before = now;
    now = read();
    tell(before);
  };
  window.addEventListener("popstate", reread);
  window.addEventListener("hashchange", reread);
  return { get, set, link, listen: (listener) => listeners.push(listener) };
})();
