"use strict";
/* What all pages share: colours, copying, the state in the address, figures as text. */
const Artificer = {
  el(tag, attributes = {}, ...children) {
    const found = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") found.textContent = value;
      else if (value !== null && value !== undefined && value !== false) found.setAttribute(name, value);
    }
    found.append(...children);
    return found;
  },
  state() {
    return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  },
  keep(state) {
    const kept = Object.entries(state).filter(([, value]) => value);
    history.replaceState(null, "", kept.length ? "#" + new URLSearchParams(kept) : location.pathname + location.search);
  },
  badge(verdict) {
    const mark = { passed: "✓", failed: "✕", unsupported: "–", unproven: "?" }[verdict];
    return Artificer.el("span", { class: "badge " + verdict },
      Artificer.el("span", { "aria-hidden": "true", text: mark }), " " + verdict);
  },
  none: "–",
  times: (value) => value == null ? "–" : value.toFixed(2) + "×",
  percent: (value) => value == null ? "–" : (100 * value).toFixed(2) + "%",
  small: (value) => value == null ? "–" : value === 0 ? "0" : value.toExponential(1).replace("e+", "e"),
  size(value) {
    if (!value) return "–";
    for (const unit of ["B", "kB", "MB"]) {
      if (value < 1000) return (unit === "B" ? value : value.toFixed(1)) + " " + unit;
      value /= 1000;
    }
    return value.toFixed(2) + " GB";
  },
};
{
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const themes = ["", "light", "dark"];
  const names = { "": "as the system", light: "light", dark: "dark" };
  const words = { "": "Auto", light: "Light", dark: "Dark" };
  const show = () => {
    const now = root.dataset.theme || "";
    button.setAttribute("aria-label", "Colours: " + names[now]);
    button.querySelector(".word").textContent = words[now];
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme || "") + 1) % themes.length];
    if (next) root.dataset.theme = next;
    else delete root.dataset.theme;
    try { localStorage.setItem("artificer-theme", next); } catch { /* not kept */ }
    show();
  });
  show();
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (!copy) return;
    let word = "Copied";
    try {
      await navigator.clipboard.writeText(copy.dataset.copy);
    } catch {
      const area = Artificer.el("textarea", { class: "sr", "aria-hidden": "true" });
      area.value = copy.dataset.copy;
      document.body.append(area);
      area.select();
      if (!document.execCommand("copy")) word = "Press Ctrl+C";
      area.remove();
      copy.focus();
    }
    copy.textContent = word;
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });
}
