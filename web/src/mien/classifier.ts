// Face crops to calibrated probabilities: `mien.artifact.input`, `mien.artifact.calibration`, `mien.labels.project`.

import { estimateAffect, type Affect } from "./affect.ts";
import { cropFace, type Detection } from "./faces.ts";
import type { Graph } from "./graph.ts";
import { resize, toGrey, type Picture } from "./pictures.ts";
import { judge, type Quality } from "./quality.ts";
import type { Head, Manifest, Rules } from "./settings.ts";

export class Classifier {
  private readonly head: Head;
  readonly balance: number;

  constructor(
    private readonly graph: Graph,
    readonly manifest: Manifest,
    private readonly rules: Rules,
  ) {
    this.head = manifest.heads[manifest.default_head];
    this.balance = manifest.reading?.balance ?? 0;
  }

  // Name and version, and how it is shown, as `mien.reading.classifier.Model.title`.
  get title(): string {
    const { name, version } = this.manifest;
    return `${name} ${version}${this.balance ? ` +balance${this.balance}` : ""}`;
  }

  // Of each face, the probability of each of `labels`, where it is on the circumplex, and how well it can be seen.
  async read(image: Picture, found: Detection[], labels: string[]): Promise<Reading[]> {
    if (!found.length) return [];
    const { manifest, rules } = this;
    const { height, width, channels, crop_scale } = manifest.input;
    const crops = found.map((face) => toInput(cropFace(image, face, crop_scale, rules.crop), manifest.input));
    const faces = new Uint8Array(crops.length * crops[0].length);
    crops.forEach((crop, row) => faces.set(crop, row * crop.length));
    const outputs = await this.graph.run(rules.input, faces, [crops.length, channels, height, width]);
    return found.map((face, row) => {
      const rowOf = (name: string) => {
        const size = outputs[name].length / crops.length;
        return outputs[name].subarray(row * size, (row + 1) * size);
      };
      const own = calibrate(rowOf(manifest.default_head), this.head, this.balance);
      return {
        probabilities: project(own, this.head.labels, labels),
        affect: estimateAffect(rowOf, manifest, rules.affect),
        quality: judge(face, crops[row], manifest.input, rules.quality),
      };
    });
  }
}

export interface Reading {
  probabilities: number[];
  affect: Affect | null;
  quality: Quality;
}

function toInput(crop: Picture, { height, width, channels }: Manifest["input"]): Uint8Array | Uint8ClampedArray {
  if (channels === 1) return resize(toGrey(crop), height, width).data;
  const { data } = resize(crop, height, width);
  const planes = new Uint8Array(data.length);
  for (let pixel = 0; pixel < height * width; pixel += 1) {
    for (let colour = 0; colour < 3; colour += 1) planes[colour * height * width + pixel] = data[3 * pixel + colour];
  }
  return planes;
}

function softmax(values: number[]): number[] {
  const most = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - most));
  const sum = powers.reduce((one, two) => one + two, 0);
  return powers.map((value) => value / sum);
}

// softmax(scale l / T - c l² + bias - balance log prior) of the log-probabilities l.
export function calibrate(logits: ArrayLike<number>, head: Head, balance: number): number[] {
  const values = Array.from(logits);
  const most = Math.max(...values);
  const total = most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
  return softmax(
    values.map((value, label) => {
      const log = value - total;
      const bent = (log * (head.scale?.[label] ?? 1)) / head.temperature - (head.curvature ?? 0) * log * log;
      const lift = balance && head.prior ? -balance * Math.log(head.prior[label]) : 0;
      return bent + (head.bias?.[label] ?? 0) + lift;
    }),
  );
}

// In the order of `target`, summing to 1 again; a label that `target` lacks is left out.
export function project(probabilities: number[], source: string[], target: string[]): number[] {
  const kept = target.map((label) => (source.includes(label) ? probabilities[source.indexOf(label)] : 0));
  const total = kept.reduce((one, two) => one + two, 0);
  return kept.map((value) => (total > 0 ? value / total : 1 / target.length));
}
