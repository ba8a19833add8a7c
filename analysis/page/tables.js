"use strict";
// A click on a title sorts the rows of its table by the first number of each cell, or by the text where there is none.
document.documentElement.classList.add("scripted");
for (const table of document.querySelectorAll("table.sortable")) {
  const key = (row, column) => {
    const text = row.cells[column].textContent.trim().replaceAll("−", "-").replaceAll(",", "");
    const number = /-?\d+(\.\d+)?(e[-+]?\d+)?/i.exec(text);
    return { number: number === null ? NaN : Number(number[0]), text };
  };
  const order = (first, second) => {
    if (Number.isNaN(first.number) !== Number.isNaN(second.number)) return Number.isNaN(first.number) ? 1 : -1;
    return Number.isNaN(first.number) ? first.text.localeCompare(second.text) : first.number - second.number;
  };
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button === null) return;
    const title = button.parentElement, column = title.cellIndex, body = table.tBodies[0];
    const falling = title.getAttribute("aria-sort") === "ascending";
    for (const each of title.parentElement.cells) each.removeAttribute("aria-sort");
    title.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const sign = falling ? -1 : 1;
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([first], [second]) => (Number.isNaN(first.number) || Number.isNaN(second.number) ? 1 : sign) * order(first, second));
    body.append(...rows.map(([, row]) => row));
  });
}
