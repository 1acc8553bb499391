// A video with its faces: boxes and bars follow the picture, and the timeline leads it.

import { COLOURS, UNSURE, drawBoxes, percent, showCards } from "./faces.js";

const [SMALL_STEP_S, LARGE_STEP_S] = [1, 10];
const AXIS_STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
const STRIP = 0.14; // of a lane's height, for the label shown
const players = new WeakMap();

function clock(time, decimals = 1) {
  const units = 10 ** decimals;
  const total = Math.round(Math.max(time, 0) * units);
  const [minutes, rest] = [Math.floor(total / (60 * units)), total % (60 * units)];
  const [hours, left] = [Math.floor(minutes / 60), minutes % 60];
  const seconds = String(Math.floor(rest / units)).padStart(2, "0") + (decimals ? `.${rest % units}` : "");
  return hours ? `${hours}:${String(left).padStart(2, "0")}:${seconds}` : `${left}:${seconds}`;
}

class Player {
  constructor(root, data) {
    [this.root, this.data] = [root, data];
    this.find = (name) => root.querySelector(name);
    this.video = this.find("video");
    this.rail = this.find(".rail");
    this.ended = new AbortController();
    this.time = data.begin_s;
    this.fillLanes();
    this.fillTable();
    this.listen();
    this.open(data.url);
    this.watch = new ResizeObserver(() => this.draw());
    for (const place of [this.find(".timeline"), this.find(".stage")]) this.watch.observe(place);
    this.show();
  }

  on(target, name, act) {
    target.addEventListener(name, act, { signal: this.ended.signal });
  }

  open(url) {
    // Read without its beginning being shown: a browser may have no picture before the first frame is asked for.
    if (url) this.video.src = new URL(url, document.baseURI);
    else this.tell();
  }

  tell() {
    const trouble = this.find(".trouble");
    trouble.textContent =
      "This browser cannot play this kind of video. Tick “Make an annotated video” and analyze it again: that one plays everywhere.";
    trouble.hidden = false;
    this.video.hidden = true;
  }

  listen() {
    const { video, rail } = this;
    this.on(video, "error", () => {
      const other = this.data.annotated_url;
      if (!other || this.isAnnotated) return this.tell();
      this.isAnnotated = true;
      this.find(".boxes").checked = false;
      this.find(".boxes").parentElement.hidden = true;
      this.open(other);
    });
    for (const name of ["seeked", "loadeddata", "pause", "ended"]) this.on(video, name, () => this.follow());
    this.on(video, "play", () => this.run());
    this.on(this.find(".boxes"), "change", () => this.show());
    this.on(rail, "keydown", (event) => this.press(event));
    this.on(rail, "pointerdown", (event) => {
      rail.setPointerCapture(event.pointerId);
      this.seek(this.timeAt(event));
    });
    this.on(rail, "pointermove", (event) => {
      if (rail.hasPointerCapture(event.pointerId)) this.seek(this.timeAt(event));
      this.hint(event);
    });
    this.on(rail, "pointerleave", () => (this.find(".hint").hidden = true));
    // The system may turn dark while the page is open, after Streamlit has.
    this.on(matchMedia("(prefers-color-scheme: dark)"), "change", () => setTimeout(() => this.draw(), 300));
  }

  // While it plays, each picture that the browser shows is followed.
  run() {
    if (this.ended.signal.aborted || this.video.paused) return;
    this.follow();
    const next = this.video.requestVideoFrameCallback ? "requestVideoFrameCallback" : null;
    if (next) this.video[next](() => this.run());
    else requestAnimationFrame(() => this.run());
  }

  follow() {
    this.time = this.video.currentTime;
    this.show();
  }

  seek(time) {
    const { begin_s: begin, end_s: end } = this.data;
    this.time = Math.min(Math.max(time, begin), end);
    if (!this.video.hidden) this.video.currentTime = this.time;
    this.show();
  }

  press(event) {
    const { begin_s: begin, end_s: end } = this.data;
    const steps = {
      ArrowRight: SMALL_STEP_S, ArrowUp: SMALL_STEP_S, ArrowLeft: -SMALL_STEP_S, ArrowDown: -SMALL_STEP_S,
      PageUp: LARGE_STEP_S, PageDown: -LARGE_STEP_S, Home: begin - end, End: end - begin,
    };
    if (event.key in steps) this.seek(this.time + steps[event.key]);
    else if (event.key !== " ") return;
    else if (this.video.paused) this.video.play().catch(() => {});
    else this.video.pause();
    event.preventDefault();
  }

  timeAt(event) {
    const box = this.rail.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    return this.data.begin_s + share * (this.data.end_s - this.data.begin_s);
  }

  shareOf(time) {
    return (time - this.data.begin_s) / (this.data.end_s - this.data.begin_s);
  }

  hint(event) {
    const hint = this.find(".hint");
    const time = this.timeAt(event);
    const place = this.rail.getBoundingClientRect();
    hint.textContent = [clock(time), ...this.facesAt(time).map((face) => this.word(face))].join(" · ");
    hint.hidden = false;
    const half = hint.offsetWidth / 2;
    hint.style.left = `${Math.min(Math.max(event.clientX - place.left, half), place.width - half)}px`;
  }

  word(face) {
    const shown = face.abstained ? "not sure" : `${face.top} ${percent(face.confidence)}`;
    return this.data.tracks.length > 1 ? `face ${face.track_id} ${shown}` : shown;
  }

