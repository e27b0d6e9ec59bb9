"use strict";
// Adds to a page that is whole without it: sorting, choosing a chart, pointing at a group.
document.documentElement.classList.add("js");

function sortBy(table, column, descending) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const numbers = rows.some((row) => row.cells[column].dataset.sort !== undefined);
  const sign = descending ? -1 : 1;
  const text = new Intl.Collator(undefined, { numeric: true });
  rows.sort((a, b) => {
    const [left, right] = [a.cells[column], b.cells[column]];
    if (!numbers) return sign * text.compare(left.textContent, right.textContent);
    const [x, y] = [left.dataset.sort, right.dataset.sort];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    return sign * (Number(x) - Number(y));
  });
  body.append(...rows);
  Array.from(table.tHead.rows[0].cells).forEach((head, index) => {
    if (index === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
}

for (const table of document.querySelectorAll("table")) {
  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      // Of numbers the greatest are looked for first.
      const before = head.getAttribute("aria-sort");
      const descending = before ? before === "ascending" : head.classList.contains("number");
      sortBy(table, column, descending);
    });
  });
}

// page.html#sort=groups,2,descending
const asked = /^#sort=([\w-]+),(\d+),(ascending|descending)$/.exec(location.hash);
const target = asked && document.getElementById(`${asked[1]}-table`);
if (target && Number(asked[2]) < target.tHead.rows[0].cells.length) {
  sortBy(target, Number(asked[2]), asked[3] === "descending");
}

for (const choice of document.querySelectorAll(".choice")) {
  const select = choice.querySelector("select");
  const show = () => {
    for (const option of choice.querySelectorAll(".option")) {
      option.classList.toggle("chosen", option.dataset.title === select.value);
    }
  };
  select.addEventListener("change", show);
  show();
}

function light(group) {
  for (const element of document.querySelectorAll(".lit")) element.classList.remove("lit");
  if (group === undefined) return;
  for (const element of document.querySelectorAll(`[data-group="${group}"]`)) {
    element.classList.add("lit");
  }
}
for (const element of document.querySelectorAll("[data-group]")) {
  element.addEventListener("pointerenter", () => light(element.dataset.group));
  element.addEventListener("pointerleave", () => light(undefined));
}

// What is folded would be missing on paper, where nobody wants pages of single runs.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) {
    if (details.querySelectorAll("tr").length <= 60) details.open = true;
  }
});
