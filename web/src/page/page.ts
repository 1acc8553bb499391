// The page: what is analyzed, what is shown, what is kept for download.

import { drawBoxes, showCards, verdict } from "../../../src/mien/apps/live/faces.js";
import type { Result } from "../mien/index.ts";
import { CameraMode } from "./camera_mode.ts";
import { drawTimeline, drawTrail, spanOf, timeAt } from "./charts.ts";
import { byId, chosenLabels, threshold, trouble, video } from "./elements.ts";
import { download } from "./download.ts";
import { loadEngine } from "./local.ts";
import type { Mode, Screen } from "./mode.ts";
import { PhotoMode } from "./photo_mode.ts";
import type { Loaded } from "./protocol.ts";
import { VideoMode } from "./video_mode.ts";

const SPEAK_MS = 2000;
const CHART_MS = 250;

let loaded: Loaded | null = null;
let labels: string[] = [];
let shown: Result | null = null;
let [spoken, spokenAt, chartAt, latency] = ["", 0, 0, 0];
let arrivals: number[] = [];

const screen: Screen = {
  show(result) {
    shown = result;
    redraw();
  },
  measure(milliseconds) {
    const now = performance.now();
    arrivals = arrivals.filter((time) => now - time < 2000).concat(now);
    if (arrivals.length > 1) byId("rate").textContent = ((1000 * (arrivals.length - 1)) / (now - arrivals[0])).toFixed(1);
    latency = latency ? latency + 0.2 * (milliseconds - latency) : milliseconds;
    byId("latency").textContent = String(Math.round(latency));
  },
  changed() {
    showControls();
  },
};

const modes: Record<string, Mode> = {
  camera: new CameraMode(screen),
  photos: new PhotoMode(screen),
  video: new VideoMode(screen),
};
let mode = modes.camera;

const isMirrored = () => mode === modes.camera && byId<HTMLInputElement>("mirror").checked;

function redraw(): void {
  const faces = shown?.faces ?? [];
  drawBoxes(byId<HTMLCanvasElement>("overlay"), shown, { mirrored: isMirrored(), threshold: threshold() });
  showCards(byId("faces"), faces, labels, threshold());
  byId("none").hidden = faces.length > 0;
  byId("none").textContent = shown ? "No face in view." : "No face yet.";
  speak();
  showCharts();
}

function speak(): void {
  if (!shown) return;
  const name = (index: number) => shown!.faces[index].track_id ?? index + 1;
  const words = shown.faces.map((face, index) => `face ${name(index)}: ${verdict(face, threshold()).text}`).join(", ");
  const now = performance.now();
  if (words === spoken || now - spokenAt < SPEAK_MS) return;
  [spoken, spokenAt] = [words, now];
  byId("spoken").textContent = words || "no face";
}

function showCharts(force = false): void {
  const clock = performance.now();
  if (!force && clock - chartAt < CHART_MS) return;
  chartAt = clock;
  const { results, moving } = mode;
  byId("over-time").hidden = !moving || !results.length;
  byId("take").hidden = !results.length;
  const faces = results.reduce((sum, result) => sum + result.faces.length, 0);
  const unit = moving ? "frames" : results.length === 1 ? "photo" : "photos";
  byId("count").textContent = `${results.length} ${unit}, ${faces} ${faces === 1 ? "face" : "faces"}`;
  if (!moving || !results.length) return;
  const span = spanOf(results, mode === modes.camera);
  drawTimeline(byId<HTMLCanvasElement>("timeline"), results, { labels, threshold: threshold(), span, now: shown?.time_s });
  const { affect } = loaded!.rules;
  byId("trail-figure").hidden = affect.words === null;
  byId("charts").classList.toggle("two", affect.words !== null);
  const now = shown?.time_s ?? results[results.length - 1].time_s;
  if (affect.words !== null) drawTrail(byId<HTMLCanvasElement>("trail"), results, now, affect);
}

function showControls(): void {
  const name = Object.keys(modes).find((key) => modes[key] === mode)!;
  for (const button of document.querySelectorAll<HTMLElement>("#modes button")) {
    button.setAttribute("aria-pressed", String(button.dataset.mode === name));
  }
  for (const part of document.querySelectorAll<HTMLElement>("[data-for]")) {
    part.hidden = !part.dataset.for!.split(" ").includes(name);
  }
  byId("welcome-title").textContent = mode.title;
  byId("welcome-text").textContent = mode.text;
  if (loaded) byId("start").textContent = mode.action;
  byId("welcome").hidden = mode.running || mode.results.length > 0;
  byId("album").hidden = mode !== modes.photos || !mode.results.length;
  byId<HTMLButtonElement>("pause").disabled = !mode.running || !mode.pause;
  byId<HTMLButtonElement>("stop").disabled = !mode.running;
  byId("paused").hidden = !mode.paused;
  byId("pause").setAttribute("aria-pressed", String(mode.paused));
  byId("pause").textContent = mode.paused ? "Resume" : "Pause";
  video.classList.toggle("mirrored", isMirrored());
  redraw();
  showCharts(true);
}

