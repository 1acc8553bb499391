// PNG files of 8-bit RGB, as Python writes them, to pixels: a browser decodes these to the same bytes.

import { readFileSync } from "node:fs";
import { inflateSync } from "node:zlib";
import type { Picture } from "../src/mien/index.ts";

export function readPng(path: string): Picture {
  const file = readFileSync(path);
  const parts: Buffer[] = [];
  let [width, height] = [0, 0];
  for (let place = 8; place < file.length; ) {
    const size = file.readUInt32BE(place);
    const kind = file.toString("latin1", place + 4, place + 8);
    const content = file.subarray(place + 8, place + 8 + size);
    if (kind === "IHDR") {
      [width, height] = [content.readUInt32BE(0), content.readUInt32BE(4)];
      if (content[8] !== 8 || content[9] !== 2 || content[12]) throw new Error(`${path}: expected plain 8-bit RGB`);
    }
    if (kind === "IDAT") parts.push(content);
    place += size + 12;
  }
  return { width, height, channels: 3, data: unfilter(inflateSync(Buffer.concat(parts)), width, height) };
}

function unfilter(lines: Buffer, width: number, height: number): Uint8Array {
  const row = width * 3;
  const out = new Uint8Array(row * height);
  for (let y = 0; y < height; y += 1) {
    const filter = lines[y * (row + 1)];
    for (let x = 0; x < row; x += 1) {
      const left = x >= 3 ? out[y * row + x - 3] : 0;
      const above = y ? out[(y - 1) * row + x] : 0;
      const corner = x >= 3 && y ? out[(y - 1) * row + x - 3] : 0;
      const guess = [0, left, above, (left + above) >> 1, paeth(left, above, corner)][filter];
      out[y * row + x] = lines[y * (row + 1) + 1 + x] + guess;
    }
  }
  return out;
}

function paeth(left: number, above: number, corner: number): number {
  const [a, b, c] = [left, above, corner].map((value) => Math.abs(left + above - corner - value));
  if (a <= b && a <= c) return left;
  return b <= c ? above : corner;
}
