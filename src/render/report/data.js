"use strict";
// What the picture is made of: the text that src/render/report/data.rs writes, made into arrays that are quick to draw from.

const data = JSON.parse(document.getElementById("data").textContent);
const GRID = 600;
const DAY = 86400;

// What a stretch shows as. The causes follow, in the order in which the program names them.
const NOTHING = 0;
const ARCHIVED = 1;
const PRUNED = 2;
const FIRST_CAUSE = 3;

const looks = [
  { name: "not asked for", key: "" },
  { name: "archived", key: "archived" },
  { name: "pruned", key: "pruned" },
  ...data.causes.map((name) => ({ name, key: name.replaceAll(" ", "-") })),
];

// State n of the data is the n-th here; 0 is time that nobody asked for.
const states = [["nothing"], ...data.states];
const lookOf = states.map((state) => {
  switch (state[0]) {
    case "nothing": return NOTHING;
    case "missing": return FIRST_CAUSE + data.causes.indexOf(state[1]);
    case "pruned": return PRUNED;
    default: return ARCHIVED;
  }
});

// What a cause means, and whether a later run may still bring it.
const MEANING = {
  "not tried": ["no run has asked for it yet", true],
  "nvr offline": ["the recorder was not online", true],
  "nvr busy": ["the recorder was busy with other downloads", true],
  "no footage": ["the recorder says that it has none", true],
  "cut short": ["less came than was asked for", true],
  "refused": ["the account may not have this camera, or the platform does not know it", true],
  "failed": ["the platform, the network or the media server failed", true],
  "being recorded": ["it is being recorded live", false],
  "live interrupted": ["no live stream came", true],
  "corrupt": ["its file is gone, or is not what it was", true],
  "lost": ["it is older than what the recorder keeps", false],
};

// The stretches of a camera as three arrays: where each begins and ends, in seconds from the start of the range, and its state.
function decoded(text) {
  const bytes = atob(text);
  let at = 0;
  const number = () => {
    let value = 0, factor = 1, byte;
    do {
      byte = bytes.charCodeAt(at++);
      value += (byte & 127) * factor;
      factor *= 128;
    } while (byte > 127);
    return value;
  };
  const start = [], end = [], state = [];
  let time = 0;
  while (at < bytes.length) {
    const which = number(), length = number();
    const seconds = length % 2 === 0 ? (length / 2) * GRID : (length - 1) / 2;
    if (which > 0) {
      start.push(time);
      end.push(time + seconds);
      state.push(which);
    }
    time += seconds;
  }
  return { start: Float64Array.from(start), end: Float64Array.from(end), state: Uint32Array.from(state) };
}

const span = data.to - data.from;
const cameras = [];
const groups = data.groups.map(([name, asked, archived, rows], index) => {
  const group = { index, name, asked, archived, cameras: [] };
  for (const [device, title, zone, nvr, ownAsked, ownArchived, time] of rows) {
    const camera = {
      group, device, zone, index: cameras.length, title: title ?? "", nvr: data.nvrs[nvr], keeps: data.keeps[nvr],
      asked: ownAsked, archived: ownArchived, ...decoded(time),
    };
    camera.words = `${device} ${camera.title} ${name} ${camera.nvr}`.toLowerCase();
    cameras.push(camera);
    group.cameras.push(camera);
  }
  return group;
});

// The first stretch of a camera that ends after `at`, by its number.
function stretchAfter(camera, at) {
  let low = 0, high = camera.end.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (camera.end[middle] <= at) low = middle + 1; else high = middle;
  }
  return low;
}

const isGap = (camera, index) => lookOf[camera.state[index]] >= FIRST_CAUSE;

// How many seconds east of UTC a zone is at a moment, in seconds from the start of the range.
function offsetAt(zone, at) {
  const steps = data.offsets[zone];
  let offset = steps[0][1];
  for (const [from, next] of steps) if (from <= data.from + at) offset = next;
  return offset;
}

const two = (number) => String(number).padStart(2, "0");

// The parts of a moment in a zone's local time.
function localParts(zone, at) {
  const offset = offsetAt(zone, at);
  const date = new Date((data.from + at + offset) * 1000);
  return {
    offset,
    day: `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`,
    clock: `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}` + (date.getUTCSeconds() ? `:${two(date.getUTCSeconds())}` : ""),
    date,
  };
}

