// Face crops to calibrated probabilities: `mien.artifact.input`, `mien.artifact.calibration`, `mien.labels.project`.

import { cropSquare, type Box } from "./faces.ts";
import type { Graph } from "./graph.ts";
import { resize, toGrey, type Picture } from "./pictures.ts";
import type { Head, Manifest } from "./settings.ts";

export class Classifier {
  private readonly head: Head;
  readonly balance: number;

  constructor(
    private readonly graph: Graph,
    private readonly inputName: string,
    readonly manifest: Manifest,
  ) {
    this.head = manifest.heads[manifest.default_head];
    this.balance = manifest.reading?.balance ?? 0;
  }

  // Name and version, and how it is shown, as `mien.reading.classifier.Model.title`.
  get title(): string {
    const { name, version } = this.manifest;
    return `${name} ${version}${this.balance ? ` +balance${this.balance}` : ""}`;
  }

  // Of each box, the probability of each of `labels`.
  async read(image: Picture, boxes: Box[], labels: string[]): Promise<number[][]> {
    if (!boxes.length) return [];
    const { height, width, channels, crop_scale } = this.manifest.input;
    const size = channels * height * width;
    const faces = new Uint8Array(boxes.length * size);
    boxes.forEach((box, row) => {
      const crop = cropSquare(image, box, crop_scale);
      faces.set(toInput(crop, this.manifest.input), row * size);
    });
    const outputs = await this.graph.run(this.inputName, faces, [boxes.length, channels, height, width]);
    const logits = outputs[this.manifest.default_head];
    const count = this.head.labels.length;
    return boxes.map((_, row) => {
      const own = calibrate(logits.subarray(row * count, (row + 1) * count), this.head, this.balance);
      return project(own, this.head.labels, labels);
    });
  }
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
