// Files and the clipboard: all that leaves the page.

const download = (address, name) => element("a", { href: address, download: name }).click();

/** Save text or a blob as a file. */
const saveAs = (content, name, type = "text/plain;charset=utf-8") => {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  download(address, name);
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
};

/** Say something to everyone: shown for a moment above all else, and read out. */
const announce = (() => {
  const box = element("p", { id: "said", role: "status", popover: "manual" });
  let timer;
  return (text) => {
    clearTimeout(timer);
    // What a dialog covers is neither seen nor read out.
    (document.querySelector("dialog[open]") ?? document.body).append(box);
    box.showPopover();
    box.textContent = text;
    timer = setTimeout(() => box.remove(), 3000);
  };
})();

/** Put text on the clipboard; `what` is said afterwards. */
const copy = async (text, what) => {
  try {
    await navigator.clipboard.writeText(text);
    announce(`Copied: ${what}`);
  } catch {
    announce("The browser does not let this page copy: save the file instead");
  }
};

/** Make text safe as the name of a file. */
const fileName = (text) => text.replace(/[^\p{L}\p{N}.=_-]+/gu, "-").replace(/^-+|-+$/g, "") || "crossprune";
