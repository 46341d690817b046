// The one script of the console. Everything works without it; it saves clicks.
// It reads the page, never builds HTML from text, and stores nothing.
const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
document.documentElement.classList.add("js");

// 1. Select all on the page, a range with shift, and say how many.
for (const form of $$("form[data-select]")) {
  const boxes = $$("tbody .pick input", form), all = $("thead .pick input", form), count = $("[data-count]", form);
  let last = null;
  const tell = () => {
    const n = boxes.filter((box) => box.checked).length;
    if (all) { all.checked = n === boxes.length; all.indeterminate = n > 0 && n < boxes.length; }
    if (count) count.textContent = n === 0 ? "Nobody selected" : `${n} selected on this page`;
  };
  form.addEventListener("click", (event) => {
    const box = event.target.closest?.("tbody .pick input");
    if (!box) return;
    if (event.shiftKey && last) {
      const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
      boxes.slice(from, to + 1).forEach((other) => { other.checked = box.checked; });
    }
    last = box;
  });
  form.addEventListener("change", (event) => {
    if (event.target === all) boxes.forEach((box) => { box.checked = all.checked; });
    tell();
  });
  tell();
}

// 2. Keys, unless they are turned off or something is typed.
const go = { h: "home", p: "people", i: "import", b: "batches", g: "groups", a: "audit" };
let armed = 0;
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=checkbox]), select, textarea, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.documentElement.dataset.keys === "off") return;
  const rows = $$("tbody tr:has(a)"), at = rows.findIndex((row) => row.contains(document.activeElement));
  const focus = (row) => row && $("a", row).focus();
  const findings = $$(".sheet [aria-invalid]"), link = Date.now() - armed < 1200 && $(`.nav [data-go="${go[event.key]}"]`);
  if (link) link.click();
  else if (event.key === "g") armed = Date.now();
  else if (event.key === "/") $("#find")?.focus();
  else if (event.key === "?") $("#keys")?.togglePopover();
  else if (event.key === "j") focus(rows[at + 1]);
  else if (event.key === "k") focus(rows[Math.max(at - 1, 0)]);
  else if (event.key === "x") $(".pick input", rows[at] ?? document.createElement("tr"))?.click();
  else if (event.key === "e") findings[(findings.indexOf(document.activeElement) + 1) % findings.length]?.focus();
  else return;
  if (event.key !== "g") event.preventDefault();
});

// 3. A file dropped anywhere on the import page goes into its field.
const drop = $(".drop"), file = drop && $("input[type=file]", drop);
if (file) {
  for (const kind of ["dragover", "dragleave", "drop"]) addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) { file.files = event.dataTransfer.files; file.focus(); }
  });
}

// 4. Copy buttons, which are not there without script.
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const said = $("#said");
  if (said) said.textContent = "Copied";
});

// 5. Unsaved fixes in the grid: ask before leaving.
const sheet = $("form:has(.sheet)");
if (sheet) {
  let dirty = false;
  sheet.addEventListener("input", () => { dirty = true; });
  sheet.addEventListener("submit", () => { dirty = false; });
  addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });
}
