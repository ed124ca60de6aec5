// The two plots: the metric with its band, and the counts below it. Both are redrawn from the data that came with the view.

const FINAL = 2;
const DATES = new Intl.DateTimeFormat("en-GB", {
  weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: "UTC",
});
const DAYS = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const TICK_DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const COUNTS = new Intl.NumberFormat("en-US");
const MATURITY = ["provisional", "maturing", "final"];

let series = null; // what the server sent: columns of equal length
let plots = [];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Shows `drawn`; keeps the plots and only changes their data where it can. */
export function show(drawn) {
  const hosts = [document.getElementById("accuracy"), document.getElementById("coverage")];
  if (!drawn || !hosts[0]) return clear();
  const known = plots.length && plots[0].root.isConnected && series?.metric === drawn.metric && series?.interval === drawn.interval;
  series = drawn;
  if (!known) {
    clear();
    series = drawn;
    plots = [metricPlot(hosts[0]), countPlot(hosts[1])];
  } else {
    plots[0].setData(metricData());
    plots[1].setData(countData());
  }
  read(null);
}

function clear() {
  plots.forEach((plot) => plot.destroy());
  plots = [];
  series = null;
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  const drawn = series;
  clear();
  show(drawn);
});

new ResizeObserver(() => plots.forEach((plot) => plot.setSize(sizeOf(plot.root.parentElement))))
  .observe(document.documentElement);

const sizeOf = (host) => ({ width: host.clientWidth, height: host.clientHeight });

// Points whose labels are still coming are series of their own: lighter, dashed, joined to the last final one.
function metricData() {
  const { x, value, low, high, maturity } = series;
  const early = maturity.map((m, i) => m < FINAL || maturity[i + 1] < FINAL || maturity[i - 1] < FINAL);
  const only = (column, keep) => column.map((v, i) => (keep(i) ? v : null));
  const final = (i) => maturity[i] === FINAL;
  const young = (i) => early[i];
  return [x, only(low, final), only(high, final), only(low, young), only(high, young), only(value, final), only(value, young)];
}

const countData = () => [series.x, series.n, series.labelled];

function metricPlot(host) {
  const edge = { width: 0, points: { show: false } };
  const line = { width: 1.75, stroke: colour("accent"), points: { show: false } };
  const plot = new uPlot({
    ...frame(host, { y: { range: (_, __, ___) => yRange() } }),
    axes: [timeAxis(), { ...axis(), size: 58, values: (_, ticks) => ticks.map(tick) }],
    series: [{}, edge, edge, edge, edge, line, { ...line, dash: [4, 3], width: 1.25 }],
    bands: [{ series: [2, 1], fill: colour("band") }, { series: [4, 3], fill: colour("band-early") }],
    hooks: { draw: [reference, markers], setCursor: [(u) => read(u.cursor.idx)] },
  }, metricData(), host);
  keyboard(host, plot);
  return plot;
}

function countPlot(host) {
  const bars = uPlot.paths.bars({ size: [0.82, 60] });
  const bar = (name) => ({ paths: bars, width: 0, fill: colour(name), points: { show: false } });
  return new uPlot({
    ...frame(host, { y: { range: (_, __, top) => [0, Math.max(1, top)] } }),
    padding: [8, 22, 7, 0],
    axes: [{ ...timeAxis(), show: false }, { ...axis(), size: 58, space: 28, values: (_, ticks) => ticks.map((t) => compact(t)) }],
    series: [{}, bar("count"), bar("counted")],
    hooks: { setCursor: [(u) => read(u.cursor.idx)] },
  }, countData(), host);
}

function frame(host, scales) {
  return {
    ...sizeOf(host),
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    scales: { x: { time: true }, ...scales },
    padding: [8, 22, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: "assay" }, y: false, points: { show: false } },
  };
}

const axis = () => ({
  stroke: colour("soft"), font: "11px system-ui, sans-serif", gap: 6,
  grid: { stroke: colour("line"), width: 1 }, ticks: { show: false },
});
const timeAxis = () => ({ ...axis(), grid: { show: false }, size: 28, space: 76, values: timeTicks });

// Days by their date; hours by the clock, with the date at midnight. The year where it begins.
function timeTicks(_, ticks, __, ___, step) {
  return ticks.map((seconds) => {
    const date = new Date(seconds * 1000);
    const midnight = seconds % 86_400 === 0;
    if (step < 86_400 && !midnight) return date.toISOString().slice(11, 16);
    return date.getUTCMonth() + date.getUTCDate() === 1 ? `${TICK_DAY.format(date)} ${date.getUTCFullYear()}` : TICK_DAY.format(date);
  });
}

