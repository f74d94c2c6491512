"""Pure functions over calls: lineage, handoffs, flow, trace, transcript, diff."""