  // The faces of the last frame before a moment, as the cards and boxes of the live page take them.
  facesAt(time) {
    const { steps, labels } = this.data;
    let [low, high] = [0, steps.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (steps[middle][0] <= time + 1e-3) low = middle + 1;
      else high = middle;
    }
    const [, faces] = steps[Math.max(low - 1, 0)] || [0, []];
    return faces.map(([id, x, y, width, height, top, abstained, thousandths, valence, arousal, intensity]) => ({
      track_id: id, box: { x, y, width, height }, top: labels[top], abstained: Boolean(abstained),
      confidence: thousandths[top] / 1000, valence, arousal, intensity,
      probabilities: Object.fromEntries(labels.map((label, index) => [label, thousandths[index] / 1000])),
    }));
  }

  show() {
    const { data, rail } = this;
    const faces = this.facesAt(this.time);
    this.find(".clock").textContent = clock(this.time);
    showCards(this.find(".faces"), faces, data.labels, 0);
    this.find(".none").hidden = faces.length > 0;
    this.find(".head").style.left = `${100 * Math.min(Math.max(this.shareOf(this.time), 0), 1)}%`;
    const canvas = this.find(".stage canvas");
    const drawn = this.find(".boxes").checked && !this.video.hidden;
    drawBoxes(canvas, drawn ? { width: data.width, height: data.height, faces } : null, { mirrored: false, threshold: 0 });
    rail.setAttribute("aria-valuemin", data.begin_s.toFixed(1));
    rail.setAttribute("aria-valuemax", data.end_s.toFixed(1));
    rail.setAttribute("aria-valuenow", this.time.toFixed(1));
    rail.setAttribute("aria-valuetext", [clock(this.time), ...faces.map((face) => this.word(face))].join(", "));
  }

  draw() {
    this.data.tracks.forEach((track, index) => this.drawLane(this.root.querySelectorAll(".lanes canvas")[index], track));
    this.fillAxis();
    this.show();
  }

  fillLanes() {
    for (const track of this.data.tracks) {
      const [lane, title, canvas] = ["li", "b", "canvas"].map((tag) => document.createElement(tag));
      title.textContent = track.title;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", track.words);
      lane.append(title, canvas);
      this.find(".lanes").append(lane);
    }
  }

  drawLane(canvas, { columns }) {
    const ratio = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    const context = canvas.getContext("2d");
    const colours = this.data.labels.map((label) => COLOURS[label]);
    const [tall, strip] = [canvas.height * (1 - STRIP - 0.05), canvas.height * STRIP];
    context.fillStyle = getComputedStyle(canvas).getPropertyValue("--panel");
    context.fillRect(0, 0, canvas.width, tall);
    columns.forEach((column, index) => {
      if (!column) return;
      const [left, right] = [index, index + 1].map((edge) => Math.round((edge * canvas.width) / columns.length));
      const [shown, ...parts] = column;
      const total = parts.reduce((sum, part) => sum + part, 0) || 1;
      let bottom = tall;
      parts.forEach((part, label) => {
        const top = label === parts.length - 1 ? 0 : bottom - (tall * part) / total;
        context.fillStyle = colours[label];
        context.fillRect(left, top, right - left, bottom - top);
        bottom = top;
      });
      context.fillStyle = shown < 0 ? UNSURE : colours[shown];
      context.fillRect(left, canvas.height - strip, right - left, strip);
    });
  }

  fillAxis() {
    const { begin_s: begin, end_s: end } = this.data;
    const axis = this.find(".axis");
    const room = Math.max(2, Math.floor(axis.clientWidth / 90));
    const step = AXIS_STEPS_S.find((size) => (end - begin) / size <= room) || AXIS_STEPS_S.at(-1);
    const marks = [];
    for (let time = Math.ceil(begin / step - 1e-9) * step; this.shareOf(time) < 0.97; time += step) {
      const mark = document.createElement("span");
      mark.textContent = clock(time, step < 1 ? 1 : 0);
      mark.style.left = `${100 * this.shareOf(time)}%`;
      marks.push(mark);
    }
    axis.replaceChildren(...marks);
  }

  fillTable() {
    const { episodes, tracks } = this.data;
    for (const name of [".title", ".title + .keys", ".table"]) this.find(name).hidden = !episodes.length;
    for (const [id, start, end, label, confidence] of episodes) {
      const row = document.createElement("tr");
      const cells = [`${id}`, label, "", `${(end - start).toFixed(1)} s`, percent(confidence)].map((text, index) => {
        const cell = document.createElement("td");
        cell.textContent = text;
        if (index > 1) cell.className = "number";
        return cell;
      });
      const dot = document.createElement("i");
      dot.style.setProperty("--hue", COLOURS[label]);
      cells[1].prepend(dot);
      const button = document.createElement("button");
      button.textContent = clock(start);
      button.setAttribute("aria-label", `Play from ${clock(start)}: ${tracks.length > 1 ? `face ${id} ` : ""}${label}`);
      this.on(button, "click", () => {
        this.seek(start);
        this.video.play().catch(() => {});
        this.find(".stage").scrollIntoView({ block: "nearest" });
      });
      cells[2].append(button);
      row.append(...cells);
      this.find("tbody").append(row);
    }
  }

  close() {
    this.ended.abort();
    this.watch.disconnect();
    this.video.removeAttribute("src");
    this.video.load();
    for (const name of [".lanes", "tbody", ".faces"]) this.find(name).replaceChildren();
  }
}

export default function ({ data, parentElement }) {
  const known = players.get(parentElement);
  // Streamlit calls again whenever the page runs, mostly with what is shown already.
  if (known && known.data.id === data.id) return known.leave;
  if (known) known.close();
  const player = new Player(parentElement, data);
  player.leave = () => {
    player.close();
    players.delete(parentElement);
  };
  players.set(parentElement, player);
  return player.leave;
}
