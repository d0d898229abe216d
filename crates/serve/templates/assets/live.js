// Keeps a page as new as what it shows. Without it the page is as new as its last load.
"use strict";
(() => {
  const main = document.querySelector("main[data-live]");
  if (!main || !window.EventSource) return;
  const status = document.getElementById("live");
  let shown = null;
  let isLoading = false;
  let isOld = false;

  const say = (text) => {
    if (status && status.textContent !== text) status.textContent = text;
  };

  // Keyboards stay where they are, if what they were at is still there.
  const replace = (old, young) => {
    const at = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    old.replaceWith(young);
    if (at) young.querySelector(`[href="${CSS.escape(at)}"]`)?.focus();
  };

  const load = async () => {
    if (isLoading) {
      isOld = true;
      return;
    }
    isLoading = true;
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-refresh]")) {
        const young = page.getElementById(old.id);
        if (young && young.innerHTML !== old.innerHTML) replace(old, document.importNode(young, true));
      }
    } catch {
      // The service stopped meanwhile: the stream says so, and when it is there again.
    } finally {
      isLoading = false;
      if (isOld) {
        isOld = false;
        load();
      }
    }
  };

  const move = ({ id, percent, words }) => {
    for (const at of document.querySelectorAll(`[data-export="${CSS.escape(id)}"]`)) {
      const bar = at.querySelector("progress");
      const text = at.querySelector(".words");
      if (bar && percent !== undefined) bar.value = percent;
      if (text && at !== main) text.textContent = words;
    }
  };

  const source = new EventSource("/api/v1/live");
  source.onopen = () => say("· live");
  source.onerror = () => say("· not connected");
  source.onmessage = ({ data }) => {
    const told = JSON.parse(data);
    const now = JSON.stringify([told.exports, told.troubles, told.changed_at]);
    const isNew = shown === null ? String(told.changed_at) !== main.dataset.changedAt : now !== shown;
    shown = now;
    if (isNew) load();
    told.running.forEach(move);
  };
})();
