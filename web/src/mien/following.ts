// Where the faces of successive frames are: searched everywhere now and then, followed in between.
// `mien.reading.following`.

import type { Detector } from "./detector.ts";
import { overlap, type Box, type Detection } from "./faces.ts";
import { padEdges, resize, roundHalfEven, type Picture } from "./pictures.ts";
import type { Rules, StreamRules } from "./settings.ts";
import { Tracker, type Sight } from "./tracking.ts";

export class Follower {
  private readonly tracker: Tracker;
  private readonly rules: StreamRules;
  private skipped = Infinity;
  private seen: Detection[] = [];
  private shape = "";
  private fullLookS = -Infinity;
  private searchedS = -Infinity;
  private costS = 0;
  private lastS: number | null = null;
  private intervalS = Infinity;

  // `live`: frames come by the clock, whether they are taken or not.
  constructor(
    private readonly detector: Detector,
    rules: Rules,
    private readonly live: boolean,
  ) {
    this.tracker = new Tracker(rules.tracking);
    this.rules = rules.stream;
  }

  async find(image: Picture, timeS: number): Promise<Sight> {
    if (this.lastS !== null && timeS > this.lastS) this.intervalS = timeS - this.lastS;
    this.lastS = timeS;
    this.skipped += 1;
    const shape = `${image.width}×${image.height}`;
    if (shape !== this.shape) {
      // Places in a frame of another size say nothing about this one.
      [this.shape, this.skipped, this.fullLookS, this.searchedS] = [shape, Infinity, -Infinity, -Infinity];
    }
    if (this.skipped < this.patience()) return this.tracker.predict(timeS);
    this.skipped = 0;
    this.seen = await this.look(image, timeS);
    return this.tracker.update(this.seen, image, timeS);
  }

  private patience(): number {
    if (!this.live) return 1;
    const { detection_share, max_skipped } = this.rules;
    return Math.min(max_skipped, Math.max(1, Math.ceil(this.costS / (detection_share * this.intervalS))));
  }

  private async look(image: Picture, timeS: number): Promise<Detection[]> {
    const started = performance.now();
    const found = (await this.lookNear(image, timeS)) ?? (await this.search(image, timeS));
    // A moving average: one slow look changes little.
    this.costS += 0.2 * ((performance.now() - started) / 1000 - this.costS);
    return found;
  }

  private async search(image: Picture, timeS: number): Promise<Detection[]> {
    this.searchedS = timeS;
    const reduced = this.reducedPx(image, timeS);
    if (reduced === undefined) this.fullLookS = timeS;
    const found = await this.detector.detect(image, reduced);
    if (reduced === undefined || found.length >= this.seen.length) return found;
    // A missing face may only be too small in the reduced picture.
    this.fullLookS = timeS;
    return this.detector.detect(image);
  }

  // The known faces, looked for where they should be; null where the whole frame has to be searched.
  private async lookNear(image: Picture, timeS: number): Promise<Detection[] | null> {
    const { search_every, near_px, same_face } = this.rules;
    if (timeS - this.searchedS >= search_every - 1e-6 || !this.knowsAll(timeS)) return null;
    const expected = this.tracker.expect(timeS);
    const largest = Math.max(image.width, image.height);
    const longest = Math.min(this.reducedPx(image, timeS) ?? this.detector.longestPx, largest);
    const whole = image.height * image.width * (longest / largest) ** 2;
    // Many small squares would be more than the whole frame.
    if (expected.length !== this.seen.length || expected.length * near_px ** 2 > whole) return null;
    const found: Detection[] = [];
    for (const box of expected) {
      const one = await this.findNear(image, box);
      if (one === null || found.some((other) => overlap(other.box, one.box) >= same_face)) return null;
      found.push(one);
    }
    return found;
  }

  private async findNear(image: Picture, box: Box): Promise<Detection | null> {
    const { near, near_px, same_face } = this.rules;
    const side = Math.max(1, roundHalfEven(near * (box[3] - box[1])));
    const corner = [0, 1].map((axis) => roundHalfEven((box[axis] + box[axis + 2] - side) / 2));
    const square = cut(image, corner, side, near_px);
    if (square === null) return null;
    const back = Math.fround(side / near_px);
    const shift = (value: number, axis: number) => Math.fround(Math.fround(value * back) + corner[axis]);
    const seen = await this.detector.detect(square);
    const moved = seen.map((face) => ({
      box: face.box.map((value, side) => shift(value, side % 2)) as Box,
      score: face.score,
      landmarks: face.landmarks.map(([x, y]): [number, number] => [shift(x, 0), shift(y, 1)]),
    }));
    const [best] = moved.sort((one, two) => overlap(two.box, box) - overlap(one.box, box));
    return best !== undefined && overlap(best.box, box) >= same_face ? best : null;
  }

  // Faces are there, none is missing, and no close look at the whole frame is due.
  private knowsAll(timeS: number): boolean {
    return this.seen.length > 0 && timeS - this.fullLookS < this.rules.full_look_s && !this.tracker.waiting;
  }

  // The longer side that is enough for the faces that are there; none to look as at a photo.
  private reducedPx(image: Picture, timeS: number): number | undefined {
    const { face_px, size_step_px } = this.rules;
    if (!this.knowsAll(timeS)) return undefined;
    const smallest = Math.min(...this.seen.map(({ box }) => box[3] - box[1]));
    const enough = (Math.max(image.width, image.height) * face_px) / Math.max(smallest, 1);
    const stepped = size_step_px * Math.ceil(enough / size_step_px);
    return stepped < this.detector.longestPx ? stepped : undefined;
  }
}

// A square of a picture, resized before the edge is repeated beyond it; null where it lies outside.
function cut(image: Picture, [left, top]: number[], side: number, target: number): Picture | null {
  const [x1, y1] = [Math.max(left, 0), Math.max(top, 0)];
  const [x2, y2] = [Math.min(left + side, image.width), Math.min(top + side, image.height)];
  if (x2 <= x1 || y2 <= y1) return null;
  const place = (length: number) => roundHalfEven((length * target) / side);
  const starts = [y1 - top, x1 - left].map((length) => Math.min(place(length), target - 1));
  const spans = [y2 - y1, x2 - x1].map((length, axis) => Math.min(Math.max(1, place(length)), target - starts[axis]));
  // Every second pixel of a face that is close is enough.
  const step = Math.max(1, Math.floor(side / (2 * target)));
  const part = resize(pick(image, [x1, y1, x2, y2], step), spans[0], spans[1]);
  return padEdges(part, starts, target);
}

function pick(image: Picture, [x1, y1, x2, y2]: number[], step: number): Picture {
  const { channels } = image;
  const [width, height] = [Math.ceil((x2 - x1) / step), Math.ceil((y2 - y1) / step)];
  const data = new Uint8Array(width * height * channels);
  for (let y = 0, target = 0; y < height; y += 1) {
    let place = ((y1 + y * step) * image.width + x1) * channels;
    for (let x = 0; x < width; x += 1, place += step * channels) {
      for (let colour = 0; colour < channels; colour += 1, target += 1) data[target] = image.data[place + colour];
    }
  }
  return { width, height, channels, data };
}
