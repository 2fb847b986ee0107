// How is a polygon edited in a form? The field after the map holds it as WKT.

import * as maplibregl from "maplibre-gl";
import {TerraDraw, TerraDrawPolygonMode, TerraDrawSelectMode} from "terra-draw";
import {TerraDrawMapLibreGLAdapter} from "terra-draw-maplibre-gl-adapter";
import {colours, style} from "./looks.js";
import {Tiles} from "./tiles.js";

const BERN = {center: [7.4474, 46.948], zoom: 14};
const DECIMALS = 9; // the most that Terra Draw takes
const CLOSE = {maxZoom: 17, padding: 60};

function rings(wkt) {
  const position = (pair) => pair.trim().split(/\s+/).map((number) => +(+number).toFixed(DECIMALS));
  return [...wkt.matchAll(/\(([^()]+)\)/g)].map(([, ring]) => ring.split(",").map(position));
}

function written(srid, coordinates) {
  const ring = (positions) => `(${positions.map((position) => position.join(" ")).join(",")})`;
  return `SRID=${srid};POLYGON(${coordinates.map(ring).join(",")})`;
}

function edit(container) {
  const field = container.nextElementSibling;
  const coordinates = rings(field.value);
  const bounds = coordinates.flat().reduce((box, position) => box.extend(position), new maplibregl.LngLatBounds());
  const where = coordinates.length ? {bounds, fitBoundsOptions: CLOSE} : BERN;
  const look = style(new Tiles(), ["places", "regions", "parcels"], colours([]));
  const map = new maplibregl.Map({container, style: look, ...where});
  map.addControl(new maplibregl.NavigationControl({showCompass: false}));
  map.once("load", () => {
    const polygon = {feature: {draggable: true, coordinates: {midpoints: true, draggable: true, deletable: true}}};
    const draw = new TerraDraw({
      adapter: new TerraDrawMapLibreGLAdapter({map}),
      modes: [new TerraDrawPolygonMode(), new TerraDrawSelectMode({flags: {polygon}})],
    });
    const select = (id) => {
      draw.setMode("select");
      draw.selectFeature(id);
    };
    draw.start();
    draw.on("finish", (id, {action}) => {
      field.value = written(field.dataset.srid, draw.getSnapshotFeature(id).geometry.coordinates);
      if (action === "draw") select(id);
    });
    if (coordinates.length) {
      const shape = {type: "Feature", properties: {mode: "polygon"}, geometry: {type: "Polygon", coordinates}};
      const [added] = draw.addFeatures([shape]);
      if (added.valid) select(added.id);
    } else {
      draw.setMode("polygon");
    }
    container.dataset.map = "loaded";
  });
}

document.querySelectorAll(".map-widget").forEach(edit);
