"use strict";
// What the page has beyond its text: filters, whose state is in the address, and details of a cell. All of the data is
// in the document already; whatever is made here is copied from there as text or nodes, never parsed as markup.
(() => {
  const grid = document.getElementById("grid");
  const at = (id) => document.getElementById(id);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
  const unfold = () => {
    const target = at(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  };
  addEventListener("hashchange", unfold);
  unfold();
  if (!grid) return;

  const panel = at("panel"), details = at("details"), shown = at("shown");
  const hostBox = at("f-host"), checkBox = at("f-check");
  const boxes = { e: at("f-e"), w: at("f-w"), p: at("f-p") };
  const checks = [...grid.tHead.rows[0].cells].slice(1).map((head) => head.title || head.textContent);
  const rows = [...grid.tBodies[0].rows].map((row) => ({
    row, name: row.cells[0].textContent, results: [...row.cells].slice(1).map((cell) => cell.classList[0] || "p"),
  }));
  const sheets = [...document.querySelectorAll("#facts > details")];
  const articles = [...document.querySelectorAll("#findings > article")];
  const columns = new CSSStyleSheet();
  document.adoptedStyleSheets = [columns];
  let visible = checks.map((_, place) => place);

  // Text is looked for anywhere; with * or ? it has to fit the whole name.
  const matcher = (text) => {
    const wanted = text.trim().toLowerCase();
    if (!/[*?]/.test(wanted)) return (name) => name.toLowerCase().includes(wanted);
    const glob = wanted.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".");
    const whole = new RegExp(`^${glob}$`);
    return (name) => whole.test(name.toLowerCase());
  };

  const filter = () => {
    const host = matcher(hostBox.value), check = matcher(checkBox.value);
    const wanted = new Set(Object.keys(boxes).filter((key) => boxes[key].checked));
    const candidates = checks.map((name) => check(name));
    const hit = checks.map(() => false), causes = new Set();
    let hosts = 0;
    for (const { row, name, results } of rows) {
      let any = false;
      if (host(name)) {
        results.forEach((result, place) => {
          if (!candidates[place] || !wanted.has(result)) return;
          any = hit[place] = true;
          if (result !== "p") causes.add(row.cells[place + 1].firstElementChild.hash.slice(1));
        });
      }
      row.hidden = !any;
      hosts += any;
    }
    visible = checks.map((_, place) => place).filter((place) => hit[place]);
    columns.replaceSync(hit.map((shows, place) => shows ? "" : `#grid tr > :nth-child(${place + 2}) { display: none }`).join("\n"));
    articles.forEach((article) => { article.hidden = !causes.has(article.id); });
    sheets.forEach((sheet) => { sheet.hidden = !host(sheet.dataset.host); });
    shown.textContent = `${hosts} of ${rows.length} hosts, ${visible.length} of ${checks.length} checks`;
    // So that no cell is moved to behind the headings.
    const corner = grid.tHead.rows[0].cells[0];
    grid.parentElement.style.scrollPadding = `${corner.offsetHeight}px 0 0 ${corner.offsetWidth}px`;
    anchor();
  };

  // The state in the address; an address without "=" is a place on the page.
  const save = () => {
    const state = new URLSearchParams();
    if (hostBox.value) state.set("host", hostBox.value);
    if (checkBox.value) state.set("check", checkBox.value);
    const wanted = Object.keys(boxes).filter((key) => boxes[key].checked).join("");
    if (wanted !== "ewp") state.set("show", wanted);
    history.replaceState(null, "", `#${state}`);
  };
  const load = () => {
    const text = location.hash.slice(1);
    if (!text || text.includes("=")) {
      const state = new URLSearchParams(text);
      hostBox.value = state.get("host") ?? "";
      checkBox.value = state.get("check") ?? "";
      for (const key in boxes) boxes[key].checked = (state.get("show") ?? "ewp").includes(key);
    }
    filter();
  };

  // One cell of the grid can be tabbed to; the arrow keys move it.
  let current = null;
  const stop = (cell) => {
    if (current) current.removeAttribute("tabindex");
    current = cell;
    if (current) current.tabIndex = 0;
  };
  const anchor = () => {
    if (current && !current.parentElement.hidden && visible.includes(current.cellIndex - 1)) return;
    const first = rows.find(({ row }) => !row.hidden);
    stop(first ? first.row.cells[visible[0] + 1] : null);
  };
  const go = (cell) => {
    stop(cell);
    cell.focus({ preventScroll: true });
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  const move = (down, right) => {
    const lines = rows.filter(({ row }) => !row.hidden).map(({ row }) => row);
    const clamp = (place, length) => Math.max(0, Math.min(length - 1, place));
    const line = lines[clamp(lines.indexOf(current.parentElement) + down, lines.length)];
    go(line.cells[visible[clamp(visible.indexOf(current.cellIndex - 1) + right, visible.length)] + 1]);
  };

  const element = (tag, text, kind) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const open = (cell) => {
    close();
    const name = cell.parentElement.cells[0].textContent, check = checks[cell.cellIndex - 1];
    const link = cell.firstElementChild;
    details.replaceChildren(element("h3", check), element("p", `on ${name}`, "on"));
    if (link) {
      const article = at(link.hash.slice(1)), kind = cell.classList[0];
      details.firstChild.prepend(element("span", link.textContent, `mark ${kind}`), " ");
      for (const part of article.querySelectorAll(".message, .remedy")) details.append(part.cloneNode(true));
      for (const part of article.querySelectorAll("dl")) {
        if (part.dataset.host !== name) continue;
        const copy = part.cloneNode(true);
        copy.firstElementChild.textContent = "What was looked at";
        details.append(copy);
      }
    } else {
      details.append(element("p", cell.className ? "This check is not made on this host." : "Passed."));
    }
    stop(cell);
    cell.classList.add("open");
    panel.hidden = false;
    panel.scrollTop = 0;
  };
  const close = () => {
    panel.hidden = true;
    const cell = grid.querySelector("td.open");
    if (cell) cell.classList.remove("open");
    if (cell && !cell.className) cell.removeAttribute("class");
  };

  grid.addEventListener("click", (event) => {
    const cell = event.target.closest("td");
    if (!cell) return;
    event.preventDefault();
    open(cell);
    go(cell);
  });
  grid.addEventListener("keydown", (event) => {
    if (event.target !== current || event.ctrlKey || event.altKey || event.metaKey) return;
    const far = rows.length + checks.length;
    const moves = {
      ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
      Home: [0, -far], End: [0, far], PageUp: [-10, 0], PageDown: [10, 0],
    };
    if (moves[event.key]) move(...moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") { open(current); panel.focus(); }
    else return;
    event.preventDefault();
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || panel.hidden) return;
    close();
    if (current) go(current);
  });
  at("close").addEventListener("click", () => { close(); if (current) go(current); });

  const form = at("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", () => { close(); filter(); save(); });
  // The fields are reset after the event.
  form.addEventListener("reset", () => setTimeout(() => { close(); filter(); save(); }));
  addEventListener("hashchange", load);
  grid.querySelectorAll("td a").forEach((link) => { link.tabIndex = -1; });
  form.hidden = false;
  at("keys").hidden = false;
  load();
})();
