// A prebuilt extension of JupyterLab, written by hand: it needs none of JupyterLab's modules, so there is nothing to build.
(() => {
  "use strict";
  const config = JSON.parse(document.getElementById("jupyter-config-data")?.textContent || "{}");
  const address = `${config.baseUrl || "/"}renku/me?no_track_activity=1`;
  const every = 60_000; // ms between two requests, while the page is visible
  let bar = null;
  let me = null; // the last response
  let before = null; // the element that had the focus before the bar
  let dismissed = ""; // time of the pause that the user has dismissed
  let timer = 0;

  async function ask(options = {}) {
    const xsrf = document.cookie.match(/(?:^|; )_xsrf=([^;]+)/)?.[1] ?? "";
    const answer = await fetch(address, { headers: { "X-XSRFToken": decodeURIComponent(xsrf) }, ...options });
    if (answer.status === 404) return null; // no session of a Renku hub
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.json();
  }

  function hide() {
    const focused = bar?.contains(document.activeElement);
    bar?.remove();
    bar = null;
    if (focused) before?.focus();
  }

  function button(text, look, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.className = `jp-Button jp-mod-styled ${look}`;
    made.style.marginInlineStart = "8px";
    made.addEventListener("click", act);
    return made;
  }

  /** Uses JupyterLab's own colours, so that dark themes stay dark. */
  function show() {
    const minutes = Math.max(1, Math.round(me.pauses_in / 60));
    const text = `“${me.title}” pauses in ${minutes} min because ${me.pauses_because}. Files in the working directory stay.`;
    if (!bar) {
      bar = document.createElement("section");
      bar.id = "renku-pause";
      bar.setAttribute("aria-label", "Pause of this session");
      bar.style.cssText =
        "position:fixed;inset-block-end:32px;inset-inline:0;margin:auto;width:fit-content;max-width:90vw;z-index:10000;padding:10px 14px;" +
        "background:var(--jp-layout-color1);color:var(--jp-ui-font-color1);border:2px solid var(--jp-warn-color0);" +
        "border-radius:4px;font-family:var(--jp-ui-font-family);font-size:var(--jp-ui-font-size1);box-shadow:var(--jp-elevation-z6)";
      const words = document.createElement("span");
      words.setAttribute("role", "status");
      bar.append(words);
      if (me.keep_awake_max > 0) bar.append(button("Keep awake", "jp-mod-accept", keep));
      bar.append(button("Dismiss", "jp-mod-reject", () => { dismissed = me.pauses_at; hide(); }));
      bar.addEventListener("focusin", (event) => {
        if (!bar?.contains(event.relatedTarget)) before = event.relatedTarget;
      });
      document.body.prepend(bar); // first in the page: editors and notebooks capture the Tab key
    }
    const words = bar.querySelector("[role=status]");
    if (words.textContent !== text) words.textContent = text;
  }

  function tell(said) {
    if (said === null) return stop();
    me = said;
    if (me.pauses_because && me.pauses_at !== dismissed) show(); else hide();
  }

  async function keep() {
    try {
      tell(await ask({ method: "POST", body: "{}" }));
    } catch (error) {
      if (bar) bar.querySelector("[role=status]").textContent = `The session could not be kept awake: ${error.message}.`;
    }
  }

  /** Hidden pages send no requests: their traffic would keep the session awake. */
  async function look() {
    if (document.hidden) return;
    try { tell(await ask()); } catch { /* retried at the next interval */ }
  }

  function stop() {
    hide();
    clearInterval(timer);
    document.removeEventListener("visibilitychange", look);
  }

  const plugin = {
    id: "renku-session:pause",
    description: "Says when this session pauses.",
    autoStart: true,
    activate: () => {
      timer = setInterval(look, every);
      document.addEventListener("visibilitychange", look);
      look();
    },
  };
  (window._JUPYTERLAB ||= {})["renku-session"] = {
    init: () => {},
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();