function offsetText(offset) {
  const minutes = Math.abs(offset) / 60;
  return `${offset < 0 ? "-" : "+"}${two(Math.floor(minutes / 60))}:${two(Math.floor(minutes % 60))}`;
}

// 2026-11-20 09:00–09:10 +08:00
function rangeText(zone, from, to) {
  const a = localParts(zone, from), b = localParts(zone, to);
  const first = a.offset === b.offset ? "" : ` ${offsetText(a.offset)}`;
  return `${a.day} ${a.clock}${first}–${a.day === b.day ? "" : `${b.day} `}${b.clock} ${offsetText(b.offset)}`;
}

// 4 min 30 s, 3 d 4 h: the two largest units that are there, as the program writes them everywhere.
function lengthText(seconds) {
  const parts = [];
  let rest = Math.round(seconds);
  for (const [length, unit] of [[DAY, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
    const count = Math.floor(rest / length);
    rest %= length;
    if (count > 0) parts.push(`${count} ${unit}`);
    else if (parts.length > 0) break;
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

// Rounded down, so that 100.00 % is said only of everything.
function percentText(archived, asked) {
  return asked === 0 ? "" : `${(Math.floor((archived / asked) * 10000) / 100).toFixed(2)} %`;
}

// What a recording's file is called, below the archive's root; as src/vault/name.rs makes it.
function fileName(camera, from, to, quarters, container, live) {
  const date = new Date((data.from + from + quarters * 900) * 1000);
  const day = `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;
  const label = `${day.replaceAll("-", "")}T${two(date.getUTCHours())}${two(date.getUTCMinutes())}${two(date.getUTCSeconds())}`;
  const offset = offsetText(quarters * 900).replace(":", "");
  return `${camera.device}/${day}/${camera.device}_${label}${offset}_${to - from}s${live ? "_live" : ""}.${container}`;
}

// All there is to say of a camera's moment: a kind, its range, and lines of text.
function describe(camera, at) {
  const index = stretchAfter(camera, at);
  if (index >= camera.start.length || camera.start[index] > at) {
    const from = index > 0 ? camera.end[index - 1] : 0;
    const to = index < camera.start.length ? camera.start[index] : span;
    return { look: NOTHING, from, to, what: "nothing was asked for" };
  }
  const state = states[camera.state[index]], look = lookOf[camera.state[index]];
  let from = camera.start[index], to = camera.end[index];
  switch (state[0]) {
    case "windows": {
      // Each ten minutes are a file of their own.
      const run = { from, to };
      from = Math.floor((data.from + at) / GRID) * GRID - data.from;
      to = from + GRID;
      return { look, from, to, run, what: "archived", file: fileName(camera, from, to, state[1], state[2], false) };
    }
    case "file":
      return { look, from, to, what: state[3] ? "archived, recorded live" : "archived", file: fileName(camera, from, to, state[1], state[2], state[3]) };
    case "named":
      return { look, from, to, what: "archived", file: state[1] };
    case "pruned":
      return { look, from, to, what: "was archived; its retention has ended" };
    default: {
      const [, cause, attempts, code] = state;
      const [meaning, mayCome] = MEANING[cause] ?? ["", false];
      return { look, from, to, index, what: cause, attempts, code, meaning, mayCome, until: mayCome ? lastChance(camera, from) : "" };
    }
  }
}

// Until when a gap can still be fetched, as far as it is known how long its recorder keeps footage.
function lastChance(camera, from) {
  if (camera.keeps === null || camera.keeps === undefined) return "";
  const goes = from + camera.keeps;
  if (data.from + goes <= data.made) return "its recorder has overwritten the start of it, by what is known of it";
  const { day, clock } = localParts(camera.zone, goes);
  return `its recorder keeps it until about ${day} ${clock}`;
}

const attemptsText = (attempts) => (attempts === 1 ? "1 attempt" : `${attempts} attempts`);
const cameraText = (camera) => `Camera ${camera.device}${camera.title ? ` · ${camera.title}` : ""}`;

// A moment in one line, for whoever listens.
function sentence(camera, told) {
  const parts = [`${cameraText(camera)}, ${camera.group.name}`, rangeText(camera.zone, told.from, told.to), told.what];
  if (told.attempts !== undefined) parts.push(attemptsText(told.attempts));
  if (told.code) parts.push(told.code);
  if (told.file) parts.push(told.file);
  return parts.join(", ");
}
