// Colours, patterns, and how time becomes pixels.

// How each look is drawn over its colour, so that two that are alike to an eye differ all the same.
const PATTERN = {
  "not-tried": "dots", "no-footage": "slant", "cut-short": "slant", "refused": "cross", "being-recorded": "dots",
  "live-interrupted": "bars", "corrupt": "cross", "pruned": "slant",
};
// Patterns on a light ground are dark, the others light.
const LIGHT_GROUND = new Set(["not-tried", "cut-short", "being-recorded", "pruned"]);

let colours = {};
let patterns = [];
// The colours of the looks as numbers, for the overview.
let mixed = [];

function readColours() {
  // A property of one's own is not computed until something uses it.
  const probe = document.createElement("span");
  document.body.append(probe);
  const colour = (key) => {
    probe.style.color = `var(--${key})`;
    return getComputedStyle(probe).color;
  };
  colours = {};
  for (const key of ["paper", "panel", "ink", "soft", "line", "accent", "seam", "light-stroke", "dark-stroke", "nvr-offline"]) {
    colours[key] = colour(key);
  }
  for (const { key } of looks) if (key) colours[key] = colour(key);
  probe.remove();
  patterns = looks.map(({ key }) => (key ? patternOf(key) : null));
  mixed = looks.map(({ key }) => (colours[key || "paper"].match(/[\d.]+/g) ?? [0, 0, 0]).slice(0, 3).map(Number));
}

