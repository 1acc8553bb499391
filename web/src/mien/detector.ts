// Mien's own face detector: `mien.faces.mien_detector`.

import { keepInside, overlap, shrinkInTurn, suppress, type Box, type Detection, type Shrunk } from "./faces.ts";
import { roundHalfEven, toGrey, type Picture } from "./pictures.ts";
import type { Graph } from "./graph.ts";
import type { DetectorRules } from "./settings.ts";
import type { Verifier } from "./verification.ts";

export class Detector {
  constructor(
    private readonly graph: Graph,
    private readonly verifier: Verifier,
    readonly rules: DetectorRules,
  ) {}

  get longestPx(): number {
    return this.rules.longest_px;
  }

  // The best score first; `longestPx` reduces the picture further, for faces that are known to be large.
  async detect(image: Picture, longestPx?: number): Promise<Detection[]> {
    const { rules } = this;
    if (!image.width || !image.height) return [];
    const longest = Math.max(image.height, image.width);
    const sides = [longestPx ?? rules.longest_px];
    if (longestPx === undefined) {
      const larger = this.largerLook(longest);
      if (larger !== null) sides.push(larger);
      if (longest > rules.close_up_px) sides.push(rules.close_up_px);
    }
    const looks: Detection[][] = [];
    // Grey first: shrinking in colour is more work, and only brightness counts.
    for (const shrunk of shrinkInTurn(toGrey(image), sides)) looks.push(await this.look(shrunk));
    const scales = sides.map((side) => Math.min(1, side / longest));
    const found = agree(looks, scales, rules).filter(({ score }) => score >= rules.min_score);
    return keepInside(suppress(found, rules.max_overlap), image.height, image.width);
  }

  private largerLook(longest: number): number | null {
    const { rules } = this;
    const wanted = roundHalfEven(longest * (rules.smallest_px / rules.min_face_px));
    const larger = Math.min(wanted, longest, rules.largest_px);
    return larger >= rules.least_gain * rules.longest_px ? larger : null;
  }

  private async look({ small: grey, back }: Shrunk): Promise<Detection[]> {
    // Every stride has to divide the sides; the rest is filled with black.
    const largest = this.rules.strides[this.rules.strides.length - 1];
    const [height, width] = [grey.height, grey.width].map((side) => Math.ceil(side / largest) * largest);
    const padded = new Uint8Array(height * width);
    for (let row = 0; row < grey.height; row += 1) {
      padded.set(grey.data.subarray(row * grey.width, (row + 1) * grey.width), row * width);
    }
    const outputs = await this.graph.run(this.rules.input, padded, [1, height, width]);
    const candidates = suppress(this.decode(outputs[this.rules.output], height, width), this.rules.max_overlap);
    const found = await this.verifier.judge(grey, candidates);
    return found.map(({ box, score, landmarks }) => ({
      box: box.map((value, side) => Math.fround(value * Math.fround(back[side % 2]))) as Box,
      score,
      landmarks: landmarks.map(([x, y]) => [Math.fround(x * Math.fround(back[0])), Math.fround(y * Math.fround(back[1]))]),
    }));
  }

  // Rows of a score's logit, the middle (2), the logarithm of the size (2) and five landmarks (10), in strides from
  // the point; the points of each level row by row.
  private decode(outputs: Float32Array, height: number, width: number): Detection[] {
    const { rules } = this;
    const least = this.verifier.rules.candidate_score;
    const floor = Math.log(Math.max(least, 1e-4) / Math.max(1 - least, 1e-4));
    const found: Detection[] = [];
    const total = rules.strides.reduce((sum, stride) => sum + (height / stride) * (width / stride), 0);
    const size = outputs.length / total;
    let place = 0;
    for (const stride of rules.strides) {
      const columns = width / stride;
      for (let point = 0; point < (height / stride) * columns; point += 1, place += size) {
        if (outputs[place] < floor) continue;
        const x = (point % columns) * stride + stride / 2;
        const y = Math.floor(point / columns) * stride + stride / 2;
        found.push(decodeRow(outputs.subarray(place, place + size), x, y, stride));
      }
    }
    found.sort((one, two) => two.score - one.score);
    return found.slice(0, rules.candidates);
  }
}

// What several looks found, each with the mean of the logits that looks give it who should see it:
// `mien.faces.mien_detector.agree`.
function agree(looks: Detection[][], scales: number[], rules: DetectorRules): Detection[] {
  const logit = (score: number) => {
    const clipped = Math.min(Math.max(Math.fround(score), 1e-6), 1 - 1e-6);
    return Math.log(clipped / (1 - clipped));
  };
  const agreed = looks.flatMap((found, own) =>
    found.map((face) => {
      const height = face.box[3] - face.box[1];
      const logits = [logit(face.score)];
      looks.forEach((others, look) => {
        const seenPx = height * scales[look];
        if (look === own || seenPx < rules.smallest_px || seenPx > rules.largest_face_px) return;
        const same = others.filter(({ box }) => overlap(face.box, box) > rules.same_face);
        logits.push(Math.max(rules.unseen, ...same.map(({ score }) => logit(score))));
      });
      const isLow = height * Math.max(...scales) < rules.smallest_px;
      const mean = logits.reduce((sum, value) => sum + value, 0) / logits.length;
      return { own: logits[0], face: { ...face, score: 1 / (1 + Math.exp((isLow ? rules.low_costs : 0) - mean)) } };
    }),
  );
  // Of looks that agree, the one that is surer has the better landmarks.
  agreed.sort((one, two) => Math.fround(two.face.score) - Math.fround(one.face.score) || two.own - one.own);
  return agreed.map(({ face }) => ({ ...face, score: Math.fround(face.score) }));
}

// In float32 at every step, as NumPy computes it: a place that is rounded otherwise may be a pixel off.
function decodeRow(row: Float32Array, x: number, y: number, stride: number): Detection {
  const f = Math.fround;
  const from = (start: number, value: number) => f(start + f(value * stride));
  const [middleX, middleY] = [from(x, row[1]), from(y, row[2])];
  // Clipped, so that an odd output cannot overflow.
  const half = (value: number) => f(f(f(Math.exp(Math.min(Math.max(value, -4), 5))) * stride) / 2);
  const [halfX, halfY] = [half(row[3]), half(row[4])];
  const landmarks: [number, number][] = [];
  for (let place = 5; place + 1 < row.length; place += 2) {
    landmarks.push([from(x, row[place]), from(y, row[place + 1])]);
  }
  return {
    box: [f(middleX - halfX), f(middleY - halfY), f(middleX + halfX), f(middleY + halfY)],
    score: f(1 / f(1 + f(Math.exp(-row[0])))),
    landmarks,
  };
}
