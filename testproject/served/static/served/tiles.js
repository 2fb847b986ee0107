// Which node served which tile, and why? All tiles of the map are asked for here.

import * as maplibregl from "maplibre-gl";

export const DEEPEST = 16;
const SCHEME = "tile";
const HEADER = "X-GMF-Database";
const KEPT_LATENCIES = 50;

/** What was asked for and what came back; everybody may listen to "tile" and "failed". */
export class Tiles extends EventTarget {
  served = new Map(); // alias: how many tiles
  edges = new Map(); // "z/x/y": who served the tile last
  failed = 0;
  latencies = [];
  #waiting = [];

  constructor() {
    super();
    maplibregl.addProtocol(SCHEME, (request, abort) => this.#load(request.url.slice(SCHEME.length + 3), abort));
  }

  source(layer, minzoom = 0) {
    // The id of a row names its feature, so that it can be found again.
    return {type: "vector", tiles: [`${SCHEME}://${layer}/{z}/{x}/{y}`], minzoom, maxzoom: DEEPEST, promoteId: "id"};
  }

  /** Return what the first tile tells that is asked for from now on and shows the place. */
  next(layer, zoom, [lon, lat]) {
    const z = Math.min(Math.floor(zoom), DEEPEST);
    const since = performance.now();
    return new Promise((resolve) => this.#waiting.push({path: [layer, z, ...tileAt(z, lon, lat)].join("/"), since, resolve}));
  }

  total() {
    return [...this.served.values()].reduce((sum, count) => sum + count, 0);
  }

  async #load(path, abort) {
    const [layer, ...numbers] = path.split("/");
    const began = performance.now();
    let response, data;
    try {
      response = await fetch(`/tiles/${path}.mvt`, {signal: abort.signal, cache: "no-store"});
      data = await response.arrayBuffer();
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    } catch (error) {
      if (abort.signal.aborted) throw error; // The map moved on.
      this.failed += 1;
      this.dispatchEvent(new CustomEvent("failed", {detail: {path, message: error.message}}));
      throw error;
    }
    this.#note({path, layer, z: +numbers[0], x: +numbers[1], y: +numbers[2], began, milliseconds: performance.now() - began, ...decision(response)});
    return {data};
  }

  #note(tile) {
    this.served.set(tile.alias, (this.served.get(tile.alias) ?? 0) + 1);
    this.edges.set(`${tile.z}/${tile.x}/${tile.y}`, tile);
    this.latencies = [...this.latencies.slice(1 - KEPT_LATENCIES), tile.milliseconds];
    const [now, later] = [[], []];
    for (const each of this.#waiting) (each.path === tile.path && each.since <= tile.began ? now : later).push(each);
    this.#waiting = later;
    for (const each of now) each.resolve(tile);
    this.dispatchEvent(new CustomEvent("tile", {detail: tile}));
  }

  /** Return the outlines of the tiles of one zoom, as GeoJSON. */
  outlines(zoom) {
    const z = Math.min(Math.floor(zoom), DEEPEST);
    const features = [...this.edges.values()].filter((tile) => tile.z === z).map((tile) => ({
      type: "Feature",
      properties: {alias: tile.alias},
      geometry: {type: "Polygon", coordinates: [ring(tile)]},
    }));
    return {type: "FeatureCollection", features};
  }
}

/** Return which database answered and why, from the header of DEBUG_HEADER. */
export function decision(response) {
  const [alias, reason] = (response.headers.get(HEADER) ?? "").split("; reason=");
  return {alias: alias || "nobody", reason: reason ?? "no query"};
}

function tileAt(z, lon, lat) {
  const size = 2 ** z;
  const y = (1 - Math.asinh(Math.tan((lat * Math.PI) / 180)) / Math.PI) / 2;
  return [Math.floor(((lon + 180) / 360) * size), Math.floor(y * size)];
}

function ring({z, x, y}) {
  const lon = (across) => (across / 2 ** z) * 360 - 180;
  const lat = (down) => (Math.atan(Math.sinh(Math.PI * (1 - (2 * down) / 2 ** z))) * 180) / Math.PI;
  const [west, east, north, south] = [lon(x), lon(x + 1), lat(y), lat(y + 1)];
  return [[west, north], [east, north], [east, south], [west, south], [west, north]];
}
