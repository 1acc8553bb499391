// From pictures to faces with expressions: `mien.reading.face_reader` for photos, `mien.reading.streaming` over time.

import { AffectSmoother } from "./affect.ts";
import { Classifier } from "./classifier.ts";
import { Detector } from "./detector.ts";
import { clipBox, type Box, type Detection } from "./faces.ts";
import { Follower } from "./following.ts";
import type { Picture } from "./pictures.ts";
import { topOf, type Face, type Result } from "./results.ts";
import type { Rules } from "./settings.ts";
import { Smoother } from "./smoothing.ts";

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
    const rounded = found.map((face) => ({ ...face, box: face.box.map(Math.fround) as Box }));
    const readings = await this.classifier.read(image, rounded, this.labels);
    return rounded.map((detection, index) => {
      const { probabilities: shares, affect, quality } = readings[index];
      const probabilities = Object.fromEntries(this.labels.map((label, place) => [label, shares[place]]));
      const [x1, y1, x2, y2] = clipBox(detection.box, image.height, image.width);
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
        quality: quality.word,
        quality_score: quality.score,
        affect,
        model: this.classifier.title,
        detector: this.detector.rules.name,
      };
    });
  }
}

// Frames of one source in order: faces keep their number, probabilities are smoothed.
export class Stream {
  private readonly smoother: Smoother;
  private readonly affect: AffectSmoother;
  private readonly follower: Follower;
  private frame = 0;

  // `live`: frames are skipped by the detector where it cannot keep up; a file waits.
  constructor(
    private readonly reader: Reader,
    private readonly source: string,
    live: boolean,
  ) {
    this.smoother = new Smoother(reader.rules.stream);
    this.affect = new AffectSmoother(reader.rules.stream.smooth_s);
    this.follower = new Follower(reader.detector, reader.rules, live);
  }

  async read(image: Picture, timeS: number): Promise<Result> {
    const sight = await this.follower.find(image, timeS);
    const faces = await this.reader.describe(image, sight.found);
    const smoothed = faces.map((face, row) => this.smooth(face, sight.ids[row], timeS));
    this.smoother.forget(sight.left);
    this.affect.forget(sight.left);
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
      affect: this.affect.update(id, face.affect, timeS),
      raw: face.probabilities,
      probabilities: Object.fromEntries(labels.map((label, place) => [label, smoothed[place]])),
      top: labels[held],
      confidence: smoothed[held],
      abstained: smoothed[held] < options.minConfidence,
    };
  }
}
