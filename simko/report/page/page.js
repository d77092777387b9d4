"use strict";
(function () {
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const one = (id) => document.getElementById(id);
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  all(".needs-script").forEach((element) => { element.hidden = false; });

  // The forking map: the panel shows the row of the table that belongs to the token.
  function show(panel, token, row) {
    const cells = row.cells;
    panel.replaceChildren();
    const title = make("h4");
    title.append("Token ", make("span", "tok", cells[0].textContent));
    panel.append(title, make("p", "", "Entropy " + cells[1].textContent + " nats"));
    const names = all("b", cells[2]), numbers = all("i", cells[2]);
    names.forEach((name, i) => {
      const [before, after] = numbers[i].textContent.split("→").map(Number);
      const line = make("div", "cand" + (name.className ? " own" : ""));
      const bars = make("span", "bars");
      [["old", before], ["new", after]].forEach(([kind, value]) => {
        const bar = make("span", kind);
        bar.style.width = value + "%";
        bars.append(bar);
      });
      line.append(make("span", "tok", name.textContent), bars, make("span", "", before.toFixed(1) + " → " + after.toFixed(1)));
      panel.append(line);
    });
    panel.append(make("p", "note", "Percent before (grey) and after training; the token that was taken is underlined."));
    if (cells[3].textContent) panel.append(make("p", "", "The method: " + cells[3].textContent + "."));
    if (cells[4].textContent) panel.append(make("p", "", "The group, " + cells[4].textContent + "."));
  }
  all(".forks").forEach((block) => {
    const panel = one(block.dataset.panel);
    const tokens = [], rows = [];
    all(".answer", block).forEach((answer) => {
      const table = all("tbody tr", answer);
      all(".d", answer).forEach((token, i) => { tokens.push(token); rows.push(table[i]); });
    });
    let current = -1;
    const narrow = matchMedia("(max-width: 50rem)"), side = panel.parentElement;
    const place = () => {  // on a phone the panel stands below the line of its token, where it covers nothing
      if (narrow.matches) all(".tokens-line", tokens[current].closest(".answer"))[0].after(panel);
      else side.append(panel);
    };
    const choose = (i, focus) => {
      if (i < 0 || i >= tokens.length) return;
      if (current >= 0) { tokens[current].classList.remove("on"); tokens[current].tabIndex = -1; }
      current = i;
      tokens[i].classList.add("on");
      tokens[i].tabIndex = 0;
      show(panel, tokens[i], rows[i]);
      place();
      if (focus) tokens[i].focus();
    };
    all(".tokens-line", block).forEach((line) => { line.setAttribute("role", "group"); });
    tokens.forEach((token, i) => {
      token.setAttribute("role", "button");
      token.setAttribute("aria-controls", panel.id);
      token.removeAttribute("title");
      token.tabIndex = -1;
      token.addEventListener("mouseenter", () => choose(i, false));
      token.addEventListener("focus", () => choose(i, false));
      token.addEventListener("click", () => choose(i, true));
    });
    const certain = (row) => Number(row.cells[1].textContent.split(" ").pop());
    if (tokens.length) choose(rows.reduce((best, row, i) => (certain(row) > certain(rows[best]) ? i : best), 0), false);
    narrow.addEventListener("change", () => { if (current >= 0) place(); });
    const first = (answer) => tokens.findIndex((token) => answer && answer.contains(token));
    block.addEventListener("keydown", (event) => {
      if (!tokens.includes(event.target)) return;
      const answers = all(".answer", block), own = answers.findIndex((answer) => answer.contains(event.target));
      const next = {
        ArrowRight: current + 1, ArrowLeft: current - 1, Home: 0, End: tokens.length - 1,
        ArrowDown: first(answers[own + 1]), ArrowUp: first(answers[own - 1]),
      }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      choose(next, true);
    });
  });
  const shade = one("shade-before");
  if (shade) shade.addEventListener("change", () => {
    all(".forks").forEach((block) => block.classList.toggle("before", shade.checked));
  });

  // The group browser.
  const groups = all(".group");
  if (groups.length && one("f-text")) {
    const fields = ["f-verdict", "f-step", "f-kind", "f-text"].map(one);
    const samples = groups.map((group) => all("tbody tr", group));
    const texts = groups.map((group) => group.textContent.toLowerCase());
    const filter = () => {
      const [verdict, step, kind] = fields.slice(0, 3).map((field) => field.value);
      const words = fields[3].value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      groups.forEach((group, i) => {
        let left = 0;
        samples[i].forEach((row) => {
          row.hidden = Boolean(verdict) && !row.classList.contains(verdict);
          left += row.hidden ? 0 : 1;
        });
        const fits = (!step || group.dataset.step === step) && (!kind || group.dataset.kind === kind) && left > 0;
        group.hidden = !(fits && words.every((word) => texts[i].includes(word)));
        shown += group.hidden ? 0 : 1;
      });
      one("f-count").textContent = shown + " of " + groups.length + " groups";
    };
    fields.forEach((field) => field.addEventListener("input", filter));
    fields[3].form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  }

  // While a run goes on, the page loads itself anew, but not under the hands of a reader.
  if (document.documentElement.hasAttribute("data-refresh")) {
    let touched = 0;
    ["pointermove", "keydown", "scroll"].forEach((kind) => {
      addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
    });
    setInterval(() => { if (one("refresh").checked && Date.now() - touched > 20000) location.reload(); }, 10000);
  }
})();
