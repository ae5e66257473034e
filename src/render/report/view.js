// What is seen, and drawing it.

const ROW = 16, HEAD = 26, AXIS = 34, LEFT = 200, RIGHT = 62;
const LEAST = GRID;
const SPANS = [["All", span], ["7 d", 7 * DAY], ["1 d", DAY], ["6 h", 6 * 3600], ["1 h", 3600], ["10 min", GRID]]
  .filter(([name, length]) => name === "All" || length < span);

const overview = document.getElementById("overview");
const scroller = document.getElementById("scroller");
const detail = document.getElementById("detail");
const spacer = document.getElementById("spacer");

// The time that is seen, in seconds from the start of the range.
const view = { from: 0, to: span };
// Where the cursor is: a camera and a moment of it; nothing until somebody uses it.
let cursor = null;
// The lines of the picture: groups' headings and cameras, each with its distance from the top.
let lines = [];
let rows = [];
let contentHeight = 0;
let overviewImage = null;

const gridWidth = () => Math.max(60, scroller.clientWidth - LEFT - RIGHT);
const secondsPerPixel = () => (view.to - view.from) / gridWidth();
const timeAt = (x) => view.from + (x - LEFT) * secondsPerPixel();
const xAt = (time) => LEFT + (time - view.from) / secondsPerPixel();

// Which cameras are shown: all, or those that somebody looks for.
function layOut(words, onlyIncomplete) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const isWanted = (camera) =>
    (!onlyIncomplete || camera.archived < camera.asked) && wanted.every((word) => camera.words.includes(word));
  lines = [];
  rows = [];
  let top = 0;
  for (const group of groups) {
    const shown = group.cameras.filter(isWanted);
    if (shown.length === 0) continue;
    lines.push({ top, height: HEAD, group });
    top += HEAD;
    for (const camera of shown) {
      camera.line = lines.length;
      lines.push({ top, height: ROW, camera });
      rows.push(camera);
      top += ROW;
    }
  }
  contentHeight = top;
  if (cursor && !rows.includes(cursor.camera)) cursor = null;
  document.getElementById("shown").textContent = rows.length === cameras.length ? "" : `${rows.length} of ${cameras.length} cameras`;
  overviewImage = null;
  measure();
}

function measure() {
  const high = AXIS + contentHeight + 4;
  const seen = Math.max(120, Math.min(high, Math.round(innerHeight * 0.68)));
  scroller.style.height = `${seen + 2}px`;
  spacer.style.height = `${Math.max(0, high - seen)}px`;
  detail.dataset.height = seen;
}

let isAsked = false;
function draw() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    drawNow();
  });
}

function drawNow() {
  drawOverview();
  drawDetail();
}

// The line at a height of the picture.
function lineAt(y) {
  let low = 0, high = lines.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lines[middle].top + lines[middle].height <= y) low = middle + 1; else high = middle;
  }
  return lines[low] && lines[low].top <= y ? lines[low] : null;
}

function drawDetail() {
  const width = scroller.clientWidth, height = Number(detail.dataset.height), right = LEFT + gridWidth();
  const pen = penOf(detail, width, height);
  pen.fillStyle = colours.paper;
  pen.fillRect(0, 0, width, height);
  const scrolled = scroller.scrollTop;
  pen.textBaseline = "middle";
  const ticks = ticksOf(view.from, view.to, gridWidth());
  pen.save();
  pen.beginPath();
  pen.rect(0, AXIS, width, height - AXIS);
  pen.clip();
  const headings = [];
  const from = lines.findIndex((line) => line.top + line.height > scrolled);
  for (let index = Math.max(0, from); index < lines.length; index++) {
    const line = lines[index], top = AXIS + line.top - scrolled;
    if (top > height) break;
    if (line.camera) drawCamera(pen, line.camera, top, right);
    else headings.push([line.group, top]);
  }
  // Lines at the ticks, over the rows, so thin that they hide nothing.
  pen.fillStyle = colours.ink;
  for (const tick of ticks) {
    pen.globalAlpha = tick.isDay ? 0.22 : 0.08;
    pen.fillRect(Math.round(xAt(tick.at)), AXIS, 1, height - AXIS);
  }
  pen.globalAlpha = 1;
  drawNowLine(pen, height);
  for (const [group, top] of headings) drawHeading(pen, group, top, width);
  drawCursor(pen, scrolled);
  pen.restore();
  drawAxis(pen, ticks, width, right);
}

