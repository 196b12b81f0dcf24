
"use strict";
const byId = (id) => document.getElementById(id);
const form = document.querySelector(".controls");
const rows = Array.from(document.querySelectorAll(".details tbody tr"));
const buttons = Array.from(document.querySelectorAll(".overview button"));
const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

function show() {
  const words = byId("words").value.toLowerCase().split(/\s+/).filter(Boolean);
  const entity = byId("entity").value;
  const role = byId("role").value;
  const operation = byId("operation").value;
  let shown = 0;
  for (const row of rows) {
    const fits = (!entity || row.dataset.entity === entity)
      && (!role || row.dataset.role === role)
      && (!operation || row.dataset.operations.split(" ").includes(operation))
      && words.every((word) => texts.get(row).includes(word));
    row.hidden = !fits;
    shown += fits ? 1 : 0;
  }
  for (const button of buttons) {
    const isChosen = button.dataset.entity === entity && button.dataset.role === role;
    button.setAttribute("aria-pressed", String(isChosen));
  }
  byId("count").textContent = shown + " of " + rows.length + " lines";
}

form.addEventListener("input", show);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(show));
for (const button of buttons) {
  button.addEventListener("click", () => {
    const isChosen = button.getAttribute("aria-pressed") === "true";
    byId("entity").value = isChosen ? "" : button.dataset.entity;
    byId("role").value = isChosen ? "" : button.dataset.role;
    show();
  });
}
show();
