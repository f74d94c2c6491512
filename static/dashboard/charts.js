// Charts in the page's colours and the reader's time zone.

const DAY_S = 86400;

/** Returns CSS custom properties as colours that a canvas accepts. */
export function colours(...names) {
  const probe = document.createElement("span");
  document.body.append(probe);
  const found = names.map((name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  });
  probe.remove();
  return found;
}

export function zone() {
  return document.documentElement.dataset.zone === "UTC" ? "UTC" : undefined; // undefined: the browser's
}

/**
 * Draws `series` ({label, values, colour, width?, steps?, dash?}) over `times` (Unix seconds) into `box`;
 * `write` formats the labels of the value axis.
 */
export function draw(box, times, series, write, { height = 180, bars = false } = {}) {
  const [ink, line] = colours("--muted", "--line");
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const span = times.at(-1) - times[0];
  const form = span > 3 * DAY_S ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit" };
  if (span < 300) form.second = "2-digit";
  const format = new Intl.DateTimeFormat("en-GB", { ...form, timeZone: zone() });
  const chart = new uPlot(
    {
      width: box.clientWidth,
      height,
      legend: { show: false },
      cursor: { show: false },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), zone() ?? Intl.DateTimeFormat().resolvedOptions().timeZone),
      axes: [
        { ...axis, space: 70, values: (_, splits) => splits.map((at) => format.format(at * 1e3)) },
        { ...axis, size: 70, values: (_, splits) => splits.map((value) => (value === null ? "" : write(value))) },
      ],
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), high || 1] } },
      series: [
        {},
        ...series.map(({ label, colour, width = 2, steps = false, dash }) => ({
          label,
          stroke: colour,
          width,
          dash,
          points: { show: times.length < 60 && !dash, size: 5 },
          ...(steps ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
          ...(bars ? { fill: colour, paths: uPlot.paths.bars({ size: [0.7, 40] }), points: { show: false } } : {}),
        })),
      ],
    },
    [times, ...series.map(({ values }) => values)],
    box,
  );
  addEventListener("resize", () => chart.setSize({ width: box.clientWidth, height }));
  return chart;
}