function drawHeading(pen, group, top, width) {
  pen.fillStyle = colours.panel;
  pen.fillRect(0, top, width, HEAD - 3);
  pen.fillStyle = colours.ink;
  pen.font = "600 13px system-ui, sans-serif";
  pen.textAlign = "left";
  pen.fillText(group.name, 8, top + 12, width / 2);
  const nvrs = new Set(group.cameras.map((camera) => camera.nvr));
  const amount = `${group.cameras.length === 1 ? "1 camera" : `${group.cameras.length} cameras`}${nvrs.size > 1 ? ` on ${nvrs.size} NVRs` : ""}`;
  const after = 8 + Math.min(width / 2, pen.measureText(group.name).width) + 12;
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = colours.soft;
  pen.fillText(amount, after, top + 12);
  pen.textAlign = "right";
  pen.font = "600 12px system-ui, sans-serif";
  pen.fillText(percentText(group.archived, group.asked), width - 8, top + 12);
}

function drawCamera(pen, camera, top, right) {
  paintRow(pen, camera, view.from, view.to, LEFT, top + 1, right - LEFT, ROW - 3);
  pen.font = "12px system-ui, sans-serif";
  pen.textAlign = "left";
  pen.fillStyle = colours.soft;
  const number = String(camera.device);
  pen.fillText(number, 16, top + ROW / 2);
  pen.fillStyle = colours.ink;
  const after = 16 + Math.max(34, pen.measureText(number).width + 8);
  pen.fillText(fitting(pen, camera.title, LEFT - after - 8), after, top + ROW / 2);
  const isWhole = camera.archived >= camera.asked;
  pen.textAlign = "right";
  pen.fillStyle = isWhole ? colours.soft : colours.ink;
  pen.fillText(percentText(camera.archived, camera.asked), right + RIGHT - 8, top + ROW / 2);
}

// As much of a text as there is room for. Kept, since texts are measured slowly.
const fitted = new Map();
function fitting(pen, text, room) {
  if (fitted.has(text)) return fitted.get(text);
  let kept = text;
  if (pen.measureText(text).width > room) {
    const letters = [...text];
    while (letters.length > 0 && pen.measureText(`${letters.join("")}…`).width > room) letters.pop();
    kept = `${letters.join("")}…`;
  }
  fitted.set(text, kept);
  return kept;
}

// When the page was made, where that is seen.
function drawNowLine(pen, height) {
  const at = data.made - data.from;
  if (at < view.from || at > view.to || at > span - 60) return;
  pen.fillStyle = colours.accent;
  pen.fillRect(Math.round(xAt(at)), AXIS, 2, height - AXIS);
}

function drawCursor(pen, scrolled) {
  if (!cursor) return;
  const line = lines[cursor.camera.line];
  const told = describe(cursor.camera, cursor.at);
  const top = AXIS + line.top - scrolled;
  const x0 = Math.max(LEFT - 1, xAt(told.from)), x1 = Math.min(LEFT + gridWidth() + 1, xAt(told.to));
  const x = xAt(cursor.at);
  pen.strokeStyle = colours.ink;
  pen.lineWidth = 2;
  const left = x1 - x0 < 5 ? x - 3 : x0;
  pen.strokeRect(left, top - 0.5, Math.max(6, x1 - x0), ROW - 0.5);
  pen.fillStyle = colours.accent;
  pen.beginPath();
  pen.moveTo(x, top + 1);
  pen.lineTo(x - 5, top - 7);
  pen.lineTo(x + 5, top - 7);
  pen.fill();
}

