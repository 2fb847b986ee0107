// How does the map look? Its own style: no font, no picture and no tile comes from anywhere else.

export const PARCELS_FROM_ZOOM = 12;
const NODES = ["#d9480f", "#0b7285", "#7048e8", "#2f9e44", "#a61e4d"];
const NOBODY = "#868e96";
const CATEGORIES = {
  fountain: "#2f86d6", school: "#d08a00", pharmacy: "#2c9a55", playground: "#cf4f8b",
  viewpoint: "#8a63d2", bus_stop: "#d6452f", recycling: "#6f7f24",
};
const LIGHT = {land: "#fbfaf6", abroad: "#ecebe6", line: "#b9b4a7", ink: "#1c2420", parcel: "#f3ead7"};
const DARK = {land: "#232b28", abroad: "#171d1b", line: "#57625c", ink: "#e8ece9", parcel: "#38392c"};

/** Return the colour of each alias: the primary's first. */
export function colours(aliases) {
  return new Map(aliases.map((alias, place) => [alias, NODES[place % NODES.length]]));
}

export function style(tiles, layers, ofNode) {
  const look = matchMedia("(prefers-color-scheme: dark)").matches ? DARK : LIGHT;
  // Without a replica nobody is told apart, and a match needs a case.
  const node = ofNode.size ? ["match", ["get", "alias"], ...[...ofNode].flat(), NOBODY] : NOBODY;
  const category = ["match", ["get", "category"], ...Object.entries(CATEGORIES).flat(), look.ink];
  const isTown = ["==", ["get", "category"], "town"];
  const has = (name) => layers.includes(name);
  const parcels = [
    {id: "parcels", type: "fill", source: "parcels", "source-layer": "parcels", paint: {"fill-color": look.parcel}},
    {id: "parcel-lines", type: "line", source: "parcels", "source-layer": "parcels",
      paint: {"line-color": look.ink, "line-width": 0.6}},
  ];
  const lines = {id: "regions", type: "line", paint: {"line-color": look.line, "line-width": 1.2}};
  const regions = has("regions") ? {source: "regions", "source-layer": "regions"} : {source: "background"};
  return {
    version: 8,
    sources: {
      background: {type: "geojson", data: "/tiles/regions.json", attribution: "Boundaries: Natural Earth"},
      edges: {type: "geojson", data: {type: "FeatureCollection", features: []}},
      places: tiles.source("places"),
      ...(has("regions") && {regions: tiles.source("regions")}),
      ...(has("parcels") && {parcels: tiles.source("parcels", PARCELS_FROM_ZOOM)}),
    },
    layers: [
      {id: "abroad", type: "background", paint: {"background-color": look.abroad}},
      {id: "land", type: "fill", source: "background", filter: ["==", ["get", "country"], "CH"],
        paint: {"fill-color": look.land}},
      {id: "edge-tints", type: "fill", source: "edges", paint: {"fill-color": node, "fill-opacity": 0.07}},
      ...(has("parcels") ? parcels : []),
      {...lines, ...regions},
      {id: "places", type: "circle", source: "places", "source-layer": "places", filter: ["!", isTown],
        paint: {"circle-color": category, "circle-opacity": 0.85, "circle-radius": byZoom(6, 1.2, 10, 3, 15, 7)}},
      {id: "towns", type: "circle", source: "places", "source-layer": "places", filter: isTown,
        paint: {"circle-color": look.ink, "circle-radius": byZoom(6, 2.5, 12, 6)}},
      {id: "edges", type: "line", source: "edges", paint: {"line-color": node, "line-width": 3, "line-offset": 2}},
      {id: "names", type: "symbol", source: "places", "source-layer": "places", filter: isTown,
        layout: {"text-field": ["get", "name"], "text-font": ["sans-serif"], "text-size": 13,
          "text-anchor": "bottom-left", "text-offset": [0.4, -0.2]},
        paint: {"text-color": look.ink, "text-halo-color": look.land, "text-halo-width": 1.6}},
    ],
  };
}

function byZoom(...stops) {
  return ["interpolate", ["linear"], ["zoom"], ...stops];
}
