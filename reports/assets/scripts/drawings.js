// Drawings of the page (SVG) as files: on white paper with title and legend, whatever the page looks like.

const drawings = (() => {
  const STYLES = [
    "fill",
    "fill-opacity",
    "stroke",
    "stroke-width",
    "stroke-dasharray",
    "stroke-opacity",
    "opacity",
    "font-family",
    "font-size",
    "font-weight",
    "text-anchor",
    "dominant-baseline",
  ];
  const LINE = 16;
  const SCALE = 3;
  const svg = (tag, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    made.append(...children);
    return made;
  };

  /** Write the style of each element into it, for which the drawing is on paper for a moment. */
  const withStyles = (drawing) => {
    const copied = drawing.cloneNode(true);
    const paper = element("div", { class: "paper", "aria-hidden": "true" }, copied);
    drawing.parentElement.append(paper);
    const all = [...copied.querySelectorAll("*")];
    const styles = all.map((one) => {
      const style = getComputedStyle(one);
      return STYLES.map((name) => `${name}:${style.getPropertyValue(name)}`).join(";");
    });
    paper.remove();
    all.forEach((one, at) => {
      one.setAttribute("style", styles[at]);
      one.removeAttribute("class");
    });
    return copied;
  };

  const legendOf = (figure) =>
    [...(figure.closest(".panel")?.querySelectorAll(".legend span") ?? [])].map((one) => ({
      name: one.textContent.trim(),
      colour: getComputedStyle(one.querySelector("i")).backgroundColor,
    }));

  /** Return a drawing as text that stands alone, its title above and its legend below, and its size. */
  const standalone = (figure) => {
    const drawing = withStyles(figure.querySelector("svg"));
    const { width, height } = drawing.viewBox.baseVal;
    const legend = legendOf(figure);
    const whole = height + LINE * (1.5 + legend.length);
    const text = { "font-family": "sans-serif", "font-size": 11, fill: "#1b1f24" };
    const title = figure.querySelector("figcaption")?.textContent.trim() ?? "";
    drawing.prepend(
      svg("rect", { x: 0, y: -1.5 * LINE, width, height: whole, fill: "white" }),
      svg("text", { ...text, x: 0, y: -0.6 * LINE, "font-weight": 600 }, title),
    );
    legend.forEach(({ name, colour }, at) => {
      const y = height + LINE * at;
      drawing.append(
        svg("rect", { x: 2, y: y + 2, width: 10, height: 10, fill: colour }),
        svg("text", { ...text, x: 18, y: y + 11 }, name),
      );
    });
    drawing.setAttribute("viewBox", `0 ${-1.5 * LINE} ${width} ${whole}`);
    const size = { width: 1.5 * width, height: 1.5 * whole };
    Object.entries(size).forEach(([name, value]) => drawing.setAttribute(name, value));
    drawing.removeAttribute("class");
    return { text: new XMLSerializer().serializeToString(drawing), ...size };
  };

  const bitmap = async ({ text, width, height }) => {
    const image = new Image(width, height);
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await image.decode();
    const canvas = element("canvas", { width: SCALE * width, height: SCALE * height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  };

  const nameOf = (figure) => {
    const section = figure.closest("section, dialog")?.id ?? "figure";
    return fileName(`${section}-${figure.querySelector("figcaption")?.textContent.trim() ?? ""}`);
  };
  const save = async (figure, format) => {
    const drawn = standalone(figure);
    const content =
      format === "svg" ? new Blob([drawn.text], { type: "image/svg+xml" }) : await bitmap(drawn);
    saveAs(content, `${nameOf(figure)}.${format}`);
  };

  /** Give every drawing inside an element a button for each format. */
  const offer = (root) => {
    for (const figure of root.querySelectorAll("figure:has(> svg)")) {
      const about = figure.querySelector("figcaption")?.textContent.trim() ?? "drawing";
      const buttons = ["svg", "png"].map((format) => {
        const label = `Save ${about} as ${format.toUpperCase()}`;
        return element(
          "button",
          { type: "button", "aria-label": label, onclick: () => save(figure, format) },
          format.toUpperCase(),
        );
      });
      figure.append(element("div", { class: "tools" }, ...buttons));
    }
  };
  return { offer };
})();
