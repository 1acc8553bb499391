// One of the page's three ways to get pictures.

import type { Result } from "../mien/index.ts";

export interface Screen {
  show(result: Result | null): void;
  measure(milliseconds: number): void;
  // Something else than the picture changed: buttons, the list of photos.
  changed(): void;
}

export interface Mode {
  readonly title: string;
  readonly text: string;
  readonly action: string;
  // Results are of successive frames, not of single photos.
  readonly moving: boolean;
  readonly results: Result[];
  readonly running: boolean;
  readonly paused: boolean;
  enter(): void;
  leave(): void;
  start(): Promise<void>;
  stop(): void;
  clear(): void;
  // Other labels were chosen.
  again(): Promise<void>;
  pause?(): void;
  take?(files: File[]): Promise<void>;
  seek?(timeS: number): void;
}

// An hour at ten frames a second; what is older is dropped.
export const MOST_RESULTS = 36_000;
