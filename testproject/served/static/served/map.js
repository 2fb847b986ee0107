// What does the map show? Tiles from the replicas, each one's outline in the colour of the node that served it.

import * as maplibregl from "maplibre-gl";
import {Editing} from "./editing.js";
import {colours, style} from "./looks.js";
import {Legend, panel} from "./nodes.js";
import {Tiles} from "./tiles.js";

const AGAIN_MILLISECONDS = 1000;
const SWITZERLAND = [[5.96, 45.82], [10.49, 47.81]];
const WORDS = {
  read_method: "the request only reads, so any replica that is up may serve it",
  no_replica: "no replica may serve now, so the primary does",
  consistency: "no replica has what you wrote yet, so the primary serves",
  moved: "its replica went away meanwhile, so another node answered",
};

const config = JSON.parse(document.getElementById("map-config").textContent);
const find = (id) => document.getElementById(id);
const ofNode = colours(config.nodes);
const tiles = new Tiles();
const map = new maplibregl.Map({
  container: "map",
  style: style(tiles, config.layers, ofNode),
  bounds: SWITZERLAND,
  maxZoom: 19,
  hash: true,
});
map.addControl(new maplibregl.NavigationControl({showCompass: false}));
map.addControl(new maplibregl.ScaleControl());

function drawEdges() {
  map.getSource("edges")?.setData(tiles.outlines(map.getZoom()));
}

let isDrawing = false;
tiles.addEventListener("tile", ({detail: tile}) => {
  const shown = find("last-tile");
  shown.querySelector("[data-field=tile]").textContent = `GET /tiles/${tile.path}.mvt`;
  shown.querySelector("[data-field=node]").textContent = tile.alias;
  shown.querySelector("[data-field=node]").style.setProperty("--colour", ofNode.get(tile.alias) ?? "gray");
  shown.querySelector("[data-field=reason]").textContent = tile.reason;
  shown.querySelector("[data-field=words]").textContent = WORDS[tile.reason] ?? "";
  shown.querySelector("[data-field=milliseconds]").textContent = `${tile.milliseconds.toFixed(0)} ms`;
  find("tiles-total").textContent = tiles.total();
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    drawEdges();
  });
});
tiles.addEventListener("failed", ({detail}) => {
  find("tiles-failed").textContent = tiles.failed;
  find("tiles-failed").title = `${detail.path}: ${detail.message}`;
});
map.on("zoomend", drawEdges);

const again = find("again");
setInterval(() => {
  // What is still on its way, as from a frozen replica, is not asked for once more.
  if (!again.checked || document.hidden || !map.areTilesLoaded()) return;
  for (const layer of config.layers) map.refreshTiles(layer);
}, AGAIN_MILLISECONDS);

new Legend(find("nodes"), config.status, tiles, ofNode);
if (config.outages) panel(find("outages"), () => { again.checked = true; });
map.once("load", () => {
  new Editing(map, tiles, find("editing"));
  document.body.dataset.map = "loaded";
});
