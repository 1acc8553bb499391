// What came of a picture, shaped as the service's JSON, and its rows as `mien analyze` writes them.

import type { Affect } from "./affect.ts";
import type { Rules } from "./settings.ts";

export interface Face {
  face: number;
  track_id?: number;
  top: string;
  confidence: number;
  abstained: boolean;
  probabilities: Record<string, number>;
  raw?: Record<string, number>;
  box: { x: number; y: number; width: number; height: number };
  landmarks: [number, number][];
  detection_score: number;
  quality: string;
  quality_score: number;
  affect: Affect | null;
  model: string;
  detector: string;
}

export interface Result {
  source: string;
  frame: number;
  time_s: number;
  width: number;
  height: number;
  faces: Face[];
}

export type Cell = string | number | null;
export type Row = Record<string, Cell>;

export function topOf(probabilities: Record<string, number>): string {
  return Object.keys(probabilities).reduce((best, label) => (probabilities[label] > probabilities[best] ? label : best));
}

// The columns of a row; `moving` adds those of each frame alone, as `mien.reading.results.columns`.
export function listColumns(rules: Rules, labels: string[], moving: boolean): string[] {
  const further = moving ? [...labels.map((label) => `raw_${label}`), "raw_top"] : [];
  return [...rules.columns.before, ...labels, ...rules.columns.after, ...further];
}

const rounded = (value: number, digits: number) => Number(value.toFixed(digits));

function toCells(face: Face): Row {
  const place = Object.entries(face.box).map(([side, value]) => [side, rounded(value, 1)]);
  const shares = Object.entries(face.probabilities).map(([label, value]) => [label, rounded(value, 4)]);
  const affect = Object.entries(face.affect?.values ?? {}).map(([name, value]) => [name, value && rounded(value, 4)]);
  const raw = Object.entries(face.raw ?? {}).map(([label, value]) => [`raw_${label}`, rounded(value, 4)]);
  return {
    track_id: face.track_id ?? null,
    face: face.face,
    success: 1,
    detection_score: rounded(face.detection_score, 4),
    ...Object.fromEntries([...place, ...shares, ...affect, ...raw]),
    top: face.top,
    confidence: rounded(face.confidence, 4),
    abstained: Number(face.abstained),
    quality: face.quality,
    quality_score: rounded(face.quality_score, 4),
    model: face.model,
    detector: face.detector,
    affect_source: face.affect?.source ?? null,
    ...(face.raw ? { raw_top: topOf(face.raw) } : {}),
  };
}

// A row a face; one with `success` 0 and empty cells for a picture without.
export function toRows(result: Result, columns: string[]): Row[] {
  const head: Row = { source: result.source, frame: result.frame, time_s: rounded(result.time_s, 4) };
  const found: Row[] = result.faces.length ? result.faces.map(toCells) : [{ success: 0 }];
  return found.map((cells) => {
    const row: Row = { ...head, ...cells };
    return Object.fromEntries(columns.map((name) => [name, row[name] ?? null]));
  });
}

const WHOLE = new Set(["frame", "track_id", "face", "success", "abstained"]);

// Numbers as Python prints them: 1.0 where a column holds fractions.
function toText(name: string, value: Cell): string {
  if (value === null) return "";
  if (typeof value === "number") return Number.isInteger(value) && !WHOLE.has(name) ? `${value}.0` : String(value);
  return /[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}

export function toCsv(rows: Row[], columns: string[]): string {
  const lines = rows.map((row) => columns.map((name) => toText(name, row[name])).join(","));
  return [columns.join(","), ...lines, ""].join("\n");
}

export function toJsonLines(rows: Row[]): string {
  return rows.map((row) => `${JSON.stringify(row)}\n`).join("");
}
