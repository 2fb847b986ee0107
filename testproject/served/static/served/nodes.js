// How are the nodes, and what happens when one breaks? The legend and the panel beside the map.

const POLL_MILLISECONDS = 1000;

/** Fill the legend from status.json and from what the page itself was served. */
export class Legend {
  constructor(table, url, tiles, ofNode) {
    Object.assign(this, {table, url, tiles, nodes: new Map()});
    this.rows = new Map([...ofNode].map(([alias, colour]) => [alias, this.#row(alias, colour)]));
    tiles.addEventListener("tile", () => this.show());
    this.polling = setInterval(() => document.hidden || this.poll(), POLL_MILLISECONDS);
    this.poll();
  }

  async poll() {
    try {
      const response = await fetch(this.url, {redirect: "manual", cache: "no-store"});
      // It is for the staff.
      if (response.type === "opaqueredirect" || response.status === 403) return clearInterval(this.polling);
      if (!response.ok) return;
      const {clusters} = await response.json();
      for (const node of clusters.flatMap((cluster) => cluster.nodes)) this.nodes.set(node.alias, node);
    } catch {
      return; // The next one may come through.
    }
    this.show();
  }

  show() {
    const total = this.tiles.total() || 1;
    for (const [alias, row] of this.rows) {
      const node = this.nodes.get(alias) ?? {};
      const served = this.tiles.served.get(alias) ?? 0;
      const cells = {
        state: node.drained ? `${node.state}, drained` : node.state,
        tiles: `${served} (${Math.round((100 * served) / total)} %)`,
        share: percent(node.share),
        lag: milliseconds(node.lag),
        latency: milliseconds(node.latency),
      };
      row.dataset.state = node.state ?? "unknown";
      for (const [name, text] of Object.entries(cells)) {
        row.querySelector(`[data-field=${name}]`).textContent = text ?? "–";
      }
    }
  }

  #row(alias, colour) {
    const row = this.table.tBodies[0].insertRow();
    row.dataset.node = alias;
    const head = row.appendChild(document.createElement("th"));
    head.scope = "row";
    head.textContent = alias;
    head.style.setProperty("--colour", colour);
    for (const name of ["state", "tiles", "share", "lag", "latency"]) row.insertCell().dataset.field = name;
    return row;
  }
}

/** Let the buttons of the panel break and mend the replicas. */
export function panel(form, onAct) {
  const answer = form.querySelector("output");
  const show = (states) => {
    for (const [node, state] of Object.entries(states ?? {})) {
      form.querySelector(`[data-server="${node}"]`).textContent = state;
    }
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const {action, node} = event.submitter.dataset;
    answer.textContent = `${node}: ${action} …`;
    onAct();
    try {
      const headers = {"X-CSRFToken": form.elements.csrfmiddlewaretoken.value};
      const response = await fetch(`/outages/${action}/${node}`, {method: "POST", headers});
      const {replicas, error} = await response.json();
      answer.textContent = error ?? `${node}: ${action} done`;
      show(replicas);
    } catch (error) {
      answer.textContent = error.message;
    }
  });
  fetch("/outages").then((response) => response.json()).then(({replicas}) => show(replicas));
}

function percent(share) {
  return share == null ? undefined : `${Math.round(100 * share)} %`;
}

function milliseconds(seconds) {
  return seconds == null ? undefined : `${(1000 * seconds).toFixed(1)} ms`;
}
