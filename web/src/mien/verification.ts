// A second look at what the detector takes for faces, each alone, upright and at one size: `mien.faces.verification`.

import type { Detection } from "./faces.ts";
import type { Graph } from "./graph.ts";
import { resize, warpSquare, type Picture } from "./pictures.ts";
import type { VerifierRules } from "./settings.ts";

export class Verifier {
  constructor(
    private readonly graph: Graph,
    readonly rules: VerifierRules,
  ) {}

  // Candidates in a grey picture, the best first, with the scores that count.
  async judge(grey: Picture, found: Detection[]): Promise<Detection[]> {
    const { rules } = this;
    const best = found.slice(0, rules.most);
    if (!best.length) return best;
    const squares = cutCandidates(grey, best, rules.side_px, rules.surroundings);
    const outputs = await this.graph.run(rules.input, squares, [best.length, rules.side_px, rules.side_px]);
    const seen = outputs[rules.output];
    const isCloseUp = Math.max(grey.width, grey.height) <= rules.close_up_px;
    const [constant, own, other, fills] = rules.fusion;
    const judged = best.map((one, row) => {
      const score = Math.min(Math.max(one.score, 1e-6), 1 - 1e-6);
      const isLarge = isCloseUp && one.box[3] - one.box[1] >= Math.min(grey.width, grey.height) / 2;
      const value = constant + own * Math.log(score / (1 - score)) + other * seen[row] + (isLarge ? fills : 0);
      return { ...one, score: 1 / (1 + Math.exp(-Math.min(Math.max(value, -30), 30))) };
    });
    return judged.sort((one, two) => two.score - one.score);
  }
}

// Each turned upright by its landmarks; beyond the edge the picture is repeated.
function cutCandidates(grey: Picture, found: Detection[], side: number, surroundings: number): Uint8Array {
  const levels = [grey];
  const squares = new Uint8Array(found.length * side * side);
  found.forEach(({ box, landmarks }, row) => {
    const length = surroundings * Math.sqrt(Math.max((box[2] - box[0]) * (box[3] - box[1]), 1));
    // Shrinking by more than a half in one step would alias.
    const depth = Math.max(0, Math.floor(Math.log2(length / side) + 0.3));
    while (levels.length <= depth && Math.min(levels[levels.length - 1].width, levels[levels.length - 1].height) >= 2) {
      const { width, height } = levels[levels.length - 1];
      levels.push(resize(levels[levels.length - 1], Math.floor(height / 2), Math.floor(width / 2)));
    }
    const level = levels[Math.min(depth, levels.length - 1)];
    const [downX, downY] = findDown(landmarks);
    const [ratioX, ratioY] = [grey.width / level.width, grey.height / level.height];
    const [middleX, middleY] = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
    // Pixel middles count, on both sides.
    const map = (across: number, along: number): [number, number, number] => {
      const [x, y] = [across * (side / length), along * (side / length)];
      return [x * ratioX, y * ratioY, x * (0.5 * ratioX - middleX) + y * (0.5 * ratioY - middleY) + side / 2 - 0.5];
    };
    squares.set(warpSquare(level, [...map(downY, -downX), ...map(downX, downY)], side).data, row * side * side);
  });
  return squares;
}

// From the eyes to the mouth, of length 1.
function findDown(landmarks: [number, number][]): [number, number] {
  const [x, y] = [0, 1].map((axis) => landmarks[3][axis] + landmarks[4][axis] - landmarks[0][axis] - landmarks[1][axis]);
  const length = Math.hypot(x, y);
  return length > 1e-3 ? [x / length, y / length] : [0, 1];
}
