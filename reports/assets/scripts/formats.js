// A table as LaTeX and Markdown: what is shown of it, in the order in which it is shown.

const formats = (() => {
  const textOf = (cell) => {
    const told = cell.querySelector("summary") ?? cell;
    return told.innerText
      .trim()
      .replace(/\s*\n\s*/g, ", ")
      .replace(/\s+/g, " ");
  };
  const captionOf = (table) => {
    const caption = table.caption?.cloneNode(true);
    caption?.querySelectorAll("a, button").forEach((one) => one.remove());
    return (caption?.textContent ?? table.ariaLabel ?? "").trim().replace(/\s+/g, " ");
  };

  /** Return the caption with what a panel has in the headings above it. */
  const titleOf = (table) => {
    const panel = table.closest(".panel");
    const above = panel && [panel.closest("section")?.querySelector("h2"), panel.querySelector("h3")];
    return [...(above ?? []).map((one) => one?.textContent.trim()), captionOf(table)].filter(Boolean).join(": ");
  };

  /** Read a table: caption, headings, and rows of which some are headings as well. */
  const read = (table) => {
    const rows = [...table.rows]
      .filter((row) => !row.hidden && !row.querySelector(".dt-empty"))
      .map((row) => ({
        heading: [...row.cells].every((cell) => cell.tagName === "TH" || !textOf(cell)),
        cells: [...row.cells].flatMap((cell) => [textOf(cell), ...Array(cell.colSpan - 1).fill("")]),
      }));
    const width = Math.max(...rows.map((row) => row.cells.length));
    rows.forEach((row) => row.cells.push(...Array(width - row.cells.length).fill("")));
    const [head, ...body] = rows;
    return { caption: titleOf(table), head: head.cells, body, width };
  };

  const SPECIAL = {
    "&": "\\&",
    "%": "\\%",
    $: "\\$",
    "#": "\\#",
    _: "\\_",
    "{": "\\{",
    "}": "\\}",
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    "|": "\\textbar{}",
    '"': "''",
    "±": "$\\pm$",
    "×": "$\\times$",
    "−": "$-$",
    "·": "$\\cdot$",
    "∞": "$\\infty$",
    "≤": "$\\le$",
    "≥": "$\\ge$",
    "→": "$\\to$",
    "↓": "$\\downarrow$",
    "▲": "$\\uparrow$",
    "▼": "$\\downarrow$",
    "≫": "$\\gg$",
    "’": "'",
    "–": "--",
    "…": "\\dots{}",
    Å: "\\AA{}",
    µ: "$\\mu$",
    "²": "$^2$",
    "³": "$^3$",
    "°": "$^\\circ$",
  };
  const latexText = (text) => text.replace(/./gsu, (one) => SPECIAL[one] ?? one);
  const isNumber = (text) => /^[−-]?[<>]?\d/.test(text);

  /** Write LaTeX for booktabs; what is longer than a page for longtable as well. */
  const latex = (table, name) => {
    const { caption, head, body, width } = read(table);
    const long = body.length > 45;
    const told = (at) => body.filter((row) => !row.heading).map((row) => row.cells[at]);
    const align = (texts) =>
      texts.some(isNumber) && texts.every((one) => isNumber(one) || /^(–|)$/.test(one)) ? "r" : "l";
    const columns = Array.from({ length: width }, (_, at) => align(told(at))).join("");
    const line = (cells) => `    ${cells.map(latexText).join(" & ")} \\\\`;
    const rows = body.flatMap((row) =>
      row.heading ? ["    \\midrule", line(row.cells), "    \\midrule"] : [line(row.cells)],
    );
    const label = fileName(name).replace(/_/g, "-");
    const title = `  \\caption{${latexText(caption)}}\\label{tab:${label}}`;
    const top = ["    \\toprule", line(head), "    \\midrule"];
    const needs = long ? "booktabs, longtable" : "booktabs";
    const note = `% ${document.title.replace(/\s+/g, " ")}; \\usepackage{${needs}}`;
    const lines = long
      ? [
          `\\begin{longtable}{${columns}}`,
          `${title}\\\\`,
          ...top,
          "    \\endhead",
          ...rows,
          "    \\bottomrule",
          "\\end{longtable}",
        ]
      : [
          "\\begin{table}",
          "  \\centering",
          title,
          `  \\begin{tabular}{${columns}}`,
          ...top,
          ...rows,
          "    \\bottomrule",
          "  \\end{tabular}",
          "\\end{table}",
        ];
    return `${[note, ...lines].join("\n")}\n`;
  };

  const markdownText = (text) => text.replace(/[\\`*_[\]<>|#]/g, (one) => `\\${one}`);

  /** Write Markdown; headings between rows become rows of their own, in bold. */
  const markdown = (table) => {
    const { caption, head, body } = read(table);
    const line = (cells) => `| ${cells.join(" | ")} |`;
    const bold = (text) => (text ? `**${text}**` : "");
    const rows = body.map((row) => {
      const cells = row.cells.map(markdownText);
      return line(row.heading ? cells.map(bold) : cells);
    });
    const top = [markdownText(caption), "", line(head.map(markdownText)), line(head.map(() => "---"))];
    return `${[...top, ...rows].join("\n")}\n`;
  };

  return { latex, markdown, captionOf };
})();
