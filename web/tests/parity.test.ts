// What Python reads is what is read here: pictures of this folder, the shared photos where they are, a stream, a table.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { cutSquare, listColumns, resize, Stream, toCsv, toRows } from "../src/mien/index.ts";
import { compare, GOLDEN, loadHere, readGolden, type GoldenPicture } from "./golden.ts";
import { readPng } from "./png.ts";

const reader = await loadHere();
const floor = reader.rules.detector.min_score;
const own = readGolden("own.json");

async function compareAll(folder: string, pictures: Record<string, GoldenPicture>, ending: string) {
  let [faces, largest] = [0, 0];
  for (const [name, expected] of Object.entries(pictures)) {
    const result = await reader.read(readPng(path.join(folder, name + ending)), name);
    largest = Math.max(largest, compare(result, expected, floor, name));
    faces += result.faces.length;
  }
  return `${Object.keys(pictures).length} pictures, ${faces} faces, upright ones within ${largest.toExponential(1)}`;
}

test("pictures are read as in Python", async (t) => {
  assert.equal(own.model, reader.classifier.manifest.name);
  t.diagnostic(await compareAll(GOLDEN, own.photos, ""));
});

test("the shared photos are read as in Python", async (t) => {
  const folder = process.env.MIEN_TEST_PHOTOS;
  if (!folder || !existsSync(folder)) return t.skip("no photos: MIEN_TEST_PHOTOS is their folder, as PNG files");
  t.diagnostic(await compareAll(folder, readGolden("photos.json").photos, ".png"));
});

test("a stream is followed and smoothed as in Python", async () => {
  const { picture, window_px, step_s, places, frames } = own.stream;
  const whole = readPng(path.join(GOLDEN, picture));
  const stream = new Stream(reader, "windows", false);
  for (const [index, [x, y]] of places.entries()) {
    const result = await stream.read(cutSquare(whole, x, y, window_px), index * step_s);
    compare(result, frames[index], floor, `frame ${index}`);
  }
});

test("pictures are brought to another size as in Python, to the byte", () => {
  for (const { from, to, sha256 } of own.resizes) {
    const [height, width, channels] = from;
    const data = Uint8Array.from({ length: height * width * channels }, (_, place) => (place * place * 31 + place * 17) % 256);
    const found = resize({ width, height, channels, data }, to[0], to[1]);
    assert.equal(createHash("sha256").update(found.data).digest("hex"), sha256, `${from} to ${to}`);
  }
});

test("a table is written as mien analyze writes it", async () => {
  const { picture, csv } = own.table;
  const columns = listColumns(reader.rules, reader.labels, false);
  const result = await reader.read(readPng(path.join(GOLDEN, picture)), picture);
  const [header, ...lines] = toCsv(toRows(result, columns), columns).trimEnd().split("\n");
  const [goldenHeader, ...goldenLines] = csv.trimEnd().split("\n");
  assert.equal(header, goldenHeader);
  assert.equal(lines.length, goldenLines.length);
  lines.forEach((line, row) => {
    line.split(",").forEach((cell, column) => {
      const golden = goldenLines[row].split(",")[column];
      const isNumber = golden !== "" && !Number.isNaN(Number(golden));
      if (isNumber) assert.ok(Math.abs(Number(cell) - Number(golden)) <= 0.11, `${header.split(",")[column]}: ${cell}`);
      else assert.equal(cell, golden);
      // 1.0 stays 1.0, and a whole number whole.
      assert.equal(cell.includes("."), golden.includes("."), `${header.split(",")[column]}: ${cell}, not ${golden}`);
    });
  });
});
