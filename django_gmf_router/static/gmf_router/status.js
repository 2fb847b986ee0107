/* Tell the status page anew while it is open, with lines over time. Without this script it tells all the same, once. */
(() => {
  "use strict";

  const SECONDS = 300;
  const LEAST_SECONDS = 30;
  const HEIGHT = 180;
  const PATIENCE = 10000;
  const STORED = "gmf_router.samples";
  const DASHES = [[], [8, 4], [2, 3], [8, 3, 2, 3], [14, 4], [4, 4]];

  const page = document.getElementById("gmf-status");
  const sections = [...page.querySelectorAll("[data-cluster]")];
  const pause = Number(page.dataset.milliseconds);

  // An unchanged text is not set again: a screen reader would say it again.
  const say = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };
  const shown = (parent, name) => parent.querySelector(`[data-shown="${name}"]`);

  // Tables

  const fillRow = (row, { mark, cells }) => {
    row.dataset.mark = mark;
    for (const cell of row.cells) say(cell, cells[cell.dataset.field]);
  };

  const fillTable = (table, rows) => {
    const body = table.querySelector("tbody");
    const blank = table.querySelector("template").content.querySelector("tr");
    while (body.rows.length > rows.length) body.lastElementChild.remove();
    while (body.rows.length < rows.length) body.append(blank.cloneNode(true));
    rows.forEach((row, index) => fillRow(body.rows[index], row));
    const nothing = table.querySelector(".gmf-nothing");
    if (nothing) nothing.hidden = rows.length > 0;
  };

  const fillFacts = (list, facts) => {
    while (list.children.length > facts.length) list.lastElementChild.remove();
    while (list.children.length < facts.length) list.append(document.createElement("li"));
    facts.forEach((fact, index) => say(list.children[index], fact));
  };

  const fillCluster = (section, cluster) => {
    const { summary, mark, facts, tables } = cluster.shown;
    say(shown(section, "summary"), summary);
    shown(section, "summary").dataset.mark = mark;
    fillFacts(shown(section, "facts"), facts);
    for (const table of section.querySelectorAll("[data-table]")) fillTable(table, tables[table.dataset.table]);
  };

  // Lines: what is kept survives the reload after a form was sent.

  let samples = [];
  try {
    samples = JSON.parse(sessionStorage.getItem(STORED)) ?? [];
  } catch {
    // Nothing kept, or nothing may be: the lines begin now.
  }

  const keep = (clusters) => {
    const at = Date.now() / 1000;
    const nodes = {};
    for (const { cluster, nodes: all } of clusters) {
      for (const { alias, lag, latency } of all) nodes[`${cluster} ${alias}`] = { lag, latency };
    }
    samples = [...samples.filter((sample) => sample.at > at - SECONDS), { at, nodes }];
    try {
      sessionStorage.setItem(STORED, JSON.stringify(samples));
    } catch {
      // Then they end with the page.
    }
  };

  const colour = (name) => getComputedStyle(page).getPropertyValue(name).trim();

  const swatch = (stroke, dash) => {
    const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const attributes = { x1: 0, y1: 4, x2: 28, y2: 4, stroke, "stroke-width": 2.5, "stroke-dasharray": dash.join(" ") };
    for (const [name, value] of Object.entries(attributes)) line.setAttribute(name, value);
    picture.setAttribute("width", 28);
    picture.setAttribute("height", 8);
    picture.setAttribute("aria-hidden", "true");
    picture.append(line);
    return picture;
  };

  // It grows with what there is, so that a page just opened shows more than a dot at its edge.
  const span = (first, last) => [Math.max(last - SECONDS, Math.min(first, last - LEAST_SECONDS)), last];

  class Chart {
    constructor(cluster, figure) {
      this.cluster = cluster;
      this.plotElement = figure.querySelector(".gmf-plot");
      this.legend = figure.querySelector(".gmf-legend");
      Object.assign(this, { field: figure.dataset.chart, unit: figure.dataset.unit });
      this.factor = Number(figure.dataset.factor);
      this.floor = Number(figure.dataset.floor);
      this.names = [];
      this.plot = null;
      new ResizeObserver(() => this.plot?.setSize({ width: this.plotElement.clientWidth, height: HEIGHT })).observe(
        this.plotElement,
      );
    }

    draw() {
      // A node has a line once it has told a value; a primary has no lag.
      const prefix = `${this.cluster} `;
      const told = samples.flatMap(({ nodes }) =>
        Object.keys(nodes).filter((name) => name.startsWith(prefix) && nodes[name][this.field] !== null),
      );
      const names = [...new Set(told)].sort();
      if (this.plot === null || names.join() !== this.names.join()) this.make(names);
      const values = names.map((name) => samples.map(({ nodes }) => this.value(nodes[name]?.[this.field])));
      this.plot.setData([samples.map(({ at }) => at), ...values]);
    }

    value(figure) {
      return figure === null || figure === undefined ? null : figure * this.factor;
    }

    make(names = this.names) {
      this.plot?.destroy();
      this.names = names;
      const lines = names.map((name, index) => ({
        label: name.slice(this.cluster.length + 1),
        stroke: colour(`--gmf-line-${(index % DASHES.length) + 1}`),
        dash: DASHES[index % DASHES.length],
        width: 2,
      }));
      const axis = {
        stroke: colour("--body-quiet-color"),
        grid: { stroke: colour("--hairline-color"), width: 1 },
        ticks: { stroke: colour("--hairline-color"), width: 1 },
      };
      const options = {
        width: this.plotElement.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        scales: {
          x: { range: (_, first, last) => span(first ?? Date.now() / 1000, last ?? Date.now() / 1000) },
          y: { range: (_, __, most) => [0, Math.max(this.floor, (most ?? 0) * 1.1)] },
        },
        series: [{}, ...lines],
        axes: [
          { ...axis, values: "{HH}:{mm}:{ss}", space: 80 },
          { ...axis, size: 60, values: (_, ticks) => ticks.map((tick) => `${tick} ${this.unit}`) },
        ],
      };
      this.plot = new uPlot(options, [[], ...lines.map(() => [])], this.plotElement);
      this.legend.replaceChildren(
        ...lines.map(({ label, stroke, dash }) => {
          const item = document.createElement("li");
          item.append(swatch(stroke, dash), label);
          return item;
        }),
      );
    }
  }

  const charts = sections.flatMap((section) => {
    section.querySelector(".gmf-charts").hidden = false;
    return [...section.querySelectorAll("[data-chart]")].map((figure) => new Chart(section.dataset.cluster, figure));
  });
  const repaint = () =>
    charts.forEach((chart) => {
      chart.make();
      chart.draw();
    });
  // The admin's switch of themes, and the system's.
  new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);

  // Polls

  const connection = shown(page, "connection");
  let answeredAt = new Date();

  const show = ({ process, clusters }) => {
    say(shown(page, "process"), String(process));
    for (const section of sections) {
      const cluster = clusters.find((each) => each.cluster === section.dataset.cluster);
      if (cluster) fillCluster(section, cluster);
    }
    keep(clusters);
    charts.forEach((chart) => chart.draw());
  };

  const poll = async () => {
    if (document.hidden) return;
    const answer = await fetch(page.dataset.url, { redirect: "manual", signal: AbortSignal.timeout(PATIENCE) });
    if (answer.type === "opaqueredirect" || answer.status === 403) {
      clearInterval(timer);
      say(connection, page.dataset.loggedOut);
      return;
    }
    if (!answer.ok) throw new Error(answer.statusText);
    show(await answer.json());
    answeredAt = new Date();
    say(connection, "");
  };

  let isUnderWay = false;
  const tick = async () => {
    if (isUnderWay) return;
    isUnderWay = true;
    try {
      await poll();
    } catch {
      say(connection, page.dataset.silent.replace("{time}", answeredAt.toLocaleTimeString()));
    } finally {
      isUnderWay = false;
    }
  };

  charts.forEach((chart) => chart.draw());
  const timer = setInterval(tick, pause);
  tick();
})();
