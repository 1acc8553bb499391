// What the page and its worker say to each other.

import type { Rules } from "../mien/index.ts";

export interface Options {
  labels: string;
  minConfidence: number;
}

export type Question =
  | { kind: "load" }
  | { kind: "photo"; bitmap: ImageBitmap; source: string; options: Options }
  | { kind: "open"; stream: number; source: string; live: boolean; options: Options }
  | { kind: "frame"; stream: number; bitmap: ImageBitmap; timeS: number }
  | { kind: "close"; stream: number };

export interface Loaded {
  rules: Rules;
  model: string;
  detector: string;
}

export interface Answer {
  id: number;
  value?: unknown;
  error?: string;
}
