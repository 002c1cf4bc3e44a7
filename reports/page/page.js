"use strict";
(() => {
  const KINDS = ["task", "method", "preset", "device", "dtype"];
  const all = (query, within = document) => [...within.querySelectorAll(query)];
  const make = (tag, text) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const digits = (value) =>
    typeof value === "number" ? String(+value.toPrecision(4)) : value === null ? "-" : String(value);

  // Sorting: a button in every heading; rows move within their own part of the table.
  const key = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return [2, ""];
    if (cell.dataset.value !== undefined) return [0, Number(cell.dataset.value)];
    return [cell.tagName === "TH" ? 0 : 1, cell.textContent.trim()];
  };
  const compare = ([a, x], [b, y]) =>
    a - b || (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y)));
  function sort(head) {
    const table = head.closest("table");
    const order = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
    all("[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains("part"));
      const keyed = rows.map((row) => [key(row, head.cellIndex), row]);
      // What has no number stays last in either order.
      keyed.sort(([a], [b]) => (a[0] !== b[0] ? a[0] - b[0] : sign * compare(a, b)));
      body.append(...keyed.map(([, row]) => row));
    }
  }
  for (const head of all("thead tr:last-child th")) {
    const button = make("button", head.textContent);
    button.type = "button";
    button.addEventListener("click", () => { sort(head); remember(); });
    head.replaceChildren(button);
  }

  // Choosing rows: a row stays where each kind chosen is among its own.
  const form = document.getElementById("filters");
  const chosen = () => KINDS.map((kind) => [kind, form.elements[kind].value]).filter(([, v]) => v !== "");
  const passes = (node, wanted) =>
    wanted.every(([kind, value]) => {
      const own = node.dataset[kind];
      return own === undefined || own.split(" ").includes(value);
    });
  function choose() {
    const wanted = chosen();
    let shown = 0, rows = 0;
    for (const node of all("tbody tr:not(.part), details.view, .trial, .findings article")) {
      const stays = passes(node, wanted);
      node.toggleAttribute("data-away", !stays);
      if (node.matches(".trial")) { rows += 1; shown += stays; }
    }
    for (const body of all("tbody")) {
      const empty = all("tr:not(.part)", body).every((row) => row.hasAttribute("data-away"));
      all("tr.part", body).forEach((row) => row.toggleAttribute("data-away", empty));
    }
    document.getElementById("shown").textContent =
      wanted.length ? `${shown} of ${rows} trials, seeds together` : "";
  }
  form.hidden = false;
  if (matchMedia("(max-width: 40rem)").matches) form.firstElementChild.open = false;
  form.addEventListener("change", () => { choose(); remember(); });
  form.addEventListener("reset", () => setTimeout(() => { choose(); remember(); }));
  form.addEventListener("submit", (event) => event.preventDefault());

  // A link to what is closed or filtered away opens it.
  function reveal() {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.closest("[data-away]")) { form.reset(); }
    for (let node = target; node; node = node.parentElement) {
      if (node.tagName === "DETAILS") node.open = true;
    }
    if (target.matches(".trial")) { const only = all("details", target); if (only.length === 1) only[0].open = true; }
    setTimeout(() => {
      target.scrollIntoView({ block: "start" });
      (target.tagName === "DETAILS" ? target.querySelector("summary") : target).focus({ preventScroll: true });
    });
  }
  addEventListener("hashchange", reveal);
  // The same link once more changes no address, but the reader wants to be there.
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[href^='#']");
    if (link && link.hash === location.hash) reveal();
  });
  addEventListener("beforeprint", () => all("details.view").forEach((view) => { view.open = true; }));

  // Figures.
  const specifications = JSON.parse(document.getElementById("specifications").textContent);
  const tip = document.getElementById("tip");
  const SPARE = 95;
  function pairs(value) {
    const list = make("dl");
    for (const [name, each] of Object.entries(value)) {
      if (each === null || name.startsWith("_")) continue;
      const pair = make("div");
      pair.append(make("dt", name), make("dd", digits(each)));
      list.append(pair);
    }
    return list;
  }
  function point(_, event, __, value) {
    if (value === null || value === undefined || value === "") { tip.hidden = true; return; }
    tip.replaceChildren(typeof value === "object" ? pairs(value) : make("span", String(value)));
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = event.clientX + 14, top = event.clientY + 14;
    tip.style.left = `${Math.max(4, Math.min(left, innerWidth - width - 8))}px`;
    tip.style.top = `${top + height > innerHeight ? event.clientY - height - 10 : top}px`;
  }
  const widest = (node) => {
    if (!node || typeof node !== "object") return 0;
    const own = typeof node.width === "number" && (node.layer || node.mark) ? node.width : 0;
    return Object.entries(node).reduce((most, [name, child]) => (name === "data" ? most : Math.max(most, widest(child))), own);
  };
  // Panels become fewer beside each other, and then narrower, where there is no room.
  function fit(specification, room) {
    const found = structuredClone(specification), panel = widest(found);
    if (!panel) return found;
    if (found.concat) found.columns = Math.max(1, Math.min(found.columns || 1, Math.floor(room / (panel + SPARE))));
    const narrow = Math.max(180, room - SPARE);
    if (narrow < panel) {
      const walk = (node) => {
        if (!node || typeof node !== "object") return;
        if (typeof node.width === "number" && (node.layer || node.mark)) node.width -= panel - narrow;
        const x = node.encoding && node.encoding.x;
        if (x && typeof x.value === "number" && x.value > narrow) x.value -= panel - narrow;
        for (const [name, child] of Object.entries(node)) if (name !== "data") walk(child);
      };
      walk(found);
    }
    return found;
  }
  const drawn = new Map();
  async function draw(figure) {
    const plot = figure.querySelector(".plot"), room = plot.clientWidth;
    const before = drawn.get(figure);
    if (before && before.room === room) return;
    const entry = { room, view: null };
    drawn.set(figure, entry);
    const specification = fit(specifications[figure.dataset.figure], room);
    specification.config = {
      ...specification.config, background: "transparent",
      mark: { ...(specification.config || {}).mark, tooltip: { content: "data" } },
    };
    const target = make("div");
    const result = await window.vegaEmbed(target, specification, {
      mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false,
      tooltip: point, config: {},
    });
    if (before && before.view) before.view.finalize();
    plot.replaceChildren(target);
    entry.view = result.view;
    figure.dataset.drawn = "true";
    hide(figure);
  }
  function hide(figure) {
    const entry = drawn.get(figure);
    if (!entry || !entry.view) return;
    const away = all(".legend button[aria-pressed=false]", figure).map((button) => button.dataset.series);
    entry.view.signal("hidden", away).runAsync();
  }
  function numbers(figure, details) {
    if (details.querySelector("table")) return;
    const rows = new Map();
    const walk = (node) => {
      if (!node || typeof node !== "object") return;
      if (node.data && node.data.values) for (const row of node.data.values) rows.set(JSON.stringify(row), row);
      for (const [name, child] of Object.entries(node)) if (name !== "data") walk(child);
    };
    walk(specifications[figure.dataset.figure]);
    const found = [...rows.values()].slice(0, 2000);
    const names = [...new Set(found.flatMap(Object.keys))];
    const table = make("table"), head = table.createTHead().insertRow(), body = table.createTBody();
    for (const name of names) { const th = make("th", name); th.scope = "col"; head.append(th); }
    for (const row of found) {
      const line = body.insertRow();
      for (const name of names) line.insertCell().textContent = name in row ? digits(row[name]) : "";
    }
    const scroll = make("div");
    scroll.className = "scroll"; scroll.tabIndex = 0;
    scroll.append(table);
    details.append(scroll);
  }
  const figures = all("figure[data-figure]");
  for (const figure of figures) {
    for (const button of all(".legend button", figure)) {
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") === "true" ? "false" : "true");
        hide(figure);
      });
    }
    const details = figure.querySelector(".numbers");
    details.addEventListener("toggle", () => details.open && numbers(figure, details));
  }
  // One after the other, so that the page answers meanwhile; the nearest first.
  async function drawAll() {
    const distance = (figure) => Math.abs(figure.getBoundingClientRect().top);
    for (const figure of [...figures].sort((a, b) => distance(a) - distance(b))) {
      // One that cannot be drawn keeps no other from it, and has its numbers all the same.
      await draw(figure).catch((error) => {
        figure.querySelector(".plot").textContent = `This figure cannot be drawn: ${error.message}`;
        console.error(error);
      });
      await new Promise((resolve) => window.requestIdleCallback
        ? requestIdleCallback(resolve, { timeout: 1000 }) : setTimeout(resolve, 20));
    }
    document.body.dataset.ready = "true";
  }
  if (window.vegaEmbed && figures.length) drawAll(); else document.body.dataset.ready = "true";
  let later;
  addEventListener("resize", () => { clearTimeout(later); later = setTimeout(() => window.vegaEmbed && drawAll(), 250); });
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  // A live page asks for newer records, and comes back as the reader left it.
  const live = document.body.dataset.live;
  function remember() {
    if (!live) return;
    const sorted = all("th[aria-sort]").map((head) => [
      head.closest("details.view")?.id, head.cellIndex, head.getAttribute("aria-sort"),
    ]);
    const open = all("details[id]").filter((each) => each.open).map((each) => each.id);
    sessionStorage.setItem("left", JSON.stringify({
      at: scrollY, sorted, open,
      chosen: KINDS.map((kind) => form.elements[kind].value && form.elements[kind].selectedOptions[0].textContent),
    }));
  }
  function restore() {
    const left = live && JSON.parse(sessionStorage.getItem("left") || "null");
    if (!left) return;
    KINDS.forEach((kind, i) => {
      const option = [...form.elements[kind].options].find((each) => left.chosen[i] && each.textContent === left.chosen[i]);
      if (option) form.elements[kind].value = option.value;
    });
    for (const name of left.open) { const each = document.getElementById(name); if (each) each.open = true; }
    for (const [name, column, order] of left.sorted) {
      const head = document.querySelector(`#${CSS.escape(name || "")} thead tr:last-child`)?.cells[column];
      if (head) { sort(head); if (head.getAttribute("aria-sort") !== order) sort(head); }
    }
    choose();
    scrollTo(0, left.at);
  }
  async function ask() {
    try {
      const answer = await fetch("/version", { cache: "no-store" });
      if (answer.ok && (await answer.text()) !== live) { remember(); location.reload(); return; }
      document.getElementById("live").textContent = "Live: new records appear by themselves.";
    } catch {
      document.getElementById("live").textContent = "The server has ended; what is shown stays.";
    }
    setTimeout(ask, 3000);
  }
  restore();
  reveal();
  if (live) { addEventListener("pagehide", remember); setTimeout(ask, 3000); }
})();
