// What happens when somebody does something, and what happens first.

// Moves the cursor, shows where it is, and says what is there.
function moveTo(camera, at) {
  cursor = { camera, at: Math.min(span - 1, Math.max(0, at)) };
  const length = view.to - view.from;
  if (cursor.at < view.from || cursor.at >= view.to) show(cursor.at - length / 2, cursor.at + length / 2);
  const { top } = lines[camera.line], room = Number(detail.dataset.height) - AXIS;
  if (top < scroller.scrollTop) scroller.scrollTop = Math.max(0, top - HEAD);
  else if (top + ROW > scroller.scrollTop + room) scroller.scrollTop = top + ROW - room + 4;
  said.textContent = sentence(camera, describe(camera, cursor.at));
  if (!details.hidden) showDetails(camera, cursor.at);
  changed();
}

// How far the cursor goes sideways: a window, or as many as are not smaller than what can be seen.
function stride() {
  const least = secondsPerPixel() * 5;
  return Math.max(GRID, Math.ceil(least / GRID) * GRID);
}

const onGrid = (at) => Math.floor((data.from + at) / GRID) * GRID - data.from;

function step(direction) {
  const { camera, at } = cursor;
  // Onto the grid first, and then from mark to mark.
  moveTo(camera, onGrid(at) + direction * stride());
}

function stepRows(count) {
  const row = rows.indexOf(cursor.camera);
  moveTo(rows[Math.max(0, Math.min(rows.length - 1, row + count))], cursor.at);
}

// The next or the previous gap: in the camera's row, and then in the rows after or before it.
function stepGap(direction) {
  let row = rows.indexOf(cursor.camera);
  let index = stretchAfter(cursor.camera, cursor.at);
  const inStretch = index < cursor.camera.start.length && cursor.camera.start[index] <= cursor.at;
  index = direction > 0 ? index + (inStretch ? 1 : 0) : index - 1;
  for (; row >= 0 && row < rows.length; row += direction) {
    const camera = rows[row];
    for (; index >= 0 && index < camera.start.length; index += direction) {
      if (isGap(camera, index)) return moveTo(camera, camera.start[index]);
    }
    const next = rows[row + direction];
    index = direction > 0 || !next ? 0 : next.start.length - 1;
  }
  said.textContent = direction > 0 ? "No gap after this one." : "No gap before this one.";
}

const pageOfRows = () => Math.max(1, Math.floor((Number(detail.dataset.height) - AXIS) / ROW) - 2);

const KEYS = {
  ArrowLeft: () => step(-1),
  ArrowRight: () => step(1),
  ArrowUp: () => stepRows(-1),
  ArrowDown: () => stepRows(1),
  PageUp: () => stepRows(-pageOfRows()),
  PageDown: () => stepRows(pageOfRows()),
  Home: () => moveTo(cursor.camera, 0),
  End: () => moveTo(cursor.camera, span - 1),
  "+": () => zoom(1 / 2, cursor.at),
  "=": () => zoom(1 / 2, cursor.at),
  "-": () => zoom(2, cursor.at),
  "0": () => show(0, span),
  n: () => stepGap(1),
  p: () => stepGap(-1),
  Enter: () => showDetails(cursor.camera, cursor.at),
  Escape: () => closeDetails(),
};

detail.addEventListener("keydown", (event) => {
  const does = KEYS[event.key];
  if (!does || rows.length === 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  hideTip();
  if (!cursor) {
    // The first key only says where it is.
    const line = lineAt(scroller.scrollTop + HEAD);
    const camera = line?.camera ?? rows[0];
    cursor = { camera, at: momentNear(camera, view.from + (view.to - view.from) / 2).at };
    if (event.key.startsWith("Arrow")) return moveTo(cursor.camera, cursor.at);
  }
  does();
});

let drag = null;
const placeIn = (canvas, event) => {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

detail.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  drag = { x: event.clientX, y: event.clientY, from: view.from, to: view.to, scrolled: scroller.scrollTop, moved: false };
  detail.setPointerCapture(event.pointerId);
});

detail.addEventListener("pointermove", (event) => {
  if (drag) {
    const [x, y] = [event.clientX - drag.x, event.clientY - drag.y];
    drag.moved ||= Math.abs(x) + Math.abs(y) > 4;
    if (drag.moved) {
      hideTip();
      detail.style.cursor = "grabbing";
      const length = drag.to - drag.from, from = Math.min(span - length, Math.max(0, drag.from - x * (length / gridWidth())));
      show(from, from + length);
      scroller.scrollTop = drag.scrolled - y;
      return;
    }
  }
  const found = hit(...placeIn(detail, event));
  if (!found) return hideTip();
  showTip(found, event.clientX, event.clientY);
});

detail.addEventListener("pointerup", (event) => {
  const clicked = drag && !drag.moved;
  drag = null;
  detail.style.cursor = "";
  if (!clicked) return;
  const found = hit(...placeIn(detail, event));
  if (found?.camera) {
    moveTo(found.camera, found.at ?? view.from);
    showDetails(found.camera, cursor.at);
  }
});
detail.addEventListener("pointercancel", () => { drag = null; });
detail.addEventListener("pointerleave", hideTip);
detail.addEventListener("dblclick", (event) => zoom(1 / 4, timeAt(placeIn(detail, event)[0])));

