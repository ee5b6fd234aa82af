// Small comforts: a filter for lists that are on the page, copying, menus that close.
const on = (type, selector, handle) => document.addEventListener(type, (event) => {
  const element = event.target.closest?.(selector);
  if (element) handle(element, event);
});

// ---- filter of a list that is on the page: <input data-filter="#environments"> ------------------

on("input", "[data-filter]", (input) => {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const items = [...document.querySelector(input.dataset.filter).children];
  for (const item of items) {
    const text = item.textContent.toLowerCase();
    item.hidden = !words.every((word) => text.includes(word)) && !item.querySelector(":checked");
  }
  const shown = items.filter((item) => !item.hidden).length;
  const count = document.querySelector(`[data-count="${input.dataset.filter}"]`);
  if (count) count.textContent = words.length ? `${shown} of ${items.length} shown` : "";
});

// ---- a path that is made from the title until it is typed: <input data-path-of="title"> ---------

const makePath = (title) => title.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^a-z0-9._]+/g, "-")
  .replace(/\.{2,}/g, ".").slice(0, 64).replace(/^[-.]+|[-.]+$/g, "").replace(/\.(?=(?:git|atom)$)/, "-");

for (const path of document.querySelectorAll("[data-path-of]")) {
  const title = document.getElementById(path.dataset.pathOf);
  let untouched = !path.value || path.value === makePath(title.value);
  path.addEventListener("input", () => { untouched = !path.value; });
  title.addEventListener("input", () => { if (untouched) path.value = makePath(title.value); });
}

// ---- copying and menus -------------------------------------------------------------------------

on("click", "[data-copy]", async (button) => {
  const icon = button.querySelector("i");
  await navigator.clipboard.writeText(button.dataset.copy);
  icon?.classList.replace("fa-copy", "fa-check");
  document.getElementById("rk-said").textContent = "Copied";
  setTimeout(() => icon?.classList.replace("fa-check", "fa-copy"), 2000);
});

document.addEventListener("click", ({ target }) => {
  for (const menu of document.querySelectorAll(".rk-menu[open]")) if (!menu.contains(target)) menu.open = false;
});
on("keydown", ".rk-menu[open]", (menu, event) => {
  if (event.key !== "Escape") return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