// The scale follows the points that rest on much; a lone bucket of three labels may leave the frame with its band.
function yRange() {
  const { labelled, value, low, high, interval, percent } = series;
  const enough = Math.max(...labelled) * 0.25;
  const strong = value.map((v, i) => i).filter((i) => value[i] !== null && labelled[i] >= enough);
  if (!strong.length) return [0, 1];
  let floor = Math.min(...strong.map((i) => low[i] ?? value[i]));
  let top = Math.max(...strong.map((i) => high[i] ?? value[i]));
  const room = (top - floor || Math.abs(top) * 0.1 || 0.1) * 0.08;
  return percent ? [Math.max(0, floor - room), Math.min(1, top + room)] : [floor - room, top + room];
}

function reference(u) {
  if (series.overall === null) return;
  const y = Math.round(u.valToPos(series.overall, "y", true)) + 0.5;
  if (y < u.bbox.top || y > u.bbox.top + u.bbox.height) return;
  stroke(u, () => { u.ctx.moveTo(u.bbox.left, y); u.ctx.lineTo(u.bbox.left + u.bbox.width, y); });
}

function stroke(u, path) {
  u.ctx.save();
  u.ctx.strokeStyle = colour("faint");
  u.ctx.lineWidth = 1;
  u.ctx.setLineDash([2, 4]);
  u.ctx.beginPath();
  path();
  u.ctx.stroke();
  u.ctx.restore();
}

// Final points are filled, the others hollow; left out where they would crowd, but never for a point without neighbours.
function markers(u) {
  const [from, to] = u.series[0].idxs ?? [0, series.x.length - 1];
  const room = u.bbox.width / Math.max(1, to - from) / devicePixelRatio;
  u.ctx.save();
  u.ctx.setLineDash([]);
  u.ctx.lineWidth = 1.25 * devicePixelRatio;
  u.ctx.strokeStyle = colour("accent");
  for (let i = from; i <= to; i += 1) {
    const alone = (series.value[i - 1] ?? null) === null && (series.value[i + 1] ?? null) === null;
    const needed = series.maturity[i] === FINAL ? 12 : 7;
    if (series.value[i] !== null && (room >= needed || alone)) marker(u, i);
  }
  u.ctx.restore();
}

function marker(u, i) {
  const y = u.valToPos(series.value[i], "y", true);
  if (y < u.bbox.top || y > u.bbox.top + u.bbox.height) return;
  u.ctx.fillStyle = colour(series.maturity[i] === FINAL ? "accent" : "card");
  u.ctx.beginPath();
  u.ctx.arc(u.valToPos(series.x[i], "x", true), y, 2.5 * devicePixelRatio, 0, 2 * Math.PI);
  u.ctx.fill();
  u.ctx.stroke();
}

function keyboard(host, plot) {
  host.onkeydown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!step) return;
    event.preventDefault();
    const last = series.x.length - 1;
    const index = Math.min(last, Math.max(0, (plot.cursor.idx ?? last) + step));
    plot.setCursor({ left: plot.valToPos(series.x[index], "x"), top: 10 });
  };
}

/** One line about the bucket under the cursor; without one, the newest that is final, else the newest with a value. */
function read(index) {
  const line = document.getElementById("readout");
  if (!line || !series) return;
  const settled = series.value.findLastIndex((v, i) => v !== null && series.maturity[i] === FINAL);
  const at = index ?? (settled < 0 ? series.value.findLastIndex((v) => v !== null) : settled);
  if (at < 0) return line.replaceChildren("No labels yet in this range.");
  const { x, n, labelled, value, low, high, maturity } = series;
  const when = (series.interval === "day" ? DAYS : DATES).format(x[at] * 1000);
  const share = n[at] ? `${((100 * labelled[at]) / n[at]).toFixed(0)} % of ${COUNTS.format(n[at])} labelled, ${MATURITY[maturity[at]]}` : "no predictions";
  const number = document.createElement("b");
  number.textContent = value[at] === null ? "no value" : figure(value[at]);
  const band = low[at] === null ? "" : ` (${figure(low[at])} to ${figure(high[at])})`;
  line.replaceChildren(`${when} UTC  `, number, `${band}  ·  ${share}`);
}

const figure = (v) => (series.percent ? `${(100 * v).toFixed(1)} %` : significant(v));
const tick = (v) => (series.percent ? `${+(100 * v).toFixed(2)} %` : `${+v.toPrecision(6)}`);
const significant = (v) => (Math.abs(v) >= 1000 ? COUNTS.format(Math.round(v)) : `${+v.toPrecision(4)}`);
const compact = (v) => new Intl.NumberFormat("en-US", { notation: "compact" }).format(v);
