"use strict";
/* The leaderboard: filters and sorts all rows, and draws those in sight. data/leaderboard.js calls it. */
Artificer.leaderboard = (data) => {
  const { el, badge, times, percent, small, size, state, keep } = Artificer;
  const VERDICTS = ["passed", "failed", "unsupported", "unproven"];
  const form = document.getElementById("filters");
  const [board, body, head, empty] = ["board", "rows", "head", "empty"].map((id) => document.getElementById(id));
  const phone = matchMedia("(max-width: 720px)");
  const field = Object.fromEntries([...form.elements].filter((each) => each.name).map((each) => [each.name, each]));
  const kindOf = (row) => data.kinds[data.kind[row]];
  const texts = data.kind.map((kind, row) =>
    [...data.models[data.model[row]].slice(0, 2), ...data.kinds[kind].slice(0, 4)].join(" ").toLowerCase());
  const COLUMNS = [
    ["model", "Model", (row) => data.models[data.model[row]][0]],
    ["variant", "Variant", (row) => kindOf(row)[0]],
    ["verdict", "Verdict", (row) => host.verdict[row]],
    ["speed", "Speed", (row) => host.speed[row], true],
    ["quality", "Quality", (row) => data.quality[row], true],
    ["diff", "Max score diff", (row) => host.diff[row], true],
    ["size", "Size", (row) => data.size[row] || null, true],
    ["passed", "Passed", (row) => data.models[data.model[row]][2], true],
  ];
  const LARGEST_FIRST = ["speed", "quality", "passed"];
  const DEFAULTS = { q: "", host: data.hosts[0].name, runtime: "", precision: "", verdict: "", rows: "best", sort: "-speed" };
  let host = data.hosts[0];
  let order = [];
  let best = new Set();
  let wanted = { ...DEFAULTS };
  const drawn = new Map();

  const add = (select, values) => select.append(...values.map((value) => el("option", { value, text: value })));
  const unique = (index) => [...new Set(data.kinds.map((kind) => kind[index]))].sort();
  add(field.host, data.hosts.map((each) => each.name));
  add(field.runtime, unique(2));
  add(field.precision, unique(3));
  add(field.verdict, VERDICTS);
  for (const [name, title, , isNumber] of COLUMNS) {
    field.sort.append(el("option", { value: (LARGEST_FIRST.includes(name) ? "-" : "") + name, text: title }));
    const button = el("button", { type: "button", text: title });
    button.addEventListener("click", () => {
      const first = (LARGEST_FIRST.includes(name) ? "-" : "") + name;
      const other = first.startsWith("-") ? name : "-" + name;
      change({ sort: wanted.sort === first ? other : first });
    });
    head.append(el("span", { role: "columnheader", class: "c-" + name + (isNumber ? " n" : ""), "data-sort": name }, button));
  }

  const isBetter = (one, other) => {
    const rank = (row) => [host.verdict[row] === 0 && host.fit[row] ? 1 : 0, host.speed[row] ?? -1];
    const [a, b] = [rank(one), rank(other)];
    return a[0] - b[0] || a[1] - b[1];
  };
  const bestRows = (rows) => {
    const found = new Map();
    for (const row of rows) {
      const known = found.get(data.model[row]);
      if (known === undefined || isBetter(row, known) > 0) found.set(data.model[row], row);
    }
    return [...found.values()];
  };
  const select = () => {
    host = data.hosts.find((each) => each.name === wanted.host) || data.hosts[0];
    const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    const verdict = VERDICTS.indexOf(wanted.verdict);
    const all = data.kind.map((_, row) => row);
    best = new Set(bestRows(all).filter((row) => host.verdict[row] === 0 && host.fit[row] && host.speed[row] !== null));
    let rows = all.filter((row) => {
      const kind = kindOf(row);
      return (!wanted.runtime || kind[2] === wanted.runtime) && (!wanted.precision || kind[3] === wanted.precision)
        && (verdict < 0 || host.verdict[row] === verdict) && words.every((word) => texts[row].includes(word));
    });
    if (wanted.rows === "best") rows = bestRows(rows);
    const name = wanted.sort.replace("-", "");
    const [, , value] = COLUMNS.find(([column]) => column === name) || COLUMNS[3];
    const sign = wanted.sort.startsWith("-") ? -1 : 1;
    const keys = new Map(rows.map((row) => [row, value(row)]));
    order = rows.sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      if (x === y) return a - b;
      if (x === null) return 1;
      if (y === null) return -1;
      return (x < y ? -1 : 1) * sign;
    });
  };

  const line = (row, index) => {
    const [slug, , passed, total] = data.models[data.model[row]];
    const [variant, label, , , isDefault, requires] = kindOf(row);
    const verdict = VERDICTS[host.verdict[row]];
    const page = "models/" + slug + ".html#" + new URLSearchParams(host.name ? { host: host.name } : {});
    const detail = el("span", { class: "sub", text: label });
    if (isDefault) detail.append(" ", el("span", { class: "chip", text: "runtime’s default" }));
    if (!host.fit[row]) detail.append(" ", el("span", { class: "chip", text: "needs " + requires }));
    const cell = (name, label, text) => el("span", { role: "cell", class: "n c-" + name, "data-label": label, text });
    const found = el("div", { role: "row", "aria-rowindex": index + 2, class: "row is-" + verdict + (wanted.rows === "all" && best.has(row) ? " is-best" : "") },
      el("span", { role: "cell", class: "c-name" }, el("a", { href: page, class: "name ellipsis", text: slug })),
      el("span", { role: "cell", class: "c-variant" },
        el("a", { href: page + "&variant=" + encodeURIComponent(variant), class: "ellipsis", text: variant }), detail),
      el("span", { role: "cell", class: "c-verdict" }, badge(verdict)),
      el("span", { role: "presentation", class: "figures" },
        cell("speed", "Speed", times(host.speed[row] === null ? null : host.speed[row] / 100)),
        cell("quality", "Quality", percent(data.quality[row] === null ? null : data.quality[row] / 10000)),
        cell("diff", "Max diff", small(host.diff[row])),
        cell("size", "Size", size(data.size[row])),
        cell("passed", "Passed", passed + " of " + total)));
    return found;
  };
  const draw = () => {
    const height = phone.matches ? 108 : 54;
    const top = body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / height) - 12);
    const last = Math.min(order.length, Math.ceil((innerHeight - top) / height) + 12);
    for (const [index, node] of drawn) {
      if ((index < first || index >= last) && !node.contains(document.activeElement)) {
        node.remove();
        drawn.delete(index);
      }
    }
    for (let index = first; index < last; index++) {
      if (drawn.has(index)) continue;
      const node = line(order[index], index);
      node.style.top = index * height + "px";
      drawn.set(index, node);
      const next = [...drawn.keys()].filter((each) => each > index).sort((a, b) => a - b)[0];
      body.insertBefore(node, next === undefined ? null : drawn.get(next));
    }
  };
  const show = () => {
    for (const [name, input] of Object.entries(field)) if (input.value !== wanted[name]) input.value = wanted[name];
    select();
    for (const node of drawn.values()) node.remove();
    drawn.clear();
    body.style.height = order.length * (phone.matches ? 108 : 54) + "px";
    board.setAttribute("aria-rowcount", order.length + 1);
    board.hidden = !order.length;
    empty.hidden = order.length > 0;
    for (const cell of head.children) {
      const is = wanted.sort.replace("-", "") === cell.dataset.sort;
      const up = !wanted.sort.startsWith("-");
      cell.setAttribute("aria-sort", is ? (up ? "ascending" : "descending") : "none");
      const title = COLUMNS.find(([name]) => name === cell.dataset.sort)[1];
      cell.firstChild.textContent = title + (is ? (up ? " ↑" : " ↓") : "");
    }
    summarise();
    const missing = data.models.length - host.measured.length;
    const shown = new Set(order.map((row) => data.model[row])).size;
    const count = (number, word) => number.toLocaleString("en") + " " + word + (number === 1 ? "" : "s");
    document.getElementById("about").textContent = host.name
      ? "Figures of " + host.name + ": " + host.about : "No model was benchmarked.";
    document.getElementById("status").textContent = count(order.length, "row") + " of " + count(shown, "model")
      + (host.name && missing ? "; " + count(missing, "model") + (missing === 1 ? " was" : " were") + " not measured on this host" : "");
    draw();
  };
  const median = (values) => {
    const sorted = values.sort((a, b) => a - b);
    const half = sorted.length >> 1;
    return !sorted.length ? null : sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  };
  const summarise = () => {
    const rows = [...best];
    const speed = median(rows.map((row) => host.speed[row]));
    const quality = median(rows.map((row) => data.quality[row]).filter((value) => value !== null));
    const proven = host.verdict.filter((verdict) => verdict === 0).length;
    const card = (name, value, detail) => el("section", { class: "card" + (name === "Speed" ? " best" : "") },
      el("h2", { text: name }), el("p", { class: "big" + (value === null ? " none" : ""), text: value ?? "–" }),
      el("p", { class: "muted", text: detail }));
    const many = data.models.length > 1;
    document.getElementById("summary").replaceChildren(
      card("Speed", speed === null ? null : times(speed / 100), (many ? "torch float32, the median of " : "torch float32, ") + "the fastest proven" + (many ? " of each model" : "")),
      card("Quality", quality === null ? null : percent(quality / 10000), "of torch float32’s, the same executions"),
      card("Proven", host.verdict.length ? Math.round(100 * proven / host.verdict.length) + "%" : null,
        proven.toLocaleString("en") + " of " + host.verdict.length.toLocaleString("en") + " executions on this host"));
  };
  const change = (changes) => {
    wanted = { ...wanted, ...changes };
    keep(Object.fromEntries(Object.entries(wanted).filter(([name, value]) => value !== DEFAULTS[name])));
    show();
  };
  const read = () => {
    wanted = { ...DEFAULTS };
    for (const [name, value] of Object.entries(state())) {
      const input = field[name];
      if (!input || !(name in DEFAULTS)) continue;
      const known = !input.options || [...input.options].some((each) => each.value === value);
      if (known || (name === "sort" && COLUMNS.some(([column]) => column === value.replace("-", "")))) wanted[name] = value;
    }
    show();
  };
  form.addEventListener("input", (event) => change({ [event.target.name]: event.target.value }));
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("reset").addEventListener("click", () => change({ ...DEFAULTS, host: wanted.host }));
  addEventListener("hashchange", read);
  addEventListener("scroll", draw, { passive: true });
  addEventListener("resize", show);
  read();
};
