// Faces that keep their number: `mien.faces.tracking`.

import { cropSquare, overlap, type Box, type Detection } from "./faces.ts";
import { resize, type Picture } from "./pictures.ts";
import type { TrackingRules } from "./settings.ts";

// Centre and size: x, y, width, height.
type State = [number, number, number, number];

interface Track {
  id: number;
  state: State;
  velocity: State;
  thumb: Float32Array;
  score: number;
  landmarks: [number, number][];
  timeS: number;
  seenS: number;
  // Covariance of place and speed, in heights of the box: a, b, b, d.
  spread: [number, number, number];
}

export interface Sight {
  found: Detection[];
  ids: number[];
  entered: number[];
  left: number[];
}

const toState = ([x1, y1, x2, y2]: Box): State => [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1];

function toBox([x, y, width, height]: State): Box {
  const [w, h] = [Math.max(width, 1), Math.max(height, 1)];
  return [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
}

export class Tracker {
  private tracks: Track[] = [];
  private count = 0;
  private lookedS = 0;
  private timeS = 0;
  private intervalS = 0;

  constructor(private readonly rules: TrackingRules) {}

  // Some face is missing since the last `update` and may come back.
  get waiting(): boolean {
    return this.tracks.some((track) => track.seenS < this.lookedS);
  }

  update(found: Detection[], image: Picture, timeS: number): Sight {
    this.move(timeS);
    this.lookedS = timeS;
    const thumbs = found.map(({ box }) => this.thumb(image, box));
    const ids: number[] = new Array(found.length).fill(0);
    for (const [row, track] of this.match(found, thumbs)) {
      this.see(track, found[row], thumbs[row]);
      ids[row] = track.id;
    }
    const entered: number[] = [];
    ids.forEach((id, row) => {
      if (id === 0) entered.push((ids[row] = this.begin(found[row], thumbs[row], timeS)));
    });
    return { found, ids, entered, left: this.giveUp(timeS) };
  }

  // Where the faces seen at the last `update` should be in a frame nobody looked at.
  predict(timeS: number): Sight {
    this.move(timeS);
    const left = this.giveUp(timeS);
    const seen = this.tracks.filter((track) => track.seenS === this.lookedS);
    const found = seen.map(({ state, score, landmarks }) => ({ box: toBox(state), score, landmarks }));
    return { found, ids: seen.map((track) => track.id), entered: [], left };
  }

  // Boxes in which the faces seen at the last `update` should be then; nothing is changed.
  expect(timeS: number): Box[] {
    const seen = this.tracks.filter((track) => track.seenS === this.lookedS);
    return seen.map(({ state, velocity, timeS: since }) => {
      const dt = Math.max(0, timeS - since);
      return toBox(state.map((value, side) => value + velocity[side] * dt) as State);
    });
  }

  private move(timeS: number): void {
    this.intervalS = timeS - this.timeS;
    this.timeS = timeS;
    for (const track of this.tracks) this.moveOne(track, timeS);
  }

  private moveOne(track: Track, timeS: number): void {
    const { coast_s, agility } = this.rules;
    const dt = Math.max(0, timeS - track.timeS);
    if (timeS - track.seenS > 2 * coast_s) {
      track.velocity = track.velocity.map((value) => value * Math.exp(-dt / coast_s)) as State;
    }
    const [dx, dy] = [track.velocity[0] * dt, track.velocity[1] * dt];
    track.state = track.state.map((value, side) => value + track.velocity[side] * dt) as State;
    track.landmarks = track.landmarks.map(([x, y]) => [x + dx, y + dy]);
    const [a, b, d] = track.spread;
    const push = [(dt * dt) / 2, dt];
    const noise = agility ** 2;
    track.spread = [
      a + 2 * dt * b + dt * dt * d + noise * push[0] * push[0],
      b + dt * d + noise * push[0] * push[1],
      d + noise * push[1] * push[1],
    ];
    track.timeS = timeS;
  }

  private see(track: Track, found: Detection, thumb: Float32Array): void {
    const [a, b, d] = track.spread;
    const gain = [a, b].map((value) => value / (a + this.rules.noise ** 2));
    const error = toState(found.box).map((value, side) => value - track.state[side]);
    track.state = track.state.map((value, side) => value + gain[0] * error[side]) as State;
    track.velocity = track.velocity.map((value, side) => value + gain[1] * error[side]) as State;
    track.spread = [a - gain[0] * a, b - gain[0] * b, d - gain[1] * b];
    // Averaged, because one blurred or turned view should not replace the look of the face.
    const known = track.thumb.some((value) => value !== 0);
    track.thumb = known ? thumb.map((value, place) => 0.8 * track.thumb[place] + 0.2 * value) : thumb;
    [track.score, track.landmarks, track.seenS] = [found.score, found.landmarks, track.timeS];
  }

  private giveUp(timeS: number): number[] {
    // Who would come back too late in the next frame is given up in this one.
    const lastS = timeS + this.intervalS - this.rules.max_gap_s - 1e-6;
    const isLost = (track: Track) => track.seenS < lastS && track.seenS < timeS;
    const left = this.tracks.filter(isLost).map((track) => track.id);
    this.tracks = this.tracks.filter((track) => !isLost(track));
    return left;
  }

  private begin({ box, score, landmarks }: Detection, thumb: Float32Array, timeS: number): number {
    this.count += 1;
    this.tracks.push({
      id: this.count,
      state: toState(box),
      velocity: [0, 0, 0, 0],
      thumb,
      score,
      landmarks,
      timeS,
      seenS: timeS,
      spread: [this.rules.noise ** 2, 0, 1],
    });
    return this.count;
  }

  // Pairs of face and track, the best first, each once.
  private match(found: Detection[], thumbs: Float32Array[]): [number, Track][] {
    const pairs: { worth: number; row: number; track: Track }[] = [];
    found.forEach(({ box }, row) => {
      for (const track of this.tracks) {
        const common = overlap(box, toBox(track.state));
        const likeness = thumbs[row].reduce((sum, value, place) => sum + value * track.thumb[place], 0);
        const isNear = areNear(toState(box), track.state) && likeness > this.rules.min_likeness;
        if (common > this.rules.min_overlap || isNear) pairs.push({ worth: common + 0.5 * likeness, row, track });
      }
    });
    pairs.sort((one, two) => two.worth - one.worth);
    const rows = new Set<number>();
    const taken = new Set<number>();
    const chosen: [number, Track][] = [];
    for (const { row, track } of pairs) {
      if (rows.has(row) || taken.has(track.id)) continue;
      rows.add(row);
      taken.add(track.id);
      chosen.push([row, track]);
    }
    return chosen;
  }

  // A tiny picture in colour, zero mean and unit norm: a dot product measures likeness.
  private thumb(image: Picture, box: Box): Float32Array {
    const side = this.rules.thumb_px;
    const values = Float32Array.from(resize(cropSquare(image, box, 1), side, side).data);
    const mean = values.reduce((one, two) => one + two, 0) / values.length;
    for (let place = 0; place < values.length; place += 1) values[place] -= mean;
    const norm = Math.max(Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)), 1e-6);
    return values.map((value) => value / norm);
  }
}

// Less than 1.5 heights apart, and of sizes within a factor of 1.6.
function areNear(found: State, predicted: State): boolean {
  const distance = Math.hypot(found[0] - predicted[0], found[1] - predicted[1]);
  const ratio = found[3] / Math.max(predicted[3], 1e-3);
  return distance < 1.5 * predicted[3] && ratio < 1.6 && ratio > 1 / 1.6;
}
