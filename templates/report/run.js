"use strict";
// Hosts over time: a row for each host, its tasks as bars, some rows at a time. What hosts and records said becomes text, never
// markup.
(() => {
  const at = (id) => document.getElementById(id);
  const { end, hosts, tones, phases, tasks, reasons } = JSON.parse(at("data").textContent);
  const chart = at("chart"), hostBox = at("f-host"), bad = at("f-bad"), path = at("f-path");
  const PAGE = 100, FIELDS = 6, HEIGHT = 18, COLOURS = 8, DONE = 0, FAILED = 1;
  const SVG = "http://www.w3.org/2000/svg";

  const rows = hosts.map((name, index) => ({ name, tone: tones[index], tasks: [], critical: false }));
  for (let place = 0; place < tasks.length; place += FIELDS) {
    const [host, phase, start, took, ended, critical] = tasks.slice(place, place + FIELDS);
    rows[host].tasks.push({ phase, start, took, ended, critical });
    rows[host].critical ||= critical === 1;
  }

  const element = (tag, kind, text) => {
    const made = document.createElement(tag);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const drawn = (tag, attributes) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`;
  const kind = (task) => {
    const base = task.ended === DONE ? `c${task.phase % COLOURS}` : task.ended === FAILED ? "f" : "s";
    return task.critical ? `${base} critical` : base;
  };
  const told = (name, task) => {
    const words = ["", ", failed", ", given up", ", not ended"][task.ended];
    const reason = task.ended === FAILED && reasons[name] ? `: ${reasons[name]}` : "";
    const critical = task.critical ? ", on the critical path" : "";
    return `${name} ${phases[task.phase]}, from ${seconds(task.start)}, took ${seconds(task.took)}${critical}${words}${reason}`;
  };

  // Tasks of a host can run at the same time: each goes into the first line that is free by then.
  const lines = (list) => {
    const free = [];
    return list.map((task) => {
      let line = free.findIndex((until) => until <= task.start);
      if (line < 0) line = free.push(0) - 1;
      free[line] = task.start + task.took;
      return line;
    });
  };

  const bars = ({ name, tasks: list }) => {
    const place = lines(list), count = Math.max(1, ...place.map((line) => line + 1));
    const scale = Math.max(1, end), height = count === 1 ? HEIGHT : Math.max(9, HEIGHT / 2) * count;
    const svg = drawn("svg", { viewBox: `0 0 ${scale} ${count}`, height, preserveAspectRatio: "none", role: "img", "aria-label": `${list.length} tasks of ${name}` });
    list.forEach((task, index) => {
      // Wide enough to be seen and pointed at.
      const width = Math.max(task.took, scale / 600);
      const bar = drawn("rect", { x: Math.min(task.start, scale - width), y: place[index] + .06, width, height: .88, class: kind(task) });
      const title = drawn("title", {});
      title.textContent = told(name, task);
      bar.append(title);
      svg.append(bar);
    });
    return svg;
  };

  const head = () => {
    const row = element("div", "row"), ticks = element("div", "ticks");
    for (let tick = 0; tick <= 4; tick += 1) ticks.append(element("span", "", seconds(end * tick / 4)));
    row.append(element("div", "name", "Host"), ticks);
    return row;
  };

  // Text is looked for anywhere; with * or ? it has to fit the whole name.
  const matcher = (text) => {
    const wanted = text.trim().toLowerCase();
    if (!/[*?]/.test(wanted)) return (name) => name.toLowerCase().includes(wanted);
    const glob = wanted.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".");
    const whole = new RegExp(`^${glob}$`);
    return (name) => whole.test(name.toLowerCase());
  };

  let first = 0;
  const show = () => {
    const fits = matcher(hostBox.value);
    const wanted = rows.filter((row) => fits(row.name) && (!bad.checked || row.tone !== "p") && (!path.checked || row.critical));
    first = Math.max(0, Math.min(first, wanted.length - 1));
    const page = wanted.slice(first, first + PAGE);
    const made = page.map((row) => {
      const line = element("div", "row"), name = element("div", `name ${row.tone === "p" ? "" : row.tone}`, row.name);
      name.title = reasons[row.name] ? `${row.name}: ${reasons[row.name]}` : row.name;
      line.append(name, bars(row));
      return line;
    });
    chart.replaceChildren(head(), ...made);
    at("back").disabled = first === 0;
    at("on").disabled = first + PAGE >= wanted.length;
    const range = wanted.length > PAGE ? `${first + 1} to ${first + page.length} of ` : "";
    const all = wanted.length < rows.length ? ` of ${rows.length} in all` : "";
    at("shown").textContent = `${range}${wanted.length} hosts${all}`;
  };

  const sample = (kinds, text) => {
    const made = element("span"), svg = drawn("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
    svg.append(drawn("rect", { x: 0, y: 0, width: 10, height: 10, class: kinds }));
    made.append(svg, text);
    return made;
  };
  at("legend").append(...phases.map((name, index) => sample(`c${index % COLOURS}`, name)),
    sample("f", "failed"), sample("s", "given up or not ended"), sample("critical", "on the critical path"));

  // Where there is no pointer that hovers, a tap says the same.
  chart.addEventListener("click", (event) => {
    const bar = event.target.closest("rect");
    if (bar) at("told").textContent = bar.firstChild.textContent;
  });
  const anew = () => { first = 0; show(); };
  for (const box of [hostBox, bad, path]) box.addEventListener("input", anew);
  at("back").addEventListener("click", () => { first -= PAGE; show(); });
  at("on").addEventListener("click", () => { first += PAGE; show(); });
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("filters").hidden = false;
  show();
})();