function patternOf(key) {
  const kind = PATTERN[key];
  if (!kind) return colours[key];
  const scale = Math.max(1, Math.round(devicePixelRatio)), size = 6;
  const tile = document.createElement("canvas");
  tile.width = tile.height = size * scale;
  const pen = tile.getContext("2d");
  pen.scale(scale, scale);
  pen.fillStyle = colours[key];
  pen.fillRect(0, 0, size, size);
  pen.fillStyle = pen.strokeStyle = colours[LIGHT_GROUND.has(key) ? "light-stroke" : "dark-stroke"];
  pen.lineWidth = 1.2;
  pen.beginPath();
  if (kind === "dots") pen.fillRect(1, 1, 2, 2), pen.fillRect(4, 4, 2, 2);
  if (kind === "bars") pen.fillRect(1, 0, 2, size);
  if (kind === "slant" || kind === "cross") {
    for (const shift of [-size, 0, size]) pen.moveTo(shift - 1, size + 1), pen.lineTo(shift + size + 1, -1);
  }
  if (kind === "cross") {
    for (const shift of [-size, 0, size]) pen.moveTo(shift - 1, -1), pen.lineTo(shift + size + 1, size + 1);
  }
  pen.stroke();
  const pattern = pen.createPattern(tile, "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / scale));
  return pattern;
}

// Makes a canvas as large as it is shown, at the screen's own resolution, and gives its pen in CSS pixels.
function penOf(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen;
}

// Which gaps stand out; null is all of them.
let alone = null;
const standsOut = (look) => alone === null || alone === look;

// One camera's time from `from` to `to` as a row of pixels. What is archived is one colour; a gap that is narrower than a pixel is
// as high as its share of it, and never so low that it is not seen.
// Of each column of pixels: how much of it is missing in narrow gaps, and which look has the largest part.
const PART_SHARE = new Float64Array(8192);
const PART_LOOK = new Uint8Array(8192);
const PART_MOST = new Float64Array(8192);

function paintRow(pen, camera, from, to, left, top, width, height) {
  const scale = width / (to - from);
  const columns = Math.ceil(width);
  const seams = GRID * scale >= 7;
  let anyPart = false;
  PART_SHARE.fill(0, 0, columns);
  PART_MOST.fill(0, 0, columns);
  const part = (column, share, look) => {
    if (column < 0 || column >= columns || share <= 0) return;
    anyPart = true;
    PART_SHARE[column] += share;
    if (share > PART_MOST[column]) {
      PART_MOST[column] = share;
      PART_LOOK[column] = look;
    }
  };
  for (let index = stretchAfter(camera, from); index < camera.start.length && camera.start[index] < to; index++) {
    const look = lookOf[camera.state[index]];
    const x0 = Math.max(0, (camera.start[index] - from) * scale), x1 = Math.min(width, (camera.end[index] - from) * scale);
    if (look <= PRUNED) {
      pen.fillStyle = patterns[look];
      // To whole pixels, so that no seam shows between two stretches that touch.
      pen.fillRect(left + Math.floor(x0), top, Math.ceil(x1) - Math.floor(x0), height);
      if (seams && look === ARCHIVED) paintSeams(pen, camera, index, from, scale, left, top, width, height);
      continue;
    }
    if (x1 - x0 >= 1.5) {
      pen.globalAlpha = standsOut(look) ? 1 : 0.15;
      pen.fillStyle = patterns[look];
      pen.fillRect(left + Math.round(x0), top, Math.round(x1) - Math.round(x0), height);
      pen.globalAlpha = 1;
    } else {
      const column = Math.floor(x0), inFirst = Math.min(x1, column + 1) - x0;
      part(column, inFirst, look);
      part(column + 1, x1 - x0 - inFirst, look);
    }
  }
  if (!anyPart) return;
  for (let column = 0; column < columns; column++) {
    if (PART_SHARE[column] <= 0) continue;
    const high = Math.max(Math.min(height, 5), Math.round(height * Math.min(1, PART_SHARE[column])));
    const look = PART_LOOK[column];
    pen.globalAlpha = standsOut(look) ? 1 : 0.15;
    pen.fillStyle = colours[looks[look].key];
    pen.fillRect(left + column, top + height - high, 1, high);
  }
  pen.globalAlpha = 1;
}

// Lines between the files of a stretch.
function paintSeams(pen, camera, index, from, scale, left, top, width, height) {
  pen.fillStyle = colours.seam;
  const start = camera.start[index], end = camera.end[index];
  pen.fillRect(left + (start - from) * scale - 0.5, top, 1, height);
  if (states[camera.state[index]][0] !== "windows") return;
  const first = Math.ceil((data.from + Math.max(start, from)) / GRID) * GRID - data.from;
  for (let mark = first; mark < Math.min(end, from + width / scale); mark += GRID) {
    pen.fillRect(left + (mark - from) * scale - 0.5, top, 1, height);
  }
}

// All rows over the whole range, each line of pixels as many of them as must share it: drawn once, and shown behind the frame that
// says what is seen below.
function paintOverview(rows, width, height) {
  const image = new ImageData(width, height);
  const lines = height, scale = width / span;
  const asked = new Float64Array(width + 2), missing = new Float64Array(width), most = new Float64Array(width);
  const look = new Uint8Array(width);
  const [paper, archived] = [mixed[NOTHING], mixed[ARCHIVED]];
  // What begins at x counts in part in x's column, and in full in all that follow: so no stretch has to be walked through.
  const begin = (x, amount) => {
    const column = Math.floor(x), part = x - column;
    asked[column] += amount * (1 - part);
    asked[column + 1] += amount * part;
  };
  for (let line = 0; line < lines; line++) {
    asked.fill(0), missing.fill(0), most.fill(0);
    const first = Math.floor((line * rows.length) / lines), last = Math.max(first + 1, Math.floor(((line + 1) * rows.length) / lines));
    for (let row = first; row < last && row < rows.length; row++) {
      const { start, end, state } = rows[row];
      for (let index = 0; index < start.length; index++) {
        const which = lookOf[state[index]];
        if (which === PRUNED) continue;
        const x0 = start[index] * scale, x1 = end[index] * scale;
        begin(x0, 1);
        begin(x1, -1);
        if (which < FIRST_CAUSE || !standsOut(which)) continue;
        for (let column = Math.floor(x0); column < x1 && column < width; column++) {
          const share = Math.min(x1, column + 1) - Math.max(x0, column);
          missing[column] += share;
          if (share >= most[column]) most[column] = share, look[column] = which;
        }
      }
    }
    for (let column = 0, amount = 0; column < width; column++) {
      asked[column] = amount += asked[column];
      const at = (line * width + column) * 4;
      const ground = asked[column] > 0.05 ? archived : paper;
      // What is missing is seen, however little it is.
      const share = missing[column] > 0.001 ? Math.min(1, 0.35 + 0.8 * (missing[column] / asked[column])) : 0;
      const over = mixed[look[column]];
      for (let channel = 0; channel < 3; channel++) {
        image.data[at + channel] = ground[channel] + ((share ? over[channel] : 0) - ground[channel]) * share;
      }
      image.data[at + 3] = 255;
    }
  }
  return image;
}
