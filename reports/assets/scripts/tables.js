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

  // What is sorted, found and hidden is in the address, under the name of the table.
  const KEYS = ["sort", "find", "hide", "where"];
  const keyOf = (kind, table) => `${kind}.${table.dataset.name}`;
  const listOf = (text) => text.split(".").filter(Boolean).map(Number);
  const conditionsOf = (text) => new Map(text.split("&").filter(Boolean).map((one) => [parseInt(one), one.slice(one.indexOf(":") + 1)]));

  /** Show what the address says of a table. */
  const follow = (table, known) => {
    const said = (kind) => state.get(keyOf(kind, table));
    const [, column, direction] = /^(\d+)\.(asc|desc)$/.exec(said("sort")) ?? [];
    const order = column === undefined ? [] : [[+column, direction]];
    if (JSON.stringify(known.order()) !== JSON.stringify(order)) known.order(order);
    const hidden = listOf(said("hide"));
    const conditions = conditionsOf(said("where"));
    known.columns().every(function (at) {
      this.visible(!hidden.includes(at), false);
      const text = conditions.get(at) ?? "";
      this.search.fixed("condition", text ? condition(text) : null);
    });
    known.search(said("find")).draw();
  };

  const names = (known) => known.columns().titles().toArray();

  /** Make the switches of a table; they change the address, which the table follows. */
  const controls = (table, known) => {
    const set = (kind, value) => state.set({ [keyOf(kind, table)]: value });
    const about = formats.captionOf(table);
    const all = known.rows().count();
    const find = element("input", {
      type: "search", placeholder: "Filter rows", "aria-label": `Filter the rows of: ${about}`, autocomplete: "off",
      oninput: () => set("find", find.value),
    });
    const count = element("output");
    const columns = names(known).map((name, at) => {
      const shown = element("input", {
        type: "checkbox",
        onchange: () => set("hide", columns.flatMap((one, index) => (one.shown.checked ? [] : [index])).join(".")),
      });
      const where = element("input", {
        type: "text", placeholder: "any", "aria-label": `Condition on ${name}`, autocomplete: "off",
        oninput: () => set("where", columns.flatMap((one, index) => (one.where.value ? [`${index}:${one.where.value}`] : [])).join("&")),
      });
      return { shown, where, row: element("li", {}, element("label", {}, shown, ` ${name}`), where) };
    });
    const refresh = () => {
      const hidden = listOf(state.get(keyOf("hide", table)));
      const conditions = conditionsOf(state.get(keyOf("where", table)));
      const filled = (box, text) => box.value !== text && (box.value = text);
      filled(find, state.get(keyOf("find", table)));
      columns.forEach((one, at) => {
        one.shown.checked = !hidden.includes(at);
        filled(one.where, conditions.get(at) ?? "");
      });
      const n = known.rows({ search: "applied" }).count();
      count.textContent = n === all ? `${all} rows` : `${n} of ${all} rows`;
    };
    known.on("order", () => {
      const [first] = known.order();
      set("sort", first?.[1] ? `${first[0]}.${first[1]}` : "");
    });
    const help = element("p", {}, "What is shown, and of which rows: a text that a column has, or a condition such as > 0.9");
    const chooser = menu("Columns", `Columns of: ${about}`, help, element("ul", {}, ...columns.map((one) => one.row)));
    return { parts: all < FILTERED_FROM ? [chooser] : [find, count, chooser], refresh };
  };

  /** Make the menu that saves or copies what is shown of a table. */
  const saving = (table) => {
    const about = formats.captionOf(table);
    const kinds = [["LaTeX", "tex", formats.latex], ["Markdown", "md", formats.markdown]];
    const rows = kinds.map(([name, ending, write]) => {
      const text = () => write(table, document.title);
      const button = (verb, onclick) => element("button", { type: "button", "aria-label": `${verb} as ${name}`, onclick }, verb);
      const file = `${fileName(table.dataset.name)}.${ending}`;
      return element("li", {}, name, button("Save", () => saveAs(text(), file)), button("Copy", () => copy(text(), `${about}, ${name}`)));
    });
    return menu("LaTeX, Markdown", `Save or copy: ${about}`, element("ul", {}, ...rows));
  };

  const enhance = remembered(async (table) => {
    const bar = element("div", { class: "tools" });
    const scroll = table.closest(".scroll") ?? table;
    const holder = element("div", { class: "tabled" });
    scroll.replaceWith(holder);
    holder.append(bar, scroll);
    if (canSort(table)) {
      const known = await sorted(table);
      const { parts, refresh } = controls(table, known);
      bar.append(...parts);
      const all = () => {
        follow(table, known);
        refresh();
      };
      state.listen((changed) => KEYS.some((kind) => changed.has(keyOf(kind, table))) && all());
      all();
    }
    bar.append(saving(table));
  });

  /** Let the keyboard scroll what is wider than its box. */
  const letScroll = (box) => {
    if (box.scrollWidth <= box.clientWidth) return;
    const name = box.querySelector("table")?.caption ? formats.captionOf(box.querySelector("table")) : box.closest("section, dialog")?.id;
    Object.entries({ tabindex: 0, role: "region", "aria-label": name ?? "table" }).forEach((one) => box.setAttribute(...one));
  };

  /** Enhance the tables inside an element when they come into view. */
  const watch = (root) => {
    if (!canUnpack || !("popover" in root)) return;
    const watcher = new IntersectionObserver(
      (entries) => {
        for (const entry of entries.filter((one) => one.isIntersecting)) {
          watcher.unobserve(entry.target);
          if (entry.target.matches(".scroll")) letScroll(entry.target);
          else enhance(entry.target);
        }
      },
      { rootMargin: "300px" },
    );
    root.querySelectorAll("table[data-name], .scroll").forEach((one) => watcher.observe(one));
  };
  return { watch, saving };
})();
