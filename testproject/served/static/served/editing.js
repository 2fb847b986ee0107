// Is what somebody draws in the very next tile? A place is added, a parcel drawn or given another shape.

import {TerraDraw, TerraDrawPointMode, TerraDrawPolygonMode, TerraDrawSelectMode} from "terra-draw";
import {TerraDrawMapLibreGLAdapter} from "terra-draw-maplibre-gl-adapter";
import {PARCELS_FROM_ZOOM} from "./looks.js";
import {decision} from "./tiles.js";

const PARCELS = "/collections/parcels/items";
const IDLE = "static";

export class Editing {
  seen = 0;
  saved = 0;

  constructor(map, tiles, form) {
    Object.assign(this, {map, tiles, form, answer: form.querySelector("output"), shaped: null});
    const polygon = {feature: {draggable: true, coordinates: {midpoints: true, draggable: true, deletable: true}}};
    this.draw = new TerraDraw({
      adapter: new TerraDrawMapLibreGLAdapter({map}),
      modes: [new TerraDrawPointMode(), new TerraDrawPolygonMode(), new TerraDrawSelectMode({flags: {polygon}})],
    });
    this.draw.start();
    this.draw.on("finish", (id, {action}) => {
      if (action === "draw") this.#drawn(this.draw.getSnapshotFeature(id).geometry);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this[event.submitter.value]();
    });
    map.on("click", (event) => this.form.dataset.mode === "pick" && this.#pick(event.point));
    this.stop();
  }

  place() {
    this.#begin("point", "Click where the place is.");
  }

  parcel() {
    this.#begin("polygon", "Click the corners; the last one twice.", "polygon", PARCELS_FROM_ZOOM);
  }

  reshape() {
    this.#begin(IDLE, "Click a parcel.", "pick", PARCELS_FROM_ZOOM);
  }

  async save() {
    const geometry = this.draw.getSnapshotFeature(this.shaped.drawn).geometry;
    const url = `${PARCELS}/${this.shaped.id}`;
    await this.#save("parcels", url, {method: "PUT", ...feature(geometry)}, geometry.coordinates[0][0]);
  }

  stop() {
    this.draw.clear();
    this.draw.setMode(IDLE);
    this.shaped = null;
    this.form.dataset.mode = "";
  }

  #begin(mode, told, name = mode, zoom = 0) {
    this.stop();
    if (this.map.getZoom() < zoom) {
      this.answer.textContent = "Zoom in to the parcels of a town first.";
      return;
    }
    this.draw.setMode(mode);
    this.form.dataset.mode = name;
    this.answer.textContent = told;
  }

  async #pick(point) {
    const [found] = this.map.queryRenderedFeatures(point, {layers: ["parcels"]});
    if (!found) return;
    const parcel = await (await fetch(`${PARCELS}/${found.properties.id}`)).json();
    const shape = {type: "Feature", geometry: parcel.geometry, properties: {mode: "polygon"}};
    const [added] = this.draw.addFeatures([shape]);
    if (!added.valid) {
      this.answer.textContent = `This parcel cannot be drawn: ${added.reason}`;
      return;
    }
    this.draw.setMode("select");
    this.draw.selectFeature(added.id);
    this.shaped = {id: parcel.id, drawn: added.id};
    this.form.dataset.mode = "shape";
    const {number, owner} = parcel.properties;
    const name = `Parcel ${number ?? "without a number"}, ${owner ?? "nobody's"}`;
    this.answer.textContent = `${name}: move its corners, then save.`;
  }

  #drawn(geometry) {
    if (geometry.type === "Polygon") {
      return this.#save("parcels", PARCELS, {method: "POST", ...feature(geometry)}, geometry.coordinates[0][0]);
    }
    const [lon, lat] = geometry.coordinates;
    const body = new URLSearchParams({name: `Place of ${new Date().toISOString()}`, category: "fountain", lon, lat});
    return this.#save("places", "/places", {method: "POST", body}, [lon, lat]);
  }

  async #save(layer, url, request, place) {
    this.stop();
    try {
      const response = await fetch(url, request);
      const body = await response.json();
      if (response.ok) await this.#see(layer, response, body, place);
      else this.answer.textContent = `${response.status}: ${JSON.stringify(body.errors ?? body)}`;
    } catch (error) {
      this.answer.textContent = error.message;
    }
  }

  /** Ask for the tiles anew, and tell whether the change is in the first one that shows the place. */
  async #see(layer, response, body, place) {
    this.saved += 1;
    const written = decision(response);
    // A corner may lie outside of what is shown, and its tile is not asked for then.
    if (!this.map.getBounds().contains(place)) this.map.jumpTo({center: place});
    const next = this.tiles.next(layer, this.map.getZoom(), place);
    this.map.refreshTiles(layer);
    const tile = await next;
    await this.map.once("idle");
    const isSeen = this.#holds(layer, body);
    this.seen += isSeen;
    this.answer.textContent = [
      `Saved on ${written.alias} (${written.reason}).`,
      `The next tile came from ${tile.alias} (${tile.reason}) after ${tile.milliseconds.toFixed(0)} ms:`,
      `the change is ${isSeen ? "in it" : "missing"}.`,
      `Seen at once: ${this.seen} of ${this.saved}.`,
    ].join(" ");
  }

  #holds(layer, {id, properties}) {
    const found = this.map.querySourceFeatures(layer, {sourceLayer: layer, filter: ["==", ["get", "id"], id]});
    // A place has no version, and is there or not.
    return found.some((each) => each.properties.version === properties.version);
  }
}

function feature(geometry) {
  const body = JSON.stringify({type: "Feature", properties: {}, geometry});
  return {headers: {"Content-Type": "application/geo+json"}, body};
}
