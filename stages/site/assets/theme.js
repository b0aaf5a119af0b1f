"use strict";
// In the head, so that the page is never drawn in the other colours first.
try {
  const theme = localStorage.getItem("artificer-theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch { /* storage may be closed to files */ }
