// Where the nodes and edges of a graph go, by dagre: on the page, or in a worker when it takes long. A
// classic script, as dagre is.

"use strict";

/** Of `sizes` [[width, height]] and `edges` [[source, target]]: `nodes` [[x, y]] of their centres,
 * `edges` [[[x, y], …]] and the size of it all. */
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
