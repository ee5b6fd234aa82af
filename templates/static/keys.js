// Keyboard shortcuts: those of the page's own list (#rk-keys), never while the user types, and only as long as they are on.
const list = document.getElementById("rk-keys");
const wanted = document.getElementById("rk-keys-on");
const STORED = "renku-keys";
let before = "";

wanted.checked = localStorage.getItem(STORED) !== "off";
wanted.addEventListener("change", () => localStorage.setItem(STORED, wanted.checked ? "on" : "off"));
list.querySelector("[data-close]").addEventListener("click", () => list.close());
for (const opener of document.querySelectorAll("[data-keys]")) {
  opener.hidden = false;
  opener.addEventListener("click", show);
}

/** What a key is about on this page; nothing where there is nothing: then it is not listed either. */
function aim(row) {
  const card = row.dataset.card && document.activeElement.closest("[data-session]");
  return row.dataset.card ? card && card.querySelector(row.dataset.card) : document.querySelector(row.dataset.aim);
}

function show() {
  for (const row of list.querySelectorAll("[data-key]")) row.hidden = !document.querySelector(row.dataset.card ?? row.dataset.aim);
  list.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
  if (event.target.closest("input, textarea, select, dialog, [contenteditable]")) return;
  const pressed = before + event.key;
  before = event.key === "g" ? "g " : "";
  if (!wanted.checked) return;
  if (event.key === "?") return show();
  const row = list.querySelector(`[data-key="${CSS.escape(pressed)}"]`);
  const found = row && aim(row);
  if (!found) return;
  event.preventDefault();
  if (found.matches("input")) found.focus();
  else found.click();
});