// Where the axis has its ticks: at marks of local time, as many as there is room for.
const STEPS = [60, 120, 300, GRID, 1200, 1800, 3600, 2 * 3600, 3 * 3600, 6 * 3600, 12 * 3600, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY];
function ticksOf(from, to, width) {
  const step = STEPS.find((step) => (step / (to - from)) * width >= 52) ?? STEPS[STEPS.length - 1];
  const ticks = [];
  const local = (time) => data.from + time + offsetAt(data.zone, time);
  // Weeks begin on Mondays, and 1970 began on a Thursday.
  const phase = step > 2 * DAY ? 4 * DAY : 0;
  for (let mark = Math.floor((local(from) - phase) / step) * step + phase; ; mark += step) {
    // The offset before and after may differ: where clocks leap, a mark stands where the new time has it.
    let at = mark - data.from - offsetAt(data.zone, mark - data.from);
    at = mark - data.from - offsetAt(data.zone, at);
    if (at > to) break;
    if (at >= from) ticks.push({ at, isDay: mark % DAY === 0 });
  }
  return ticks;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
function dayText(at, withWeekday = true) {
  const { date } = localParts(data.zone, at);
  return `${withWeekday ? `${WEEKDAYS[date.getUTCDay()]} ` : ""}${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
}

function drawAxis(pen, ticks, width, right) {
  pen.fillStyle = colours.paper;
  pen.fillRect(0, 0, width, AXIS);
  pen.fillStyle = colours.line;
  pen.fillRect(0, AXIS - 1, width, 1);
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = colours.soft;
  pen.textAlign = "right";
  pen.fillText("archived", width - 8, AXIS - 11);
  pen.textAlign = "left";
  pen.fillText(data.zone, 8, AXIS - 11, LEFT - 16);
  const daily = ticks.every((tick) => tick.isDay);
  const isWide = ticks.length < 2 || xAt(ticks[1].at) - xAt(ticks[0].at) >= 76;
  // Days stand above hours; where there are only days, in their place.
  let clear = LEFT;
  if (!daily) {
    pen.fillStyle = colours.ink;
    pen.font = "600 12px system-ui, sans-serif";
    const days = [{ at: view.from, isDay: true }, ...ticks.filter((tick) => tick.isDay)];
    days.forEach((day, index) => {
      const x = Math.max(LEFT, xAt(day.at));
      const next = index + 1 < days.length ? xAt(days[index + 1].at) : right;
      if (x >= clear && next - x > 64) {
        pen.fillText(dayText(day.at), x + 3, 10);
        clear = x + 70;
      }
    });
  }
  pen.font = "12px system-ui, sans-serif";
  for (const tick of ticks) {
    const x = xAt(tick.at);
    if (x > right - (daily && isWide ? 66 : 40)) continue;
    const { clock, date } = localParts(data.zone, tick.at);
    pen.fillStyle = daily && [0, 6].includes(date.getUTCDay()) ? colours.soft : colours.ink;
    pen.fillText(daily ? dayText(tick.at, isWide) : clock, x + 3, AXIS - 11);
    pen.fillStyle = colours.soft;
    pen.fillRect(Math.round(x), AXIS - 6, 1, 6);
  }
}

const overviewHeight = () => Math.min(240, Math.max(36, rows.length * 2));

function drawOverview() {
  const width = overview.clientWidth, height = overviewHeight();
  const pen = penOf(overview, width, height);
  if (!overviewImage || overviewImage.width !== overview.width) {
    const lines = Math.min(overview.height, Math.max(1, rows.length));
    const image = paintOverview(rows, overview.width, lines);
    const still = document.createElement("canvas");
    still.width = image.width;
    still.height = lines;
    still.getContext("2d").putImageData(image, 0, 0);
    overviewImage = still;
  }
  pen.imageSmoothingEnabled = false;
  pen.drawImage(overviewImage, 0, 0, width, height);
  // The frame around what is seen below.
  const x0 = (view.from / span) * width, x1 = (view.to / span) * width;
  const seen = Number(detail.dataset.height) - AXIS;
  const y0 = rowShare(scroller.scrollTop) * height, y1 = rowShare(scroller.scrollTop + seen) * height;
  pen.fillStyle = colours.paper;
  pen.globalAlpha = 0.2;
  pen.fillRect(0, 0, width, y0);
  pen.fillRect(0, y1, width, height - y1);
  pen.fillRect(0, y0, x0, y1 - y0);
  pen.fillRect(x1, y0, width - x1, y1 - y0);
  pen.globalAlpha = 1;
  pen.strokeStyle = colours.ink;
  pen.lineWidth = 1.5;
  pen.strokeRect(x0 + 0.75, y0 + 0.75, Math.max(3, x1 - x0 - 1.5), Math.max(3, y1 - y0 - 1.5));
}

// How many of the cameras are above a height of the picture, as a share of all.
function rowShare(y) {
  if (rows.length === 0) return 0;
  let above = 0;
  for (const line of lines) {
    if (line.top >= y) break;
    if (line.camera) above += Math.min(1, (y - line.top) / line.height);
  }
  return above / rows.length;
}

// The height of the picture at which the n-th camera begins.
function heightOfRow(row) {
  const camera = rows[Math.max(0, Math.min(rows.length - 1, Math.floor(row)))];
  return camera ? lines[camera.line].top : 0;
}

// Shows so much time; what would lie outside of the range is moved into it.
function show(from, to) {
  const length = Math.min(span, Math.max(Math.min(LEAST, span), to - from));
  const middle = (from + to) / 2;
  view.from = Math.min(span - length, Math.max(0, middle - length / 2));
  view.to = view.from + length;
  changed();
}

// Zooms so that the moment at a place stays there.
function zoom(factor, at) {
  const share = (at - view.from) / (view.to - view.from);
  const length = Math.min(span, Math.max(Math.min(LEAST, span), (view.to - view.from) * factor));
  const from = Math.min(span - length, Math.max(0, at - share * length));
  view.from = from;
  view.to = from + length;
  changed();
}

const pan = (seconds) => show(view.from + Math.max(-view.from, Math.min(span - view.to, seconds)), view.to + Math.max(-view.from, Math.min(span - view.to, seconds)));
