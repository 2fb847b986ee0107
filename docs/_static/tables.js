// Name the column of each cell of a wide table, for tables.css: a phone shows no head of a table.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("article table.docutils")) {
    const columns = Array.from(table.querySelectorAll("thead th"), (head) => head.textContent.trim());
    if (columns.length < 3) continue;
    table.classList.add("wide");
    for (const row of table.querySelectorAll("tbody tr")) {
      Array.from(row.cells).forEach((cell, index) => {
        if (columns[index]) cell.dataset.column = columns[index];
      });
    }
  }
});
