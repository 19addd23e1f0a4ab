// Tells an open page of a new message. Everything works without it.
"use strict";
(() => {
  const body = document.body;
  const news = document.getElementById("news");
  let source = null;
  let active = Date.now();
  // A tab that nobody looks at must not keep a session open: the stream is
  // asked for again only where somebody was active in the last 20 minutes.
  const idle = 20 * 60 * 1000;

  const listen = () => {
    if (source || !news || !body.dataset.events) return;
    source = new EventSource(body.dataset.events);
    source.addEventListener("mail", () => { news.hidden = false; });
    source.addEventListener("error", () => {
      source.close();
      source = null;
      setTimeout(() => { if (Date.now() - active < idle) listen(); }, 5000);
    });
  };
  const touched = () => {
    active = Date.now();
    if (!document.hidden) listen();
  };
  for (const kind of ["pointerdown", "keydown", "visibilitychange"]) {
    document.addEventListener(kind, touched, { passive: true });
  }
  listen();

  // Somebody who writes for long stays signed in.
  const form = document.querySelector("form[data-alive]");
  let told = Date.now();
  if (form) {
    form.addEventListener("input", () => {
      if (Date.now() - told < 3 * 60 * 1000) return;
      told = Date.now();
      fetch(form.dataset.alive, { credentials: "same-origin", cache: "no-store" }).catch(() => {});
    });
  }
})();
