// Sorts the tables, hides sets, marks the best size, puts two sub-networks side by side, and shows the worst utterances of
// the chosen one. Without this script all is shown as it is.
(function () {
  "use strict";
  const results = Array.from(document.querySelectorAll("table.results"));

  function cells(row) {
    return Array.from(row.querySelectorAll("[data-set]"));
  }

  // ---- which sets are shown, in tables and pictures, and the best sub-network of them that is small enough
  const sets = Array.from(document.querySelectorAll("input.set"));
  const limit = document.getElementById("limit");

  function mean(row) {
    const seen = cells(row).filter((cell) => !cell.hidden);
    return seen.reduce((sum, cell) => sum + Number(cell.dataset.value), 0) / seen.length;
  }

  function best(table) {
    const bytes = Number(limit.value) * 1e6;
    const rows = Array.from(table.tBodies[0].rows);
    const fit = rows.filter((row) => Number(row.dataset.bytes) <= bytes && !Number.isNaN(mean(row)));
    const chosen = fit.reduce((a, b) => (a && mean(a) <= mean(b) ? a : b), null);
    for (const row of rows) {
      row.classList.toggle("best", row === chosen);
      row.cells[0].dataset.mark = "best under " + limit.value + " MB";
    }
  }

  function filter() {
    const hidden = new Set(sets.filter((box) => !box.checked).map((box) => box.value));
    for (const part of document.querySelectorAll("[data-set]")) {
      if (part instanceof SVGElement) part.style.display = hidden.has(part.dataset.set) ? "none" : "";
      else part.hidden = hidden.has(part.dataset.set);
    }
    results.forEach(best);
  }

  // ---- sorting
  function sort(table, head) {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = table.tBodies[0];
    const key = (row) => row.cells[head.cellIndex].dataset.value;
    const order = (a, b) => (head.classList.contains("name") ? a.localeCompare(b, "en", { numeric: true }) : a - b);
    const rows = Array.from(body.rows).sort((a, b) => order(key(a), key(b)) * (up ? 1 : -1));
    rows.forEach((row) => body.appendChild(row));
  }

  for (const table of results) {
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => sort(table, head));
    }
  }

  // ---- two side by side
  const pair = document.getElementById("pair");
  const rows = JSON.parse(document.getElementById("rows").textContent);
  const one = document.getElementById("one");
  const other = document.getElementById("other");
  const names = Array.from(new Set(rows.map((row) => row.name)));
  for (const select of [one, other]) {
    for (const name of names) select.add(new Option(name, name));
  }
  one.value = names[names.length - 1];
  other.value = names[0];

  function line(kind, texts) {
    const row = document.createElement("tr");
    texts.forEach((text, at) => {
      const cell = document.createElement(kind === "th" || at === 0 ? "th" : "td");
      cell.textContent = text;
      row.appendChild(cell);
    });
    return row;
  }

  function change(now, before) {
    return before > 0 ? (now < before ? "\u2212" : "+") + Math.abs(100 * (now / before - 1)).toFixed(1) + "%" : "";
  }

  function compare() {
    const here = rows.filter((row) => row.name === one.value);
    const there = rows.filter((row) => row.name === other.value);
    const table = pair.querySelector("table");
    const lines = [
      ["non-zero parameters", here[0].params_nonzero, there[0].params_nonzero, (x) => x.toLocaleString("en")],
      ["size, MB", here[0].bytes / 1e6, there[0].bytes / 1e6, (x) => x.toFixed(2)],
    ];
    const many = new Set(rows.map((row) => row.method)).size > 1;
    for (const row of here) {
      const match = there.find((each) => each.test_set === row.test_set && each.method === row.method);
      const name = "WER " + row.test_set + (many ? ", " + row.method : "");
      if (match) lines.push([name, row.wer, match.wer, (x) => x.toFixed(2)]);
    }
    table.tHead.replaceChildren(line("th", ["", one.value, other.value, "difference"]));
    table.tBodies[0].replaceChildren(
      ...lines.map(([name, a, b, show]) => line("td", [name, show(a), show(b), change(a, b)]))
    );
  }

  // ---- the worst utterances
  const worst = document.getElementById("worst");
  const pick = document.getElementById("pick");
  const all = document.getElementById("all");
  const list = worst.querySelector("ol");
  const cases = Array.from(list.children);

  function rank(item) {
    return Number(item.getAttribute("data-rank-" + pick.value) || Infinity);
  }

  function show() {
    cases.sort((a, b) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0));
    for (const item of cases) {
      item.hidden = rank(item) === Infinity;
      if (item.hidden) item.querySelectorAll("audio").forEach((player) => player.pause());
      for (const line of item.querySelectorAll(".line")) {
        const chosen = line.getAttribute("data-choice") === pick.value;
        line.hidden = !chosen && !all.checked;
        line.classList.toggle("best", chosen);
      }
      list.appendChild(item);
    }
    document.getElementById("none").hidden = cases.some((item) => !item.hidden);
  }

  document.body.classList.add("script");
  worst.classList.add("script");
  sets.forEach((box) => box.addEventListener("change", filter));
  limit.addEventListener("input", filter);
  one.addEventListener("change", compare);
  other.addEventListener("change", compare);
  pick.addEventListener("change", show);
  all.addEventListener("change", show);
  filter();
  compare();
  show();
})();