function choose(name: string): void {
  if (modes[name] === mode) return;
  mode.leave();
  mode = modes[name];
  [arrivals, latency, shown] = [[], 0, null];
  byId("rate").textContent = byId("latency").textContent = "–";
  byId("trouble").hidden = true;
  mode.enter();
  showControls();
}

async function start(): Promise<void> {
  byId("trouble").hidden = true;
  await mode.start();
  showControls();
}

// Files that are dropped say by themselves what they are.
async function takeFiles(files: File[]): Promise<void> {
  const name = files.some((file) => file.type.startsWith("video/")) ? "video" : "photos";
  choose(name);
  byId("trouble").hidden = true;
  await mode.take?.(files);
  showControls();
}

async function load(): Promise<void> {
  try {
    loaded = await loadEngine().loaded;
  } catch (error) {
    trouble("The model could not be loaded", error instanceof Error ? error.message : String(error));
    return;
  } finally {
    byId("loading").hidden = true;
  }
  const select = byId<HTMLSelectElement>("labels");
  select.replaceChildren(...nameLabels(loaded.rules.labels));
  labels = loaded.rules.labels[chosenLabels()];
  byId("made-by").textContent = `Model ${loaded.model}, detector ${loaded.detector}, Mien ${loaded.rules.mien}.`;
  byId<HTMLButtonElement>("start").disabled = false;
  showControls();
}

// Each set by its name, and what it adds to the first.
function nameLabels(sets: Record<string, string[]>): HTMLOptionElement[] {
  const [first] = Object.values(sets);
  return Object.entries(sets).map(([name, list]) => {
    const added = list.filter((label) => !first.includes(label));
    const title = name[0].toUpperCase() + name.slice(1);
    return new Option(added.length ? `${title}, with ${added.join(" and ")}` : title, name);
  });
}

function connect(): void {
  for (const button of document.querySelectorAll<HTMLElement>("#modes button")) {
    button.addEventListener("click", () => choose(button.dataset.mode!));
  }
  const files = byId<HTMLInputElement>("files");
  files.addEventListener("change", async () => {
    const chosen = [...(files.files ?? [])];
    files.value = "";
    if (chosen.length) await takeFiles(chosen);
  });
  byId("start").addEventListener("click", start);
  byId("again").addEventListener("click", start);
  byId("stop").addEventListener("click", () => (mode.stop(), showControls()));
  byId("pause").addEventListener("click", () => (mode.pause?.(), showControls()));
  byId("mirror").addEventListener("change", showControls);
  byId("camera").addEventListener("change", start);
  byId("labels").addEventListener("change", async () => {
    labels = loaded!.rules.labels[chosenLabels()];
    byId("faces").replaceChildren();
    await mode.again();
    showControls();
  });
  byId("threshold").addEventListener("input", () => {
    byId("threshold-value").textContent = `${byId<HTMLInputElement>("threshold").value} %`;
    redraw();
    showCharts(true);
  });
  byId("csv").addEventListener("click", () => download(mode, loaded!.rules, labels, threshold(), "csv"));
  byId("json").addEventListener("click", () => download(mode, loaded!.rules, labels, threshold(), "jsonl"));
  byId("clear").addEventListener("click", () => (mode.clear(), (shown = null), showControls(), byId("start").focus()));
  byId("timeline").addEventListener("click", (event) => {
    const canvas = byId<HTMLCanvasElement>("timeline");
    mode.seek?.(timeAt(canvas, event.offsetX, spanOf(mode.results, mode === modes.camera)));
  });
}

function connectWindow(): void {
  const stage = byId("stage");
  window.addEventListener("dragover", (event) => (event.preventDefault(), stage.classList.add("dropping")));
  window.addEventListener("dragleave", () => stage.classList.remove("dropping"));
  window.addEventListener("drop", async (event) => {
    event.preventDefault();
    stage.classList.remove("dropping");
    const dropped = [...(event.dataTransfer?.files ?? [])];
    if (loaded && dropped.length) await takeFiles(dropped);
  });
  window.addEventListener("resize", () => (redraw(), showCharts(true)));
  window.addEventListener("pagehide", () => mode.stop());
}

connect();
connectWindow();
mode.enter();
showControls();
void load();
if ("serviceWorker" in navigator) void navigator.serviceWorker.register("service-worker.js");