scroller.addEventListener("wheel", (event) => {
  const [x] = placeIn(detail, event);
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 240))), timeAt(x));
  } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    event.preventDefault();
    pan((event.deltaX || event.deltaY) * secondsPerPixel());
  }
}, { passive: false });
scroller.addEventListener("scroll", () => { hideTip(); draw(); });

// The overview: where it is pressed is what is shown below.
function goTo(event) {
  const [x, y] = placeIn(overview, event);
  const at = (x / overview.clientWidth) * span, length = view.to - view.from;
  show(at - length / 2, at + length / 2);
  const row = (y / overview.clientHeight) * rows.length;
  scroller.scrollTop = heightOfRow(row) - (Number(detail.dataset.height) - AXIS) / 2;
}
overview.addEventListener("pointerdown", (event) => { overview.setPointerCapture(event.pointerId); goTo(event); });
overview.addEventListener("pointermove", (event) => { if (event.buttons & 1) goTo(event); });

for (const [name, length] of SPANS) {
  const button = element("button", { type: "button", "aria-pressed": "false" }, name);
  button.dataset.length = length;
  button.addEventListener("click", () => {
    const middle = cursor && cursor.at >= view.from && cursor.at <= view.to ? cursor.at : (view.from + view.to) / 2;
    // Ten minutes are a window of the grid, not ten minutes around something.
    if (length === GRID) return show(onGrid(middle), onGrid(middle) + GRID);
    show(middle - length / 2, middle + length / 2);
  });
  document.getElementById("spans").append(button);
}
const onClick = (id, does) => document.getElementById(id).addEventListener("click", does);
const middle = () => (cursor && cursor.at >= view.from && cursor.at < view.to ? cursor.at : (view.from + view.to) / 2);
onClick("closer", () => zoom(1 / 2, middle()));
onClick("farther", () => zoom(2, middle()));
onClick("earlier", () => pan(-(view.to - view.from) * 0.8));
onClick("later", () => pan((view.to - view.from) * 0.8));

const find = document.getElementById("find"), incomplete = document.getElementById("incomplete");
const search = () => { layOut(find.value, incomplete.checked); scroller.scrollTop = 0; draw(); };
find.addEventListener("input", search);
incomplete.addEventListener("change", search);

function recolour() {
  readColours();
  overviewImage = null;
  paintLegend();
  draw();
}
onClick("theme", () => {
  const root = document.documentElement;
  const isDark = getComputedStyle(root).colorScheme === "dark"
    || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset.theme = isDark ? "light" : "dark";
  recolour();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
addEventListener("resize", () => { measure(); draw(); });
new ResizeObserver(draw).observe(overview);

// Paper is white.
let themeOnScreen;
addEventListener("beforeprint", () => {
  themeOnScreen = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
  readColours();
  overviewImage = null;
  paintLegend();
  drawNow();
});
addEventListener("afterprint", () => {
  if (themeOnScreen) document.documentElement.dataset.theme = themeOnScreen;
  else delete document.documentElement.dataset.theme;
  recolour();
});

// The address says what is seen, so that somebody else can be shown it: #from=…&to=…&device=…&at=…, times in UTC.
const utc = (at) => new Date((data.from + Math.round(at)) * 1000).toISOString().replace(".000", "");
let noting = 0;
function changed() {
  for (const button of document.querySelectorAll("#spans button")) {
    button.setAttribute("aria-pressed", String(Math.abs(Number(button.dataset.length) - (view.to - view.from)) < 1));
  }
  draw();
  clearTimeout(noting);
  noting = setTimeout(() => {
    const parts = [`from=${utc(view.from)}`, `to=${utc(view.to)}`];
    if (cursor) parts.push(`device=${cursor.camera.device}`, `at=${utc(cursor.at)}`);
    // OK to go without: some browsers let no page that is a file change its address.
    try { history.replaceState(null, "", `#${parts.join("&")}`); } catch { /* see above */ }
  }, 200);
}

function goToAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  const time = (name) => (Date.parse(said.get(name) ?? "") / 1000) - data.from;
  const [from, to, at] = [time("from"), time("to"), time("at")];
  if (from < to) show(from, to);
  const camera = cameras.find(({ device }) => String(device) === said.get("device"));
  if (camera && rows.includes(camera)) moveTo(camera, Number.isFinite(at) ? at : view.from);
}
addEventListener("hashchange", goToAddress);

document.getElementById("picture").hidden = false;
const { day, clock, offset } = localParts(data.zone, data.made - data.from);
const otherZones = Object.keys(data.offsets).filter((zone) => zone !== data.zone);
document.getElementById("made").textContent = `As of ${day} ${clock} ${offsetText(offset)}. The time axis is ${data.zone}`
  + (otherZones.length > 0 ? `; what is said of a camera is in its own local time (also ${otherZones.join(", ")}).` : ", where all cameras are.");
readColours();
makeLegend();
paintLegend();
layOut("", false);
show(0, span);
goToAddress();
drawNow();
// For whoever measures how long that took.
performance.mark("drawn");
