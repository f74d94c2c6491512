// The layout of a graph by dagre, on the page or, for large graphs, in a worker. A classic script, as
// dagre is.

"use strict";

/**
 * Takes the `sizes` [[width, height]] of nodes and `edges` [[source, target]]. Returns the centres of
 * `nodes` [[x, y]], the points of `edges` [[[x, y], …]], and the `width` and `height` of the picture.
 */
function layOut({ sizes, edges }) {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: "TB", nodesep: 28, ranksep: 56, marginx: 24, marginy: 24 });
  graph.setDefaultEdgeLabel(() => ({}));
  sizes.forEach(([width, height], node) => graph.setNode(String(node), { width, height }));
  edges.forEach(([source, target], edge) => graph.setEdge(String(source), String(target), {}, String(edge)));
  dagre.layout(graph);
  const { width, height } = graph.graph();
  return {
    nodes: sizes.map((_, node) => {
      const { x, y } = graph.node(String(node));
      return [x, y];
    }),
    edges: edges.map(([source, target], edge) => {
      const { points } = graph.edge(String(source), String(target), String(edge));
      return points.map(({ x, y }) => [x, y]);
    }),
    width: Number.isFinite(width) ? width : 0,
    height: Number.isFinite(height) ? height : 0,
  };
}

if (typeof importScripts === "function") {
  importScripts("vendor/dagre/dagre.min.js");
  onmessage = (event) => postMessage(layOut(event.data));
}
