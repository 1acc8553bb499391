// The page: camera to stream, results to picture and cards, and the visitor's choices.

import { explain, listCameras, openCamera } from "./camera.js";
import { Circumplex } from "./circumplex.js";
import { drawBoxes, showCards, verdict } from "./faces.js";
import { Stream } from "./stream.js";

const WHERE = {
  server: "Your camera frames are sent to this server, analyzed, and forgotten at once. Nothing is stored.",
  device: "Your camera is analyzed on this device. Nothing is sent or stored.",
};
const RETRY_MS = [1000, 2000, 4000, 8000];
const SPEAK_MS = 2000;
const byId = (id) => document.getElementById(id);
const video = byId("video");
const circumplex = new Circumplex(byId("circumplex"));

let camera = null; // the MediaStream while it is open
let stream = null; // the connection while it is wanted
let labels = [];
let last = null; // the newest result
let isPaused = false;
let failures = 0;
let retryTimer = 0;
let key = ""; // kept in this page's memory only
let arrivals = [];
let latency = 0;
let spoken = "";
let spokenAt = 0;

const threshold = () => Number(byId("threshold").value) / 100;

function show() {
  drawBoxes(byId("overlay"), last, { mirrored: byId("mirror").checked, threshold: threshold() });
  const faces = last ? last.faces : [];
  showCards(byId("faces"), faces, labels, threshold());
  circumplex.draw(faces, threshold());
  byId("none").hidden = faces.length > 0;
  byId("none").textContent = last ? "No face in view." : "No face yet.";
}

function speak() {
  const words = last.faces.map((face) => `face ${face.track_id}: ${verdict(face, threshold()).text}`).join(", ");
  const now = performance.now();
  if (words === spoken || now - spokenAt < SPEAK_MS) return;
  [spoken, spokenAt] = [words, now];
  byId("spoken").textContent = words || "no face";
}

function measure(milliseconds) {
  const now = performance.now();
  arrivals = arrivals.filter((time) => now - time < 2000).concat(now);
  if (arrivals.length > 1) byId("rate").textContent = ((1000 * (arrivals.length - 1)) / (now - arrivals[0])).toFixed(1);
  latency = latency ? latency + 0.2 * (milliseconds - latency) : milliseconds;
  byId("latency").textContent = Math.round(latency);
}

function trouble(title, text, { asksKey = false } = {}) {
  byId("trouble-title").textContent = title;
  byId("trouble-text").textContent = text;
  byId("key-form").hidden = !asksKey;
  byId("again").hidden = asksKey;
  byId("trouble").hidden = false;
  byId("welcome").hidden = true;
  byId(asksKey ? "key" : "again").focus();
}

// Both take frames and answer alike; the second is there where the page that analyzes on the device was built.
async function createStream(on) {
  if (byId("where").value === "server") return new Stream(on, key, { geometry: byId("geometry").checked });
  const { LocalStream } = await import("../read/local.js");
  return new LocalStream(on);
}

async function connect() {
  clearTimeout(retryTimer);
  const mine = camera;
  const opened = await createStream({
    ready(message) {
      failures = 0;
      labels = message.labels;
      byId("faces").replaceChildren();
      byId("made-by").textContent = `Model ${message.model}, detector ${message.detector}.`;
      byId("trouble").hidden = true;
    },
    result(message, milliseconds) {
      if (isPaused) return;
      last = message;
      circumplex.add(message.faces);
      measure(milliseconds);
      show();
      speak();
    },
    problem(problem) {
      const asksKey = problem.status === 401;
      if (asksKey) key = "";
      close();
      trouble(problem.title, asksKey ? "Enter your key for this server." : problem.detail, { asksKey });
    },
    closed() {
      stream = null;
      const wait = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
      failures += 1;
      trouble("Server not reachable", `The connection was lost; trying again in ${wait / 1000} s.`);
      retryTimer = setTimeout(() => camera && connect(), wait);
    },
  });
  if (camera === mine) stream = opened;
  else opened.close();
}

async function start() {
  close();
  byId("welcome").hidden = true;
  byId("trouble").hidden = true;
  const wanted = byId("camera").disabled ? "" : byId("camera").value;
  try {
    camera = await openCamera(wanted);
  } catch (error) {
    if (error.name === "OverconstrainedError") byId("camera").disabled = true;
    return trouble(...explain(error));
  }
  const [track] = camera.getVideoTracks();
  track.onended = () => {
    close();
    trouble("Camera disconnected", "It was unplugged, or the browser released it. Connect it, then try again.");
  };
  video.srcObject = camera;
  await fillCameras(track.getSettings().deviceId);
  for (const id of ["pause", "stop"]) byId(id).disabled = false;
  failures = 0;
  connect();
  pump(camera);
}

// The newest frame goes out whenever the server has answered the one before it.
function pump(mine) {
  if (camera !== mine) return;
  if (!isPaused && !document.hidden && stream && stream.isReady && video.readyState >= 2) stream.send(video);
  requestAnimationFrame(() => pump(mine));
}

async function fillCameras(current) {
  const select = byId("camera");
  const cameras = await listCameras();
  select.replaceChildren(
    ...cameras.map((device, index) => new Option(device.label || `Camera ${index + 1}`, device.deviceId)),
  );
  select.value = current;
  select.disabled = cameras.length === 0;
}

function close() {
  clearTimeout(retryTimer);
  if (stream) stream.close();
  if (camera) camera.getTracks().forEach((track) => ((track.onended = null), track.stop()));
  stream = camera = last = null;
  circumplex.clear();
  video.srcObject = null;
  arrivals = [];
  latency = 0;
  byId("rate").textContent = byId("latency").textContent = "–";
  setPaused(false);
  for (const id of ["pause", "stop"]) byId(id).disabled = true;
  show();
}

function setPaused(value) {
  isPaused = value;
  byId("pause").textContent = value ? "Resume" : "Pause";
  byId("pause").setAttribute("aria-pressed", String(value));
  byId("paused").hidden = !value;
  if (value) video.pause();
  else if (video.srcObject) video.play().catch(() => {});
}

function setMirror() {
  video.classList.toggle("mirrored", byId("mirror").checked);
  show();
}

byId("start").addEventListener("click", start);
byId("again").addEventListener("click", start);
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = byId("key").value.trim();
  byId("key").value = "";
  start();
});
byId("stop").addEventListener("click", () => {
  close();
  byId("welcome").hidden = false;
  byId("start").focus();
});
byId("pause").addEventListener("click", () => setPaused(!isPaused));
byId("camera").addEventListener("change", start);
byId("geometry").addEventListener("change", () => {
  // The server learns of it when the connection opens.
  if (!stream) return;
  stream.close();
  connect();
});
byId("mirror").addEventListener("change", setMirror);
byId("where").addEventListener("change", () => {
  byId("where-text").textContent = WHERE[byId("where").value];
  byId("geometry").disabled = byId("where").value === "device";
  if (camera) start();
});
byId("threshold").addEventListener("input", () => {
  byId("threshold-value").textContent = `${byId("threshold").value} %`;
  show();
});
video.addEventListener("loadedmetadata", () => {
  byId("stage").style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
});
window.addEventListener("resize", show);
window.addEventListener("pagehide", close);
// On a narrow screen what the faces show comes first.
byId("settings").open = window.matchMedia("(min-width: 52rem)").matches;
document.body.classList.toggle("inside", new URL(location.href).searchParams.has("inside"));
setMirror();
