// Tables sort, filter and hide columns (DataTables), and are saved or copied as LaTeX and Markdown.

const tables = (() => {
  const MEASURED = /^[<>]?([−-]?(?:\d[\d.]*(?:e[+-]?\d+)?|inf))(?:\s*(?:±|to\b|%|of\b|×|\().*)?$/i;
  const NONE = /^(–|)$/;
  const number = (text) => Number(text.replace("−", "-").replace("inf", "Infinity"));
  const valueOf = (text) => number(MEASURED.exec(text)?.[1] ?? "NaN");
  const SORTED_FROM = 2;
  const FILTERED_FROM = 6;

  const prepare = remembered(async () => {
    await library("tables");
    DataTable.ext.errMode = "throw";
    // What has no value comes last in both directions.
    const order = (sign) => (one, other) => {
      const [a, b] = [one, other].map((text) => (text === "" ? NaN : Number(text)));
      return isNaN(a) || isNaN(b) ? isNaN(a) - isNaN(b) : sign * (a - b);
    };
    DataTable.type("measured", { order: { asc: order(1), desc: order(-1) } });
  });

  /** Give cells of numeric columns the value that they sort by, and return which columns these are. */
  const measured = (table) => {
    const [body] = table.tBodies;
    const columns = [...table.tHead.rows[0].cells].map((_, at) => [...body.rows].map((row) => row.cells[at]));
    const texts = columns.map((cells) => cells.map((cell) => cell.textContent.trim()));
    const isNumeric = (all) => all.some((one) => !NONE.test(one)) && all.every((one) => NONE.test(one) || MEASURED.test(one));
    const found = texts.flatMap((all, at) => (isNumeric(all) ? [at] : []));
    for (const at of found) {
      columns[at].forEach((cell, row) => {
        const value = valueOf(texts[at][row]);
        cell.dataset.order ??= isNaN(value) ? "" : value;
      });
    }
    return found;
  };

  const canSort = (table) =>
    !table.matches(".matrix, .overlap, .facts") &&
    table.tHead?.rows.length === 1 &&
    table.tBodies.length === 1 &&
    table.tBodies[0].rows.length >= SORTED_FROM &&
    [...table.rows].every((row) => row.cells.length === table.tHead.rows[0].cells.length);

  const sorted = async (table) => {
    await prepare();
    const known = new DataTable(table, {
      paging: false,
      info: false,
      autoWidth: false,
      order: [],
      layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
      columnDefs: [{ targets: measured(table), type: "measured" }],
      language: { zeroRecords: "No row has this", emptyTable: "No row" },
    });
    for (const button of table.tHead.querySelectorAll(".dt-column-order")) {
      words.describe(button.closest("th"), button);
    }
    return known;
  };

  /** Keep a condition such as `> 0.9` for numbers, or else a text that is to be found. */
  const condition = (text) => {
    const [, sign, limit] = /^\s*(<=|>=|<|>|=)\s*([−-]?[\d.]+(?:e[+-]?\d+)?)\s*$/i.exec(text) ?? [];
    if (!sign) return (cell) => cell.toLowerCase().includes(text.trim().toLowerCase());
    const test = {
      "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "=": (a, b) => a === b,
    }[sign];
    return (cell) => test(valueOf(cell.trim()), number(limit));
  };

  const menu = (label, ...content) => {
    const box = element("div", { class: "menu", popover: "auto" }, ...content);
    const button = element("button", { type: "button", "aria-expanded": "false" }, label);
    button.addEventListener("click", () => box.togglePopover());
    box.addEventListener("toggle", () => {
      const open = box.matches(":popover-open");
      button.setAttribute("aria-expanded", open);
      if (open) putBeside(box, button);
    });
    button.popoverTargetElement = box;
    button.popoverTargetAction = "toggle";
    return element("span", {}, button, box);
  };
