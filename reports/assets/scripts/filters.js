// How a table is sorted, which rows and columns it shows: switches, and what the address says of it.

const filters = (() => {
  const MEASURED = /^[<>]?([−-]?(?:\d[\d.]*(?:e[+-]?\d+)?|inf))(?:\s*(?:±|to\b|%|of\b|×|\().*)?$/i;
  const NONE = /^(–|)$/;
  const FILTERED_FROM = 6;
  const number = (text) => Number(text.replace("−", "-").replace("inf", "Infinity"));

  /** Return the number that a text begins with, as in `0.207 ± 0.004` or `0.9 to 1.1`, else NaN. */
  const valueOf = (text) => number(MEASURED.exec(text)?.[1] ?? "NaN");
  const areNumbers = (texts) =>
    texts.some((one) => !NONE.test(one)) && texts.every((one) => NONE.test(one) || MEASURED.test(one));

  const SIGNS = {
    "<": (a, b) => a < b,
    ">": (a, b) => a > b,
    "<=": (a, b) => a <= b,
    ">=": (a, b) => a >= b,
    "=": (a, b) => a === b,
  };

  /** Make the test of a condition: `> 0.9` for numbers, else a text that is to be found. */
  const condition = (text) => {
    const [, sign, limit] = /^\s*(<=|>=|<|>|=)\s*([−-]?[\d.]+(?:e[+-]?\d+)?)\s*$/i.exec(text) ?? [];
    if (!sign) return (cell) => cell.toLowerCase().includes(text.trim().toLowerCase());
    return (cell) => SIGNS[sign](valueOf(cell.trim()), number(limit));
  };

  // In the address: `sort.NAME=5.desc,2.asc`, `find.NAME=snap`, `hide.NAME=1,4`, `where.NAME.2=fps`.
  const partsOf = (text) => text.split(",").filter(Boolean);
  const keyOf = (kind, table, at) => [kind, table.dataset.name, ...(at === undefined ? [] : [at])].join(".");
  const isAbout = (key, table) =>
    ["sort", "find", "hide", "where"].some((kind) => `${key}.`.startsWith(`${keyOf(kind, table)}.`));

  /** Read what the address says of a table. */
  const said = (table, n) => {
    const text = (kind, at) => state.get(keyOf(kind, table, at));
    return {
      sort: partsOf(text("sort")).map((one) => [parseInt(one), one.endsWith(".desc") ? "desc" : "asc"]),
      find: text("find"),
      hide: partsOf(text("hide")).map(Number),
      where: Array.from({ length: n }, (_, at) => text("where", at)),
    };
  };
  const orderText = (order) =>
    order
      .filter(([, way]) => way)
      .map(([at, way]) => `${at}.${way}`)
      .join(",");

  /** Show what the address says of a table. */
  const follow = (known, { sort, find, hide, where }) => {
    if (JSON.stringify(known.order()) !== JSON.stringify(sort)) known.order(sort);
    known.columns().every(function (at) {
      this.visible(!hide.includes(at), false);
      this.search.fixed("condition", where[at] ? condition(where[at]) : null);
    });
    known.search(find).draw();
  };

  const textBox = (type, label, placeholder, oninput) =>
    element("input", { type, placeholder, "aria-label": label, autocomplete: "off", oninput });

  /** Make the switches of a table; they change the address, which table and switches follow. */
  const controls = (table, known) => {
    const about = formats.captionOf(table);
    const all = known.rows().count();
    const say = (kind, value, at) => state.set({ [keyOf(kind, table, at)]: value });
    const find = textBox("search", `Filter the rows of: ${about}`, "Filter rows", () =>
      say("find", find.value),
    );
    const count = element("output");
    const hidden = () => lines.flatMap((one, at) => (one.shown.checked ? [] : [at]));
    const line = (name, at) => {
      const shown = element("input", { type: "checkbox", onchange: () => say("hide", hidden().join(",")) });
      const where = textBox("text", `Condition on ${name}`, "any", () => say("where", where.value, at));
      return { shown, where, row: element("li", {}, element("label", {}, shown, ` ${name}`), where) };
    };
    const lines = known.columns().titles().toArray().map(line);
    const fill = (box, text) => box.value !== text && (box.value = text);
    const refresh = () => {
      const now = said(table, lines.length);
      follow(known, now);
      fill(find, now.find);
      lines.forEach((one, at) => {
        one.shown.checked = !now.hide.includes(at);
        fill(one.where, now.where[at]);
      });
      const n = known.rows({ search: "applied" }).count();
      count.textContent = n === all ? `${all} rows` : `${n} of ${all} rows`;
    };
    known.on("order", () => say("sort", orderText(known.order())));
    state.listen((changed) => [...changed].some((key) => isAbout(key, table)) && refresh());
    refresh();
    const help = "What is shown, and of which rows: a text that a column has, or a condition such as > 0.9";
    const list = element("ul", {}, ...lines.map((one) => one.row));
    const columns = menu("Columns", `Columns of: ${about}`, element("p", {}, help), list);
    return all < FILTERED_FROM ? [columns] : [find, count, columns];
  };
  return { areNumbers, valueOf, controls };
})();
