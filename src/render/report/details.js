// What is said of what the pointer or the cursor is at: beside the pointer, in the line for screen readers, and at length.

const tip = document.getElementById("tip");
const said = document.getElementById("said");
const details = document.getElementById("details");

// A new element with texts and elements in it. Whatever others wrote goes through here, as text.
function element(name, attributes, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

// A pixel may hold hours. The moment in it that matters most: in its longest gap, else the moment itself.
function momentNear(camera, at) {
  const reach = secondsPerPixel() * 0.75;
  let best = at, longest = 0, gaps = 0;
  for (let index = stretchAfter(camera, at - reach); index < camera.start.length && camera.start[index] < at + reach; index++) {
    if (!isGap(camera, index)) continue;
    gaps += 1;
    const from = Math.max(camera.start[index], at - reach), to = Math.min(camera.end[index], at + reach);
    if (to - from > longest) {
      longest = to - from;
      best = at >= from && at < to ? at : from;
    }
  }
  return { at: best, others: Math.max(0, gaps - 1) };
}

// What is at a place of the large picture.
function hit(x, y) {
  if (y < AXIS) return null;
  const line = lineAt(y - AXIS + scroller.scrollTop);
  if (!line) return null;
  if (line.group) return { group: line.group };
  if (x < LEFT || x > LEFT + gridWidth()) return { camera: line.camera };
  const at = Math.min(span - 1, Math.max(0, timeAt(x)));
  return { camera: line.camera, pointed: at, ...momentNear(line.camera, at) };
}

function showTip(found, x, y) {
  tip.replaceChildren();
  if (found.group) {
    const { name, archived, asked } = found.group;
    tip.append(element("b", {}, name), `${percentText(archived, asked)} of ${lengthText(asked)} archived`);
  } else if (found.at === undefined) {
    const { camera } = found;
    tip.append(element("b", {}, cameraText(camera)), `${camera.group.name}, NVR ${camera.nvr}`, element("br", {}),
      `${percentText(camera.archived, camera.asked)} of ${lengthText(camera.asked)} archived`);
  } else {
    const { camera, at, others } = found;
    const told = describe(camera, at);
    tip.append(element("b", {}, cameraText(camera)), element("span", { class: "soft" }, `${camera.group.name}, NVR ${camera.nvr}`), element("br", {}));
    tip.append(`${rangeText(camera.zone, told.from, told.to)} (${lengthText(told.to - told.from)})`, element("br", {}));
    tip.append(element("span", { class: "cause" }, told.what));
    if (told.attempts !== undefined) tip.append(`, ${attemptsText(told.attempts)}${told.code ? `, ${told.code}` : ""}`);
    if (told.meaning) tip.append(element("br", {}), element("span", { class: "soft" }, told.meaning));
    if (told.until) tip.append(element("br", {}), element("span", { class: "soft" }, told.until));
    if (told.file) tip.append(element("br", {}), element("code", {}, told.file));
    if (others > 0) tip.append(element("br", {}), element("span", { class: "soft" }, `and ${others === 1 ? "another gap" : `${others} more gaps`} close by: zoom in`));
  }
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 16 + width > innerWidth - 8 ? Math.max(8, x - width - 12) : x + 16;
  const top = y + 18 + height > innerHeight - 8 ? Math.max(8, y - height - 12) : y + 18;
  tip.style.left = `${left}px`;
  tip.style.top = `${top}px`;
}

const hideTip = () => { tip.hidden = true; };

// A command that fetches a gap, for whoever wants to try at once.
function fetching(camera, from, to) {
  const time = (at) => {
    const { day, clock, offset } = localParts(camera.zone, at);
    return `${day}T${clock.length === 5 ? `${clock}:00` : clock}${offsetText(offset)}`;
  };
  return `archive --device ${camera.device} --from ${time(from)} --to ${time(to)}`;
}

// How many gaps of a camera are listed; a picture is better for more.
const MOST_GAPS = 500;

function showDetails(camera, at) {
  const told = describe(camera, at);
  const facts = element("dl", {});
  const fact = (name, ...value) => facts.append(element("dt", {}, name), element("dd", {}, ...value));
  fact("Store", camera.group.name);
  fact("NVR", camera.nvr);
  fact("Time", `${rangeText(camera.zone, told.from, told.to)} (${lengthText(told.to - told.from)}), ${camera.zone}`);
  fact("State", told.what + (told.meaning ? `: ${told.meaning}` : ""));
  if (told.attempts !== undefined) fact("Attempts", String(told.attempts));
  if (told.code) fact("Last code", told.code);
  if (told.until) fact("Until when", told.until);
  if (told.file) fact("File", element("code", {}, told.file));
  if (told.run) fact("Whole", `from ${rangeText(camera.zone, told.run.from, told.run.to)}, a file for each ten minutes`);
  if (told.mayCome) fact("Fetch it", element("code", {}, fetching(camera, told.from, told.to)));
  fact("Coverage", `${percentText(camera.archived, camera.asked)}: ${lengthText(camera.archived)} of ${lengthText(camera.asked)} archived`);
  const close = element("button", { type: "button", class: "close" }, "Close");
  close.addEventListener("click", closeDetails);
  details.replaceChildren(close, element("h3", {}, cameraText(camera)), facts, gapsOf(camera));
  details.hidden = false;
}

// The gaps of a camera as a table, each with a button that shows it.
function gapsOf(camera) {
  const body = element("tbody", {});
  let gaps = 0;
  for (let index = 0; index < camera.start.length; index++) {
    if (!isGap(camera, index)) continue;
    gaps += 1;
    if (gaps > MOST_GAPS) continue;
    const told = describe(camera, camera.start[index]);
    const go = element("button", { type: "button" }, rangeText(camera.zone, told.from, told.to));
    go.addEventListener("click", () => {
      const room = Math.max(2 * GRID, (told.to - told.from) * 0.6);
      show(told.from - room, told.to + room);
      moveTo(camera, told.from);
      detail.focus();
    });
    body.append(element("tr", {}, element("th", { scope: "row" }, go), element("td", {}, lengthText(told.to - told.from)),
      element("td", { class: "word" }, told.what), element("td", {}, String(told.attempts)), element("td", { class: "word" }, told.code ?? "")));
  }
  if (gaps === 0) return element("p", { class: "soft" }, "No gaps.");
  const head = element("tr", {}, ...["Gap", "Length", "Cause", "Attempts", "Last code"].map((name) => element("th", { scope: "col" }, name)));
  const caption = gaps > MOST_GAPS ? `The first ${MOST_GAPS} of its ${gaps} gaps; archive gaps --device ${camera.device} has all` : `Its ${gaps === 1 ? "gap" : `${gaps} gaps`}`;
  const table = element("table", {}, element("caption", {}, caption), element("thead", {}, head), body);
  return element("details", {}, element("summary", {}, caption), element("div", { class: "scrolls" }, table));
}

function closeDetails() {
  details.hidden = true;
  detail.focus();
}

// What each colour says, and how much of it there is; a choice shows one cause alone.
function makeLegend() {
  const legend = document.getElementById("legend");
  const chip = (look, seconds) => {
    const { name, key } = looks[look];
    const sample = element("canvas", { "aria-hidden": "true" });
    const amount = element("span", { class: "amount" }, lengthText(seconds));
    const button = element("button", { type: "button", "data-key": key }, sample, name, amount);
    if (look >= FIRST_CAUSE) {
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => {
        alone = alone === look ? null : look;
        overviewImage = null;
        paintLegend();
        draw();
      });
    }
    button.dataset.look = look;
    legend.append(button);
  };
  chip(ARCHIVED, data.archived);
  const causes = Object.entries(data.missing).filter(([, seconds]) => seconds > 0);
  causes.sort((a, b) => b[1] - a[1]);
  for (const [cause, seconds] of causes) chip(FIRST_CAUSE + data.causes.indexOf(cause), seconds);
  if (data.pruned > 0) chip(PRUNED, data.pruned);
}

function paintLegend() {
  for (const button of document.querySelectorAll("#legend button")) {
    const look = Number(button.dataset.look);
    const pen = penOf(button.firstChild, 26, 13);
    pen.fillStyle = patterns[look];
    pen.fillRect(0, 0, 26, 13);
    button.classList.toggle("dimmed", look >= FIRST_CAUSE && !standsOut(look));
    if (look >= FIRST_CAUSE) button.setAttribute("aria-pressed", String(alone === look));
  }
}
