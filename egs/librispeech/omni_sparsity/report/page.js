// Shows the worst utterances of the chosen sparsity. Without this script all are shown, at all sparsities.
(function () {
  "use strict";
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

  worst.classList.add("script");
  pick.addEventListener("change", show);
  all.addEventListener("change", show);
  show();
})();
