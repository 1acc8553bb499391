// Where faces are on the circumplex: valence to the right, arousal upwards, with the trail of the last seconds.

import { COLOURS, verdict } from "./faces.js";

const TRAIL_MS = 5000;
// Where annotators put each word; the service's own table is mien.reading.affect.
const WORDS = {
  angry: [-0.51, 0.319], disgust: [-0.566, 0.264], fear: [-0.694, 0.226], happy: [0.496, 0.059], sad: [-0.546, 0.112],
  surprise: [-0.024, 0.364], neutral: [0.046, -0.799], contempt: [-0.135, -0.507],
};

export class Circumplex {
  constructor(canvas) {
    this.canvas = canvas;
    this.trails = new Map();
  }

  clear() {
    this.trails.clear();
  }

  add(faces) {
    const now = performance.now();
    for (const face of faces) {
      if (face.valence == null || face.arousal == null) continue;
      const id = face.track_id ?? face.face;
      const trail = this.trails.get(id) ?? [];
      trail.push({ time: now, x: face.valence, y: face.arousal });
      this.trails.set(id, trail);
    }
    for (const [id, trail] of this.trails) {
      while (trail.length && now - trail[0].time > TRAIL_MS) trail.shift();
      if (!trail.length) this.trails.delete(id);
    }
  }

  draw(faces, threshold) {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const side = Math.round(canvas.clientWidth * ratio);
    if (canvas.width !== side || canvas.height !== side) canvas.width = canvas.height = side;
    const style = getComputedStyle(canvas);
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, side, side);
    const [middle, radius] = [side / 2, 0.43 * side];
    const at = ({ x, y }) => [middle + radius * x, middle - radius * y];
    this.drawGrid(context, { middle, radius, ratio, line: style.getPropertyValue("--line"), ink: style.color }, at);
    const now = performance.now();
    for (const face of faces) {
      const trail = this.trails.get(face.track_id ?? face.face);
      if (!trail || !trail.length) continue;
      const { colour } = verdict(face, threshold);
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = 3 * ratio;
      context.lineCap = "round";
      for (let index = 1; index < trail.length; index++) {
        context.globalAlpha = 0.7 * (1 - (now - trail[index].time) / TRAIL_MS);
        context.beginPath();
        context.moveTo(...at(trail[index - 1]));
        context.lineTo(...at(trail[index]));
        context.stroke();
      }
      context.globalAlpha = 1;
      context.beginPath();
      context.arc(...at(trail.at(-1)), 6 * ratio, 0, 2 * Math.PI);
      context.fill();
    }
  }

  drawGrid(context, { middle, radius, ratio, line, ink }, at) {
    context.strokeStyle = line;
    context.lineWidth = ratio;
    for (const share of [0.5, 1]) {
      context.beginPath();
      context.arc(middle, middle, share * radius, 0, 2 * Math.PI);
      context.stroke();
    }
    for (const [from, to] of [[{ x: -1, y: 0 }, { x: 1, y: 0 }], [{ x: 0, y: -1 }, { x: 0, y: 1 }]]) {
      context.beginPath();
      context.moveTo(...at(from));
      context.lineTo(...at(to));
      context.stroke();
    }
    for (const [word, [x, y]] of Object.entries(WORDS)) {
      const [left, top] = at({ x, y });
      context.fillStyle = COLOURS[word];
      context.fillRect(left - 2 * ratio, top - 2 * ratio, 4 * ratio, 4 * ratio);
    }
    context.fillStyle = ink;
    context.font = `${11.5 * ratio}px system-ui, "Liberation Sans", sans-serif`;
    context.textBaseline = "middle";
    context.textAlign = "center";
    context.fillText("excited", middle, middle - radius - 8 * ratio);
    context.fillText("calm", middle, middle + radius + 9 * ratio);
    context.textAlign = "left";
    context.fillText("unpleasant", middle - radius + 4 * ratio, middle + 9 * ratio);
    context.textAlign = "right";
    context.fillText("pleasant", middle + radius - 4 * ratio, middle + 9 * ratio);
  }
}
