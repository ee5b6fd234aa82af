// Makes Renku's pages live. Each page is complete without it; all markup comes from the server:
// a part is renewed by taking the element of the same id from a freshly rendered page.
const main = document.getElementById("main");
const said = document.getElementById("rk-said");
const say = (text) => { if (said) said.textContent = text; };
const on = (type, selector, handle) => document.addEventListener(type, (event) => {
  const element = event.target.closest?.(selector);
  if (element) handle(element, event);
});

// ---- parts -------------------------------------------------------------------------------------

const served = new WeakMap();                                         // element -> its markup as the server gave it
const markup = (element) => element.outerHTML.replace(/ data-elapsed="\d+"/g, "");  // what only lasts has not changed
const parts = () => [...document.querySelectorAll("[data-session]")];

/** Fetch a page of ours; an error page or the login page is an error. */
async function load(url, options = {}) {
  const response = await fetch(url, { headers: { Accept: "text/html" }, ...options });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const ours = page.querySelector("main.rk");
  const words = page.querySelector("#message, #errors li")?.textContent.trim();
  const instead = page.getElementById("instead");                      // what could make room for a start that was refused
  if (!response.ok) throw Object.assign(new Error(words || response.statusText || `error ${response.status}`), { instead });
  if (!ours) throw new Error("you are not logged in any more");
  return page;
}

/** Put `fresh` in place of `old`; the focus stays on the same control, or on the next most likely one. */
function place(old, fresh) {
  const focused = old.contains(document.activeElement) && document.activeElement;
  const same = focused && ["formaction", "href", "id"].find((name) => focused.getAttribute(name));
  for (const fold of old.querySelectorAll("details[open][id]")) fresh.querySelector(`#${fold.id}`)?.setAttribute("open", "");
  for (const typed of old.querySelectorAll("input.form-control[id]")) {  // also what was typed since the question was sent
    const field = fresh.querySelector(`#${typed.id}`);
    if (field) field.value = typed.value;
  }
  old.replaceWith(fresh);
  prepare(fresh);
  if (!focused) return;
  const control = same && fresh.querySelector(`[${same}="${CSS.escape(focused.getAttribute(same))}"]:not(:disabled)`);
  const next = control ?? fresh.querySelector(".rk-actions > .btn-primary:not(:disabled)") ?? fresh.querySelector(".rk-actions > :is(a, button):not(:disabled)") ?? fresh;
  if (next === fresh) fresh.tabIndex = -1;
  next.focus();
  if (next === control && next.matches("input.form-control")) next.setSelectionRange(focused.selectionStart, focused.selectionEnd);
}

/** Renew each part that the freshly rendered `page` shows differently. */
function update(page) {
  for (const old of parts()) {
    const fresh = page.getElementById(old.id);
    if (!fresh || markup(fresh) === served.get(old) || old.getAttribute("aria-busy")) continue;
    const changed = fresh.dataset.status !== old.dataset.status;
    if (!changed && old.querySelector(".rk-menu[open], select:focus")) continue;
    place(old, fresh);
    const title = fresh.dataset.title ?? fresh.querySelector("h3")?.textContent;
    if (changed && title) say(`${title}: ${fresh.dataset.status}`);
  }
  follow();
  lead();
}

let reading = null;
let again = false;

/** Fetch this page and renew what has changed; asked again meanwhile, fetch once more. */
function reread() {
  again = Boolean(reading);
  reading ??= (async () => {
    do { again = false; update(await load(location.href)); } while (again);
  })().catch(() => {}).finally(() => { reading = null; });            // the next event, tick or focus tries again
  return reading;
}

/** Say a failure where it happened; never send a form twice on our own. */
function fail(element, error, advice = "Load the page again to see how things stand.") {
  element.querySelector(":scope > [role=alert]")?.remove();
  const note = document.createElement("p");
  note.className = "alert alert-danger m-2";
  note.setAttribute("role", "alert");
  note.textContent = `That did not work: ${error.message.replace(/[.]$/, "")}. ${advice}`;
  document.getElementById("instead")?.remove();
  element.append(note);
  if (!error.instead) return;
  element.append(error.instead);
  for (const form of error.instead.querySelectorAll("form")) form.dataset.live = "#instead";
}

/** There is room now: what was refused is the next step again. */
function made(instead) {
  const card = instead.parentElement;
  card.querySelector(":scope > [role=alert]")?.remove();
  instead.remove();
  card.querySelector(".rk-actions .btn-primary:not(:disabled)")?.focus();
}

// ---- forms that answer in place: <form data-live="#session-…"> ---------------------------------

on("submit", "form[data-live]", async (form, event) => {
  event.preventDefault();
  const part = document.querySelector(form.dataset.live);
  if (part.getAttribute("aria-busy")) return;                         // a second click while the first is under way
  part.setAttribute("aria-busy", "true");
  const button = event.submitter;
  const url = button?.hasAttribute("formaction") ? button.formAction : form.action;
  try {
    const page = await load(url, { method: "POST", body: new URLSearchParams(new FormData(form, button)) });
    part.removeAttribute("aria-busy");
    opening = findStarted(form, url) ?? opening;
    const shown = part.id && page.getElementById(part.id);
    if (shown) update(page); else await reread();
    if (part.id === "instead") made(part);
    if (page.getElementById("said")) say(page.getElementById("said").textContent.trim());
  } catch (error) {
    part.removeAttribute("aria-busy");
    fail(part, error);
  }
});

