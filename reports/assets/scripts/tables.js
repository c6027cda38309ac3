// Tables sort, filter and hide columns once they are in view (DataTables), and are saved or copied.

const tables = (() => {
  const SORTED_FROM = 2;

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
    const found = texts.flatMap((all, at) => (filters.areNumbers(all) ? [at] : []));
    for (const at of found) {
      columns[at].forEach((cell, row) => {
        const value = filters.valueOf(texts[at][row]);
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

  /** Make the menu that saves or copies what is shown of a table. */
  const saving = (table, name = table.dataset.name) => {
    const about = formats.captionOf(table);
    const kinds = [
      ["LaTeX", "tex", formats.latex],
      ["Markdown", "md", formats.markdown],
    ];
    const rows = kinds.map(([kind, ending, write]) => {
      const text = () => write(table, name);
      const button = (verb, onclick) =>
        element("button", { type: "button", "aria-label": `${verb} as ${kind}`, onclick }, verb);
      const file = `${fileName(name)}.${ending}`;
      return element(
        "li",
        {},
        kind,
        button("Save", () => saveAs(text(), file)),
        button("Copy", () => copy(text(), `${about}, ${kind}`)),
      );
    });
    return menu("LaTeX, Markdown", `Save or copy: ${about}`, element("ul", {}, ...rows));
  };

  const enhance = remembered(async (table) => {
    const bar = element("div", { class: "tools" });
    const scroll = table.closest(".scroll") ?? table;
    const holder = element("div", { class: "tabled" });
    const focused = scroll.contains(document.activeElement) ? document.activeElement : null;
    scroll.replaceWith(holder);
    holder.append(bar, scroll);
    focused?.focus({ preventScroll: true }); // what moves loses it
    if (canSort(table)) {
      const known = await sorted(table);
      bar.append(...filters.controls(table, known));
    }
    bar.append(saving(table));
  });

  /** Let the keyboard scroll what is wider than its box. */
  const letScroll = (box) => {
    if (box.scrollWidth <= box.clientWidth) return;
    const name = box.querySelector("table")?.caption
      ? formats.captionOf(box.querySelector("table"))
      : box.closest("section, dialog")?.id;
    Object.entries({ tabindex: 0, role: "region", "aria-label": name ?? "table" }).forEach((one) =>
      box.setAttribute(...one),
    );
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
