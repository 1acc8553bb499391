// Frames analyzed on this device, in the place of `live/stream.js`, which sends them to the server: the same handlers.

import type { Result } from "../mien/index.ts";
import { Engine, type FrameReader } from "./engine.ts";
import { LIVE_PX, readFrame } from "./frames.ts";
import type { Loaded, Options } from "./protocol.ts";

export interface Handlers {
  ready(message: { labels: string[]; model: string; detector: string }): void;
  result(result: Result, milliseconds: number): void;
  problem(problem: { status: number; title: string; detail: string }): void;
}

let engine: Engine | undefined;
let loading: Promise<Loaded> | undefined;

// One engine a page: the model is loaded once.
export function loadEngine(): { engine: Engine; loaded: Promise<Loaded> } {
  engine ??= new Engine(new URL("worker.js", import.meta.url));
  loading ??= engine.load();
  return { engine, loaded: loading };
}

export class LocalStream {
  private reader: FrameReader | null = null;
  private inFlight = false;
  private closed = false;
  private readonly startedAt = performance.now();

  constructor(
    private readonly on: Handlers,
    options: Options = { labels: "seven", minConfidence: 0 },
    source = "camera",
  ) {
    void this.open(source, options);
  }

  get isReady(): boolean {
    return this.reader !== null && !this.inFlight;
  }

  private async open(source: string, options: Options): Promise<void> {
    try {
      const { engine, loaded } = loadEngine();
      const { rules, model, detector } = await loaded;
      const reader = await engine.open(source, true, options);
      if (this.closed) return reader.close();
      this.reader = reader;
      this.on.ready({ labels: rules.labels[options.labels], model, detector });
    } catch (error) {
      this.fail(error);
    }
  }

  async send(video: HTMLVideoElement): Promise<void> {
    const sentAt = performance.now();
    this.inFlight = true;
    try {
      const result = await readFrame(this.reader!, video, (sentAt - this.startedAt) / 1000, LIVE_PX);
      if (!this.closed) this.on.result(result, performance.now() - sentAt);
    } catch (error) {
      if (!this.closed) this.fail(error);
    } finally {
      this.inFlight = false;
    }
  }

  private fail(error: unknown): void {
    const detail = error instanceof Error ? error.message : String(error);
    this.on.problem({ status: 0, title: "This device cannot analyze", detail });
  }

  close(): void {
    this.closed = true;
    this.reader?.close();
    this.reader = null;
  }
}