on("click", "a[data-renews]", (link, event) => {                       // a link to this very page, to see how things stand
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  reread();
});

// ---- a start leads into the session: it opens here as soon as it answers ------------------------

const OPENING = "renku-opening";                                      // in this tab: what was started, for the page that follows
const PREFERENCE = `renku-open-when-ready:${window.jhdata?.user ?? ""}`;
const FOLLOWED = 60_000;                                              // ms; a page that comes later was not led to by the start
const titled = document.title;
let opening = null;                                                   // the session that was started here last

/** The session that a form starts; nothing for any other form. */
const findStarted = (form, url) => form.dataset.leads ?? new URL(url).pathname.match(/\/sessions\/([a-z0-9]{12})\/(?:start|resume)$/)?.[1];

const showPreference = (root) => {
  for (const box of root.querySelectorAll("[data-leads][type=checkbox]")) {
    box.checked = opening === box.closest("[data-session]").dataset.session && localStorage.getItem(PREFERENCE) !== "no";
  }
};

/** Go on into the session that was started here, unless the user looks elsewhere or types: then the page only says so. */
function lead() {
  const part = opening && parts().find((one) => one.dataset.session === opening && one.querySelector(".rk-actions"));
  if (!part || part.dataset.status === "launching") return;
  const open = part.dataset.status === "running" && part.querySelector(".rk-actions > a.btn-primary");
  opening = null;
  if (!open) return;
  if (document.hidden) document.title = `ready: ${titled}`;
  else if (localStorage.getItem(PREFERENCE) !== "no" && !document.activeElement?.matches("input:not([type=checkbox]), textarea, select")) location.assign(open.href);
}

on("change", "[data-leads][type=checkbox]", (box) => {
  localStorage.setItem(PREFERENCE, box.checked ? "yes" : "no");
  if (box.checked) opening = box.closest("[data-session]").dataset.session;
  showPreference(document);
});
on("submit", "form:not([data-live])", (form, { submitter }) => {
  opening = findStarted(form, submitter?.hasAttribute("formaction") ? submitter.formAction : form.action) ?? opening;
});
window.addEventListener("pagehide", () => { if (opening) sessionStorage.setItem(OPENING, JSON.stringify({ session: opening, at: Date.now() })); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) document.title = titled; });

/** Take over what the page before this one has started, if this one shows it. */
function takeOver() {
  const { session, at } = JSON.parse(sessionStorage.getItem(OPENING) ?? "{}");
  sessionStorage.removeItem(OPENING);
  if (Date.now() - at < FOLLOWED && parts().some((part) => part.dataset.session === session)) opening = session;
}

// ---- my instances as they change: <main data-events="…/events?ticket=…">, one stream a page ------

const QUIET = 10_000;                                                 // ms; the server says something every 8 s
const heard = new Map();                                              // session -> the last status that the stream told
let stream = null;
let silence = 0;
let polling = 0;

const settle = () => { if (parts().some((part) => (heard.get(part.dataset.session) ?? part.dataset.status) !== part.dataset.status)) reread(); };

/** Listen while the page shows an instance; a page in the background only while something starts or stops. */
function follow() {
  const statuses = parts().map((part) => part.dataset.status);
  const wanted = document.hidden ? ["launching", "stopping"] : ["launching", "stopping", "running", "paused", "failed", "unknown"];
  if (!main?.dataset.events || !statuses.some((status) => wanted.includes(status))) return unfollow();
  if (!stream && !polling) listen();
}

function unfollow() {
  stream?.close();
  stream = null;
  clearTimeout(silence);
  clearInterval(polling);
  polling = 0;
}

function listen() {
  stream?.close();
  heard.clear();
  const source = stream = new EventSource(main.dataset.events);
  const wait = () => { clearTimeout(silence); silence = setTimeout(poll, QUIET); };
  const alive = () => { clearInterval(polling); polling = 0; wait(); };
  source.addEventListener("open", wait);
  source.addEventListener("ping", () => { alive(); settle(); if (document.querySelector("[data-stages], [data-pauses]")) reread(); });
  source.addEventListener("message", ({ data }) => { alive(); tell(JSON.parse(data)); });
  source.addEventListener("replaced", poll);                            // newer pages of the same person took its place
  source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED && source === stream) poll(); });
  wait();
}

/** Nothing is heard: a proxy on the way holds events back, or there are too many streams. Read the page instead, and try the stream once a minute. */
function poll() {
  unfollow();
  let ticks = 0;
  polling = setInterval(() => { reread(); if (++ticks % 12 === 0) listen(); }, 5000);
  reread();
}

