// How well a face can be seen, as a word and a number: `mien.faces.quality`.

import type { Detection } from "./faces.ts";
import type { Manifest, QualityRules, Ramp } from "./settings.ts";

export interface Quality {
  word: string;
  score: number;
}

// `crop` is what the network sees: planes of height times width.
export function judge(
  { box, landmarks }: Detection,
  crop: Uint8Array | Uint8ClampedArray,
  { height, width, channels }: Manifest["input"],
  rules: QualityRules,
): Quality {
  const size = height * width;
  const grey = Float32Array.from({ length: size }, (_, pixel) => {
    let sum = 0;
    for (let plane = 0; plane < channels; plane += 1) sum += crop[plane * size + pixel];
    return sum / channels;
  });
  const mean = grey.reduce((sum, value) => sum + value, 0) / size;
  const variance = grey.reduce((sum, value) => sum + (value - mean) ** 2, 0) / size;
  const measured: [Ramp, number][] = [
    [rules.small, box[3] - box[1]],
    [rules.faint, Math.sqrt(variance)],
    [rules.blurred, detail(grey, height, width) / Math.max(variance, 1)],
    [rules.profile, yawByFive(landmarks, rules.turn_by_nose)],
  ];
  const scores = measured.map(([ramp, value]) => clip((value - ramp.nothing) / (ramp.enough - ramp.nothing)));
  const score = Math.min(...scores);
  return { word: score < 0.5 ? measured[scores.indexOf(score)][0].word : rules.good, score };
}

const clip = (value: number) => Math.min(Math.max(value, 0), 1);

// Mean square of the Laplacian.
function detail(grey: Float32Array, height: number, width: number): number {
  let sum = 0;
  for (let y = 1; y < height - 1; y += 1) {
    for (let x = 1; x < width - 1; x += 1) {
      const place = y * width + x;
      const around = grey[place - width] + grey[place + width] + grey[place - 1] + grey[place + 1];
      sum += (around - 4 * grey[place]) ** 2;
    }
  }
  return sum / ((height - 2) * (width - 2));
}

// Degrees to either side, roughly, by how far the nose lies off the middle of the eyes.
function yawByFive(landmarks: [number, number][], turnByNose: number): number {
  if (landmarks.length !== 5) return 0;
  const [right, left, nose] = landmarks;
  const across = [left[0] - right[0], left[1] - right[1]];
  const length = Math.max(Math.hypot(across[0], across[1]), 1e-6);
  const off = [0, 1].reduce((sum, side) => sum + (nose[side] - (right[side] + left[side]) / 2) * across[side], 0);
  return Math.min((turnByNose * Math.abs(off)) / length ** 2, 90);
}
