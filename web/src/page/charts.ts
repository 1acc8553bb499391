// What the faces showed over time: a lane a face with its probabilities stacked, and the trail on the circumplex.

import type { Face, Result } from "../mien/results.ts";
import type { AffectRules } from "../mien/settings.ts";
import { COLOURS, verdict } from "../../../src/mien/apps/live/faces.js";
import { colour, sharpen } from "./elements.ts";

const MOST_LANES = 4;
const LIVE_SPAN_S = 60;
const [LEFT, RIGHT, TOP, BOTTOM, GAP, STRIP] = [58, 10, 8, 24, 8, 6];
const STEPS_S = [0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];

export interface Span {
  begin: number;
  end: number;
}

export function spanOf(results: Result[], live: boolean): Span {
  if (!results.length) return { begin: 0, end: 1 };
  const end = results[results.length - 1].time_s;
  const begin = live ? Math.max(results[0].time_s, end - LIVE_SPAN_S) : results[0].time_s;
  return { begin, end: Math.max(end, begin + (live ? 10 : 0.1)) };
}

export function timeAt(canvas: HTMLCanvasElement, x: number, span: Span): number {
  const share = (x - LEFT) / (canvas.clientWidth - LEFT - RIGHT);
  return span.begin + Math.min(Math.max(share, 0), 1) * (span.end - span.begin);
}

// The tracks seen in most frames, by their number.
function mainTracks(results: Result[]): number[] {
  const counts = new Map<number, number>();
  for (const { faces } of results) {
    for (const { track_id } of faces) counts.set(track_id!, (counts.get(track_id!) ?? 0) + 1);
  }
  const most = [...counts].sort((one, two) => two[1] - one[1]).slice(0, MOST_LANES);
  return most.map(([id]) => id).sort((one, two) => one - two);
}

export function drawTimeline(
  canvas: HTMLCanvasElement,
  results: Result[],
  { labels, threshold, span, now }: { labels: string[]; threshold: number; span: Span; now?: number },
): void {
  const { context, width, height } = sharpen(canvas);
  const shown = results.filter(({ time_s }) => time_s >= span.begin - 1);
  const tracks = mainTracks(shown);
  const lane = (height - TOP - BOTTOM) / Math.max(tracks.length, 1) - GAP;
  // Whole pixels, or moments that touch would show a line between them.
  const place = (timeS: number) => Math.round(LEFT + ((timeS - span.begin) / (span.end - span.begin)) * (width - LEFT - RIGHT));
  context.font = '12px system-ui, "Liberation Sans", sans-serif';
  drawAxis(context, span, place, height);
  context.save();
  context.beginPath();
  context.rect(LEFT, 0, width - LEFT - RIGHT, height);
  context.clip();
  tracks.forEach((id, row) => {
    const top = TOP + row * (lane + GAP);
    shown.forEach((result, index) => {
      const face = result.faces.find(({ track_id }) => track_id === id);
      if (!face) return;
      const x = place(result.time_s);
      const next = shown[index + 1]?.time_s ?? result.time_s + 0.1;
      // A pause is no long moment: the source may have stalled.
      drawMoment(context, face, { x, wide: place(Math.min(next, result.time_s + 1)) - x, top, lane, labels, threshold });
    });
  });
  context.restore();
  context.fillStyle = colour("--soft");
  context.textAlign = "left";
  context.textBaseline = "middle";
  tracks.forEach((id, row) => context.fillText(`face ${id}`, 10, TOP + row * (lane + GAP) + lane / 2));
  if (now !== undefined) {
    context.fillStyle = colour("--ink");
    context.fillRect(place(now) - 0.75, TOP, 1.5, height - TOP - BOTTOM);
  }
}

interface Moment {
  x: number;
  wide: number;
  top: number;
  lane: number;
  labels: string[];
  threshold: number;
}