function tell(news) {
  heard.set(news.session, news.status);
  if (news.pauses_because) reread();                                  // pings then keep the minutes right
  for (const part of parts().filter((one) => one.dataset.session === news.session && one.dataset.status === news.status)) {
    const stage = part.querySelector("[data-field=stage]");
    const bar = part.querySelector("[data-field=progress]");
    const clock = part.querySelector("[data-elapsed]");
    if (stage && news.stage_text && stage.textContent !== news.stage_text) {
      say(stage.textContent = news.stage_text);
      if ("stages" in part.dataset && part.dataset.stages !== news.stage) reread();
    }
    if (bar && news.progress == null) bar.removeAttribute("value"); else if (bar) bar.value = news.progress;
    if (clock && news.elapsed != null) clock.began = Date.now() - 1000 * news.elapsed;
  }
  settle();
}

const look = ({ type, persisted }) => {                                 // the user comes back to this page
  if (!main?.dataset.events || (type === "pageshow" && !persisted)) return;
  if (polling) listen();
  reread();
};
for (const type of ["focus", "online", "pageshow"]) window.addEventListener(type, look);
document.addEventListener("visibilitychange", follow);

// ---- checks while typing: <fieldset data-check="url" data-renew="#fit"> -------------------------

/** Show a field as the server sees it, right or wrong, where what is wrong with it is on the page. */
function mark(field, fresh) {
  if (!fresh || (fresh.ariaInvalid && !document.getElementById(`${field.id}-error`))) return;
  for (const name of ["class", "aria-invalid", "aria-describedby"]) {
    if (fresh.hasAttribute(name)) field.setAttribute(name, fresh.getAttribute(name)); else field.removeAttribute(name);
  }
}

const questions = new Map();                                          // what is to be renewed -> the question about it
on("input", "[data-check]", (group) => {
  const older = questions.get(group.dataset.renew);
  clearTimeout(older?.timer);
  older?.abort.abort();
  const abort = new AbortController();
  const part = () => document.querySelector(group.dataset.renew);
  part().setAttribute("aria-busy", "true");                           // what stands there is the answer to an older question
  const timer = setTimeout(() => {
    const body = new URLSearchParams(new FormData(group.closest("form")));
    load(group.dataset.check, { method: "POST", body, signal: abort.signal }).then((page) => {
      const fresh = page.querySelector(group.dataset.renew);
      place(part(), fresh);
      for (const field of group.querySelectorAll("input[id]")) mark(field, page.getElementById(field.id));
      say(fresh.dataset.said ?? "");
    }, (error) => {
      if (abort.signal.aborted) return;
      part().removeAttribute("aria-busy");
      part().querySelector("#verdict")?.remove();
      fail(part(), error, "It is asked again when you type, or press the button.");
    });
  }, 700);
  questions.set(group.dataset.renew, { timer, abort });
});

// ---- what was not known yet when the page was made: <div id="…" data-later> ---------------------

async function later(tries = 4) {
  const part = document.querySelector("[data-later]");
  if (!part || !tries) return;
  await new Promise((done) => { setTimeout(done, 1500); });
  const fresh = (await load(location.href)).getElementById(part.id);
  if (fresh) place(part, fresh);
  await later(tries - 1);
}
later().catch(() => {});                                              // it is there when the page is loaded again

// ---- at the start ------------------------------------------------------------------------------

/** Say how long something lasts, as the server's `words.lasting`. */
function lasting(seconds) {
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (minutes < 1) return `${seconds} s`;
  if (hours < 1) return minutes < 10 && seconds % 60 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

/** Say a moment in the reader's own time: "17:34", or "24 Nov, 17:34" of another day. */
function moment(when) {
  const day = when.toDateString() === new Date().toDateString() ? {} : { day: "numeric", month: "short" };
  return when.toLocaleString("en-GB", { ...day, hour: "2-digit", minute: "2-digit" });
}

/** Renew a clock, but not what reads the same: no live region is told, and no needless work is done. */
function tick(clock) {
  const text = lasting(Math.max(0, Math.floor((Date.now() - clock.began) / 1000)));
  const words = clock.dataset.words ? `${clock.dataset.words} ${moment(new Date(clock.dateTime))} (${text})` : text;
  if (clock.textContent !== words) clock.textContent = words;
}
setInterval(() => document.querySelectorAll("[data-elapsed]").forEach(tick), 1000);

/** Remember the markup of parts, then show what only works with a script. */
function prepare(root) {
  const all = [root, ...root.querySelectorAll("*")];
  for (const element of all) if (element.dataset?.session) served.set(element, markup(element));
  for (const element of all) {
    if (element.dataset?.elapsed) { element.began = Date.now() - 1000 * element.dataset.elapsed; tick(element); }
    if (element.dataset?.copy && navigator.clipboard) element.hidden = false;
    if (element.matches?.("[data-needs-script]")) element.hidden = false;
  }
  showPreference(root);
}
takeOver();
prepare(document.body);
follow();
lead();
document.getElementById("errors")?.focus();
