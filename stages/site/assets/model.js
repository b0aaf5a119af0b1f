"use strict";
/* A model's page: the host switch, tabs, the plot's tooltip, and links that open the evidence. */
{
  const { el, state, keep } = Artificer;
  const buttons = [...document.querySelectorAll("[data-show]")];
  const names = buttons.map((button) => button.dataset.show);
  let host = names[0] || "";
  const showHost = (name) => {
    if (!names.includes(name)) return;
    host = name;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.show === name));
    for (const part of document.querySelectorAll("[data-host]")) part.hidden = part.dataset.host !== name;
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      showHost(button.dataset.show);
      keep({ host: host === names[0] ? "" : host });
    });
  }
  const open = (id) => {
    const found = document.getElementById(id);
    if (!(found instanceof HTMLDetailsElement)) return;
    found.open = true;
    found.scrollIntoView();
    found.querySelector("summary").focus({ preventScroll: true });
  };
  const read = () => {
    const hash = decodeURIComponent(location.hash.slice(1));
    if (hash.startsWith("v-")) return open(hash);
    const wanted = state();
    showHost(wanted.host || names[0]);
    if (wanted.variant) open("v-" + wanted.variant);
  };
  addEventListener("hashchange", read);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#v-"]');
    if (!link) return;
    event.preventDefault();
    const variant = link.getAttribute("href").slice(3);
    keep({ host: host === names[0] ? "" : host, variant });
    open("v-" + variant);
  });

  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const choose = (tab) => {
    for (const each of tabs) {
      const is = each === tab;
      each.setAttribute("aria-selected", String(is));
      each.tabIndex = is ? 0 : -1;
      document.getElementById(each.getAttribute("aria-controls")).hidden = !is;
    }
  };
  const step = (list, now, key) => {
    const places = { ArrowRight: now + 1, ArrowDown: now + 1, ArrowLeft: now - 1, ArrowUp: now - 1, Home: 0, End: list.length - 1 };
    return key in places ? list[(places[key] + list.length) % list.length] : null;
  };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const next = step(tabs, index, event.key);
      if (!next) return;
      event.preventDefault();
      choose(next);
      next.focus();
    });
  });

  for (const figure of document.querySelectorAll("figure")) {
    const tip = figure.querySelector(".tip");
    const points = [...figure.querySelectorAll(".pt")];
    const show = (point) => {
      tip.replaceChildren(el("strong", { text: point.dataset.name }), point.dataset.text);
      tip.hidden = false;
      const at = point.querySelector(".halo").getBoundingClientRect();
      const box = figure.getBoundingClientRect();
      const left = at.left + at.width / 2 - box.left - tip.offsetWidth / 2;
      tip.style.left = Math.max(6, Math.min(left, box.width - tip.offsetWidth - 6)) + "px";
      tip.style.top = Math.max(6, at.top - box.top - tip.offsetHeight - 4) + "px";
    };
    points.forEach((point, index) => {
      point.addEventListener("mouseenter", () => show(point));
      point.addEventListener("focus", () => show(point));
      for (const name of ["mouseleave", "blur"]) point.addEventListener(name, () => { tip.hidden = true; });
      const follow = () => point.dataset.target && open(point.dataset.target);
      point.addEventListener("click", follow);
      point.addEventListener("keydown", (event) => {
        if (event.key === "Escape") tip.hidden = true;
        if (event.key === "Enter") follow();
        const next = step(points, index, event.key);
        if (!next) return;
        event.preventDefault();
        point.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
      });
    });
  }
  read();
}