function drawMoment(context: CanvasRenderingContext2D, face: Face, moment: Moment): void {
  const { x, wide, top, lane, labels } = moment;
  const high = lane - STRIP - 2;
  let bottom = top + high;
  for (const label of labels) {
    const part = face.probabilities[label] * high;
    context.fillStyle = COLOURS[label];
    context.fillRect(x, bottom - part, wide, part);
    bottom -= part;
  }
  context.fillStyle = verdict(face, moment.threshold).colour;
  context.fillRect(x, top + lane - STRIP, wide, STRIP);
}

function drawAxis(context: CanvasRenderingContext2D, span: Span, place: (time: number) => number, height: number): void {
  const step = STEPS_S.find((size) => (span.end - span.begin) / size <= 8) ?? STEPS_S[STEPS_S.length - 1];
  context.strokeStyle = colour("--line");
  context.fillStyle = colour("--soft");
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  for (let tick = Math.ceil(span.begin / step - 1e-9); tick * step <= span.end + 1e-9; tick += 1) {
    const x = place(tick * step);
    context.beginPath();
    context.moveTo(x, TOP);
    context.lineTo(x, height - BOTTOM);
    context.stroke();
    const text = clock(tick * step, step < 1);
    const half = context.measureText(text).width / 2;
    context.fillText(text, Math.min(x, context.canvas.clientWidth - half - 4), height - 8);
  }
}

export function clock(timeS: number, tenths = false): string {
  const [minutes, seconds] = [Math.floor(timeS / 60), timeS % 60];
  return `${minutes}:${tenths ? seconds.toFixed(1).padStart(4, "0") : String(Math.round(seconds)).padStart(2, "0")}`;
}

const TRAIL_S = 10;
const [WORD_WIDE, WORD_HIGH] = [44, 13];

// Words from the top down, each moved below those that it would cover.
function spread(words: [string, number, number][]): [string, number, number][] {
  const placed: [string, number, number][] = [];
  for (const [word, x, wanted] of words.sort((one, two) => one[2] - two[2])) {
    const above = placed.filter(([, left]) => Math.abs(left - x) < WORD_WIDE).map(([, , y]) => y + WORD_HIGH);
    placed.push([word, x, Math.max(wanted, ...above)]);
  }
  return placed;
}

// Where the faces were on the circumplex, the last seconds as a line that fades; words where everybody would choose them.
export function drawTrail(canvas: HTMLCanvasElement, results: Result[], now: number, rules: AffectRules): void {
  const { context, width } = sharpen(canvas);
  const [middle, radius] = [width / 2, width / 2 - 14];
  const [valence, arousal] = rules.names;
  const at = (x: number, y: number): [number, number] => [middle + x * radius, middle - y * radius];
  [context.strokeStyle, context.lineWidth] = [colour("--line"), 1];
  context.beginPath();
  context.arc(middle, middle, radius, 0, 2 * Math.PI);
  for (const [x, y] of [[1, 0], [0, 1]]) {
    context.moveTo(...at(-x, -y));
    context.lineTo(...at(x, y));
  }
  context.stroke();
  context.font = '11px system-ui, "Liberation Sans", sans-serif';
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillStyle = colour("--soft");
  for (const [label, x, y] of spread(Object.entries(rules.circumplex).map(([word, place]) => [word, ...at(...place)]))) {
    context.fillText(label, x, y);
  }
  const recent = results.filter(({ time_s }) => time_s <= now && time_s > now - TRAIL_S);
  const last = new Map<number, [number, number]>();
  for (const { faces, time_s } of recent) {
    for (const face of faces) {
      const [x, y] = [face.affect?.values[valence], face.affect?.values[arousal]];
      if (x == null || y == null) continue;
      const point = at(x, y);
      context.globalAlpha = 1 - (now - time_s) / TRAIL_S;
      context.strokeStyle = context.fillStyle = COLOURS[face.top];
      context.lineWidth = 3;
      context.beginPath();
      context.moveTo(...(last.get(face.track_id!) ?? point));
      context.lineTo(...point);
      context.stroke();
      if (time_s === now) {
        context.beginPath();
        context.arc(...point, 6, 0, 2 * Math.PI);
        context.fill();
      }
      last.set(face.track_id!, point);
    }
  }
  context.globalAlpha = 1;
}
