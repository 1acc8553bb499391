// The numbers that Python wrote, and what counts as the same.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Box } from "../src/mien/index.ts";
import { overlap } from "../src/mien/faces.ts";
import { loadReader, setUpRuntime, type Face, type Reader, type Result } from "../src/mien/index.ts";

export const WEB = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
export const GOLDEN = path.join(WEB, "tests", "golden");
export const MIN_OVERLAP = 0.95;
export const MAX_DIFFERENCE = 0.01;
// A leaning face is resampled to 32nds of a pixel, and the last digit of a landmark decides which: int8 may step on it.
const MAX_LEANING = 0.02;
// A score so near to the threshold may fall on either side of it.
const MARGIN = 0.02;

export interface GoldenFace {
  box: Box;
  score: number;
  probabilities: Record<string, number>;
  top: string;
  leaning: boolean;
  track?: number;
}

export interface GoldenPicture {
  width: number;
  height: number;
  faces: GoldenFace[];
}

export const readGolden = (name: string) => JSON.parse(readFileSync(path.join(GOLDEN, name), "utf-8"));

export async function loadHere(): Promise<Reader> {
  setUpRuntime({ threads: 1 });
  return loadReader(async (name) => {
    const bytes = readFileSync(path.join(WEB, "model", name));
    return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  });
}

const toBox = ({ box }: Face): Box => [box.x, box.y, box.x + box.width, box.y + box.height];

// Every face of Python's is there, framed and read alike, and no other one but those on the brink.
export function compare(found: Result, expected: GoldenPicture, floor: number, name: string): number {
  assert.equal(found.width, expected.width, name);
  const rest = new Set(found.faces);
  let largest = 0;
  for (const golden of expected.faces) {
    const [best] = [...rest].sort((one, two) => overlap(toBox(two), golden.box) - overlap(toBox(one), golden.box));
    const isThere = best !== undefined && overlap(toBox(best), golden.box) >= MIN_OVERLAP;
    if (!isThere && golden.score < floor + MARGIN) continue;
    assert.ok(isThere, `${name}: no face at ${golden.box}, but at ${found.faces.map(toBox).join(" and ")}`);
    rest.delete(best);
    const differences = Object.entries(golden.probabilities).map(([label, value]) =>
      Math.abs(best.probabilities[label] - value),
    );
    const difference = Math.max(...differences);
    assert.ok(difference <= (golden.leaning ? MAX_LEANING : MAX_DIFFERENCE), `${name}: probabilities differ by ${difference} at ${golden.box}`);
    if (!golden.leaning) largest = Math.max(largest, difference);
    const isTie = Math.abs(golden.probabilities[golden.top] - golden.probabilities[best.top]) <= 2 * MAX_DIFFERENCE;
    assert.ok(best.top === golden.top || isTie, `${name}: ${best.top}, not ${golden.top}`);
    if (golden.track !== undefined) assert.equal(best.track_id, golden.track, name);
  }
  for (const face of rest) {
    assert.ok(face.detection_score < floor + MARGIN, `${name}: a face that Python does not find at ${toBox(face)}`);
  }
  return largest;
}
