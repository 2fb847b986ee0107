// Which node served which tile, and why? All tiles of the map are asked for here.

import * as maplibregl from "maplibre-gl";

export const DEEPEST = 16;
const SCHEME = "tile";
const HEADER = "X-GMF-Database";

/** What was asked for and what came back; everybody may listen to "tile" and "failed". */
export class Tiles extends EventTarget {
  served = new Map(); // alias: how many tiles
  edges = new Map(); // "z/x/y": the alias that served the tile last
  failed = 0;
  #waiting = [];

  constructor() {
    super();
    maplibregl.addProtocol(SCHEME, (request, abort) => this.#load(request.url.slice(SCHEME.length + 3), abort));
  }

  source(layer, minzoom = 0) {
    // The id of a row names its feature, so that it can be found again.
    return {type: "vector", tiles: [`${SCHEME}://${layer}/{z}/{x}/{y}`], minzoom, maxzoom: DEEPEST, promoteId: "id"};
  }

  /** Return what the first tile tells that is asked for from now on and shows the place; throw where it fails. */
  next(layer, zoom, [lon, lat]) {
    const z = Math.min(Math.floor(zoom), DEEPEST);
    const path = [layer, z, ...tileAt(z, lon, lat)].join("/");
    const since = performance.now();
    return new Promise((resolve, reject) => this.#waiting.push({path, since, resolve, reject}));
  }

  total() {
    return [...this.served.values()].reduce((sum, count) => sum + count, 0);
  }

  async #load(path, abort) {
    const numbers = path.slice(path.indexOf("/") + 1);
    const began = performance.now();
    let response, data;
    try {
      response = await fetch(`/tiles/${path}.mvt`, {signal: abort.signal, cache: "no-store"});
      data = await response.arrayBuffer();
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
    } catch (error) {
      if (abort.signal.aborted) throw error; // The map moved on.
      this.failed += 1;
      for (const each of this.#whoWaits(path, began)) each.reject(error);
      this.dispatchEvent(new CustomEvent("failed", {detail: {path, message: error.message}}));
      throw error;
    }
    const milliseconds = performance.now() - began;
    this.#note({path, numbers, began, milliseconds, ...decision(response)});
    return {data};
  }

  #note(tile) {
    this.served.set(tile.alias, (this.served.get(tile.alias) ?? 0) + 1);
    this.edges.set(tile.numbers, tile.alias);
    for (const each of this.#whoWaits(tile.path, tile.began)) each.resolve(tile);
    this.dispatchEvent(new CustomEvent("tile", {detail: tile}));
  }

  #whoWaits(path, began) {
    const waits = (each) => each.path === path && each.since <= began;
    const found = this.#waiting.filter(waits);
    this.#waiting = this.#waiting.filter((each) => !waits(each));
    return found;
  }

  /** Return the outlines of the tiles of one zoom, as GeoJSON. */
  outlines(zoom) {
    const z = Math.min(Math.floor(zoom), DEEPEST);
    const shown = [...this.edges].filter(([numbers]) => numbers.startsWith(`${z}/`));
    const features = shown.map(([numbers, alias]) => ({
      type: "Feature",
      properties: {alias},
      geometry: {type: "Polygon", coordinates: [ring(...numbers.split("/").map(Number))]},
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

function ring(z, x, y) {
  const lon = (across) => (across / 2 ** z) * 360 - 180;
  const lat = (down) => (Math.atan(Math.sinh(Math.PI * (1 - (2 * down) / 2 ** z))) * 180) / Math.PI;
  const [west, east, north, south] = [lon(x), lon(x + 1), lat(y), lat(y + 1)];
  return [[west, north], [east, north], [east, south], [west, south], [west, north]];
}
