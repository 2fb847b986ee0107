// Name the column of each cell of a wide table, for tables.css: a phone shows no head of a table, and nothing of a cell
// that is empty. Let long names in tables and headings break within: else the name of one test takes the room of all
// other columns.
const LONG = 20;

function letBreak(code) {
  for (const text of code.querySelectorAll(".pre")) {
    if (text.textContent.length < LONG) continue;
    const parts = text.textContent.split(/(?<=_)|(?=\.\w)/);
    text.replaceChildren(...parts.flatMap((part) => [part, document.createElement("wbr")]));
  }
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(":is(h1, h2, h3, h4) code").forEach(letBreak);
  for (const table of document.querySelectorAll("article table.docutils")) {
    table.querySelectorAll("code").forEach(letBreak);
    const columns = Array.from(table.querySelectorAll("thead th"), (head) => head.textContent.trim());
    if (columns.length < 3) continue;
    table.classList.add("wide");
    for (const row of table.querySelectorAll("tbody tr")) {
      Array.from(row.cells).forEach((cell, index) => {
        if (columns[index] && cell.textContent.trim()) cell.dataset.column = columns[index];
      });
    }
  }
});
