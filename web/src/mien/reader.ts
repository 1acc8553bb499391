// From pictures to faces with expressions: `mien.reading.face_reader` for photos, `mien.reading.streaming` over time.

import { Classifier } from "./classifier.ts";
import { Detector } from "./detector.ts";
import { clipBox, type Box, type Detection } from "./faces.ts";
import type { Picture } from "./pictures.ts";
import { topOf, type Face, type Result } from "./results.ts";
import type { Rules } from "./settings.ts";
import { Smoother } from "./smoothing.ts";
import { Tracker, type Sight } from "./tracking.ts";

export interface ReaderOptions {
  // `seven`, or `eight` with contempt.
  labels: string;
  // A face whose highest probability is lower is not sure.
  minConfidence: number;
}

export class Reader {
  readonly labels: string[];

  constructor(
    readonly detector: Detector,
    readonly classifier: Classifier,
    readonly rules: Rules,
    readonly options: ReaderOptions = { labels: "seven", minConfidence: 0 },
  ) {
    this.labels = rules.labels[options.labels];
  }

  withOptions(options: Partial<ReaderOptions>): Reader {
    return new Reader(this.detector, this.classifier, this.rules, { ...this.options, ...options });
  }

  // The faces of one photo.
  async read(image: Picture, source = ""): Promise<Result> {
    const found = await this.detector.detect(image);
    const faces = await this.describe(image, found);
    return { source, frame: 0, time_s: 0, width: image.width, height: image.height, faces };
  }

  async describe(image: Picture, found: Detection[]): Promise<Face[]> {
    const boxes = found.map(({ box }) => box.map(Math.fround) as Box);
    const shares = await this.classifier.read(image, boxes, this.labels);
    return found.map((detection, index) => {
      const probabilities = Object.fromEntries(this.labels.map((label, place) => [label, shares[index][place]]));
      const [x1, y1, x2, y2] = clipBox(boxes[index], image.height, image.width);
      const top = topOf(probabilities);
      return {
        face: index,
        top,
        confidence: probabilities[top],
        abstained: probabilities[top] < this.options.minConfidence,
        probabilities,
        box: { x: x1, y: y1, width: x2 - x1, height: y2 - y1 },
        landmarks: detection.landmarks,
        detection_score: detection.score,
        model: this.classifier.title,
        detector: this.detector.rules.name,
      };
    });
  }
}

// Frames of one source in order: faces keep their number, probabilities are smoothed.
export class Stream {
  private readonly smoother: Smoother;
  private readonly follower: Follower;
  private frame = 0;

  // `live`: frames are skipped by the detector where it cannot keep up; a file waits.
  constructor(
    private readonly reader: Reader,
    private readonly source: string,
    live: boolean,
  ) {
    this.smoother = new Smoother(reader.rules.stream);
    this.follower = new Follower(reader.detector, reader.rules, live);
  }

  async read(image: Picture, timeS: number): Promise<Result> {
    const sight = await this.follower.find(image, timeS);
    const faces = await this.reader.describe(image, sight.found);
    const smoothed = faces.map((face, row) => this.smooth(face, sight.ids[row], timeS));
    this.smoother.forget(sight.left);
    const { width, height } = image;
    this.frame += 1;
    return { source: this.source, frame: this.frame - 1, time_s: timeS, width, height, faces: smoothed };
  }

  private smooth(face: Face, id: number, timeS: number): Face {
    const { labels, options } = this.reader;
    const { smoothed, held } = this.smoother.update(id, Object.values(face.probabilities), timeS);
    return {
      ...face,
      track_id: id,
      raw: face.probabilities,
      probabilities: Object.fromEntries(labels.map((label, place) => [label, smoothed[place]])),
      top: labels[held],
      confidence: smoothed[held],
      abstained: smoothed[held] < options.minConfidence,
    };
  }
}

// Detects as often and as closely as needed, and predicts positions in between.
class Follower {
  private readonly tracker: Tracker;
  private skipped = Infinity;
  private seen: Detection[] = [];
  private shape = "";
  private fullLookS = -Infinity;
  private costS = 0;
  private lastS: number | null = null;
  private intervalS = Infinity;

  constructor(
    private readonly detector: Detector,
    private readonly rules: Rules,
    private readonly live: boolean,
  ) {
    this.tracker = new Tracker(rules.tracking);
  }

  async find(image: Picture, timeS: number): Promise<Sight> {
    if (this.lastS !== null && timeS > this.lastS) this.intervalS = timeS - this.lastS;
    this.lastS = timeS;
    this.skipped += 1;
    const shape = `${image.width}×${image.height}`;
    if (shape !== this.shape) {
      // Places in a frame of another size say nothing about this one.
      [this.shape, this.skipped, this.fullLookS] = [shape, Infinity, -Infinity];
    }
    if (this.skipped < this.patience()) return this.tracker.predict(timeS);
    this.skipped = 0;
    this.seen = await this.look(image, timeS);
    return this.tracker.update(this.seen, image, timeS);
  }

  private patience(): number {
    if (!this.live) return 1;
    const { detection_share, max_skipped } = this.rules.stream;
    return Math.min(max_skipped, Math.max(1, Math.ceil(this.costS / (detection_share * this.intervalS))));
  }

  private async look(image: Picture, timeS: number): Promise<Detection[]> {
    const started = performance.now();
    const reduced = this.reducedPx(image, timeS);
    if (reduced === undefined) this.fullLookS = timeS;
    let found = await this.detector.detect(image, reduced);
    // A missing face may only be too small in the reduced picture.
    if (reduced !== undefined && found.length < this.seen.length) {
      this.fullLookS = timeS;
      found = await this.detector.detect(image);
    }
    // A moving average: one slow look changes little.
    this.costS += 0.2 * ((performance.now() - started) / 1000 - this.costS);
    return found;
  }

  // The longer side that is enough for the faces that are there; none to look as at a photo.
  private reducedPx(image: Picture, timeS: number): number | undefined {
    const { full_look_s, face_px, size_step_px } = this.rules.stream;
    const isDue = timeS - this.fullLookS >= full_look_s;
    if (isDue || !this.seen.length || this.tracker.waiting) return undefined;
    const smallest = Math.min(...this.seen.map(({ box }) => box[3] - box[1]));
    const enough = (Math.max(image.width, image.height) * face_px) / Math.max(smallest, 1);
    const stepped = size_step_px * Math.ceil(enough / size_step_px);
    return stepped < this.detector.longestPx ? stepped : undefined;
  }
}
