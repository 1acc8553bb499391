// The worker as functions that the page awaits.

import type { Result } from "../mien/index.ts";
import type { Answer, Loaded, Options, Question } from "./protocol.ts";

export class Engine {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, { done: (value: never) => void; failed: (error: Error) => void }>();
  private count = 0;

  constructor(address: URL) {
    this.worker = new Worker(address, { type: "module" });
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      const asked = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.error !== undefined) asked?.failed(new Error(data.error));
      else asked?.done(data.value as never);
    };
    this.worker.onerror = (event) => {
      const error = new Error(event.message || "the part of the page that analyzes could not be started; reload the page");
      for (const { failed } of this.waiting.values()) failed(error);
      this.waiting.clear();
    };
  }

  load(): Promise<Loaded> {
    return this.ask({ kind: "load" });
  }

  readPhoto(bitmap: ImageBitmap, source: string, options: Options): Promise<Result> {
    return this.ask({ kind: "photo", bitmap, source, options }, [bitmap]);
  }

  async open(source: string, live: boolean, options: Options): Promise<FrameReader> {
    const stream = (this.count += 1);
    await this.ask({ kind: "open", stream, source, live, options });
    return {
      read: (bitmap, timeS) => this.ask<Result>({ kind: "frame", stream, bitmap, timeS }, [bitmap]),
      close: () => void this.ask({ kind: "close", stream }),
    };
  }

  private ask<Value>(question: Question, given: Transferable[] = []): Promise<Value> {
    const id = (this.count += 1);
    return new Promise((done, failed) => {
      this.waiting.set(id, { done, failed });
      this.worker.postMessage({ ...question, id }, given);
    });
  }
}

export interface FrameReader {
  read(bitmap: ImageBitmap, timeS: number): Promise<Result>;
  close(): void;
}
