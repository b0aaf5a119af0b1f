"use strict";
/* Two builds side by side: changed verdicts first, what differs by no more than the noise marked as such. */
{
  const { el, badge, times, percent, small, size, state, keep } = Artificer;
  const NOISE = { speed: 0.05, quality: 0.001, diff: 0.1, size: 0.01 };
  const known = new Set([...document.querySelectorAll("#models option")].map((each) => each.value));
  const status = document.getElementById("status");
  const result = document.getElementById("result");
  const sides = { a: null, b: null };
  const names = { a: "", b: "" };
  const waiting = {};

  Artificer.model = (found) => {
    for (const side of waiting[found.slug] || []) if (names[side] === found.slug) place(side, found);
    delete waiting[found.slug];
  };
  const place = (side, found) => {
    sides[side] = found;
    document.getElementById("chosen-" + side).textContent = found
      ? `${found.slug}: ${found.source} at ${found.revision.replace(/^(sha256:)?(.{12}).*/, "$1$2")}, ${found.reference}` : "";
    show();
  };
  const load = (side, slug) => {
    names[side] = slug;
    keep({ a: names.a, b: names.b });
    if (!slug) return place(side, null);
    if (!known.has(slug)) return;
    (waiting[slug] ||= []).push(side);
    const script = el("script", { src: "data/models/" + encodeURIComponent(slug) + ".js" });
    script.addEventListener("load", () => script.remove());
    document.head.append(script);
  };
  const read = async (side, file) => {
    try {
      const found = Artificer.fromManifest(JSON.parse(await file.text()));
      names[side] = "";
      document.querySelector(`[name="${side}"]`).value = "";
      keep({ a: names.a, b: names.b });
      place(side, found);
    } catch (error) {
      place(side, null);
      status.textContent = `${file.name}: ${error.message}.`;
    }
  };

  const change = (kind, a, b, text, lessIsBetter) => {
    if (a == null && b == null) return el("td", { class: "n muted", text: "–" });
    if (a == null || b == null) return el("td", { class: "n", text: text(a) + " → " + text(b) });
    if (text(a) === text(b)) return el("td", { class: "n", text: text(a) });
    const gap = kind === "quality" ? Math.abs(b - a) : Math.abs(b - a) / Math.max(Math.abs(a), Math.abs(b));
    if (gap <= NOISE[kind]) return el("td", { class: "n muted", title: "within the noise", text: text(a) + " ≈ " + text(b) });
    const word = (b < a) === lessIsBetter ? "better" : "worse";
    return el("td", { class: "n " + word, text: text(a) + " → " + text(b) + " " }, el("span", { class: "word", text: word }));
  };
  const show = () => {
    const { a, b } = sides;
    result.hidden = !(a && b);
    if (!(a && b)) {
      status.textContent = a || b ? "Choose the other build." : "Choose two builds.";
      return;
    }
    const key = (row) => row.variant + " " + row.label;
    const [left, right] = [a, b].map((side) => new Map(side.rows.map((row) => [key(row), row])));
    const hosts = a.hosts.filter((host) => b.hosts.includes(host));
    const rows = [...new Set([...left.keys(), ...right.keys()])].map((name) => {
      const [x, y] = [left.get(name) || { speed: {} }, right.get(name) || { speed: {} }];
      return { x, y, changed: x.verdict !== y.verdict };
    });
    rows.sort((one, other) => other.changed - one.changed);
    const head = ["Execution", "Verdict", ...hosts.map((host) => ["Speed", host]), "Quality", "Max score diff", "Size", "Files"];
    const body = el("tbody");
    for (const { x, y, changed } of rows) {
      const name = el("th", { scope: "row" }, x.variant || y.variant, " ", el("span", { class: "sub", text: x.label || y.label }));
      const reason = y.reason || x.reason;
      if (reason) name.append(el("div", { class: "reason", text: reason }));
      const verdict = el("td", {});
      const one = (row) => row.verdict ? badge(row.verdict) : el("span", { class: "muted", text: "not there" });
      verdict.append(...(changed ? [one(x), " → ", one(y)] : [one(y)]));
      const bytes = !x.digest || !y.digest ? "–" : x.digest === y.digest ? "same" : "differ";
      body.append(el("tr", { class: changed ? "changed" : null }, name, verdict,
        ...hosts.map((host) => change("speed", x.speed[host], y.speed[host], times, false)),
        change("quality", x.quality, y.quality, percent, false),
        change("diff", x.diff, y.diff, small, true),
        change("size", x.size || null, y.size || null, size, true),
        el("td", { class: "muted", text: bytes })));
    }
    result.replaceChildren(el("table", { class: "compared" },
      el("thead", {}, el("tr", {}, ...head.map((name, index) => {
        const [text, host] = [name].flat();
        const cell = el("th", { scope: "col", class: index > 1 && text !== "Files" ? "n" : null, text });
        if (host) cell.append(" ", el("span", { class: "sub", text: host }));
        return cell;
      }))), body));
    const count = (selector) => body.querySelectorAll(selector).length;
    const verdicts = rows.filter((row) => row.changed).length;
    status.textContent = `${verdicts} verdict${verdicts === 1 ? "" : "s"} changed, ${count(".worse")} figures worse, ${count(".better")} better. `
      + "≈ marks what lies within the noise: speed 5%, quality 0.1 point, score difference 10%."
      + (hosts.length ? "" : " No host measured both.");
  };

  for (const side of ["a", "b"]) {
    const box = document.getElementById("side-" + side);
    box.querySelector("[list]").addEventListener("input", (event) => load(side, event.target.value.trim()));
    box.querySelector('[type="file"]').addEventListener("change", (event) => {
      if (event.target.files[0]) read(side, event.target.files[0]);
    });
    box.addEventListener("dragover", (event) => { event.preventDefault(); box.classList.add("over"); });
    box.addEventListener("dragleave", () => box.classList.remove("over"));
    box.addEventListener("drop", (event) => {
      event.preventDefault();
      box.classList.remove("over");
      if (event.dataTransfer.files[0]) read(side, event.dataTransfer.files[0]);
    });
  }
  const follow = () => {
    const wanted = state();
    for (const side of ["a", "b"]) {
      if ((wanted[side] || "") === names[side]) continue;
      document.querySelector(`[name="${side}"]`).value = wanted[side] || "";
      load(side, wanted[side] || "");
    }
  };
  addEventListener("hashchange", follow);
  follow();
}
