// A video file, sampled at a steady rate from its beginning to its end.

import type { Result } from "../mien/index.ts";
import { byId, options, setAspect, trouble, video } from "./elements.ts";
import { readFrame } from "./frames.ts";
import { loadEngine } from "./local.ts";
import type { Mode, Screen } from "./mode.ts";

export class VideoMode implements Mode {
  readonly title = "A video, analyzed on this device";
  readonly text = "Choose a video, or drop it here. It is read by this page alone and goes nowhere.";
  readonly action = "Choose a video";
  readonly moving = true;
  results: Result[] = [];
  running = false;
  paused = false;
  private file: File | null = null;
  private address = "";
  private resume: () => void = () => {};

  constructor(private readonly screen: Screen) {}

  enter(): void {
    video.hidden = false;
    if (this.address) video.src = this.address;
  }

  leave(): void {
    this.stop();
    video.removeAttribute("src");
    video.load();
    video.hidden = true;
  }

  async start(): Promise<void> {
    const input = byId<HTMLInputElement>("files");
    [input.accept, input.multiple] = ["video/*", false];
    input.click();
  }

  async take([file]: File[]): Promise<void> {
    this.clear();
    this.file = file;
    this.address = URL.createObjectURL(file);
    video.src = this.address;
    try {
      await loaded(video);
    } catch {
      this.clear();
      return trouble("The video cannot be read", `${file.name}: not a video that this browser plays; try MP4 or WebM.`);
    }
    setAspect(video.videoWidth, video.videoHeight);
    await this.run();
  }

  async again(): Promise<void> {
    if (this.file) await this.take([this.file]);
  }

  private async run(): Promise<void> {
    const rate = Number(byId<HTMLSelectElement>("sampling").value);
    const { engine } = loadEngine();
    const reader = await engine.open(this.file!.name, false, options());
    const mine = this.file;
    this.running = true;
    this.screen.changed();
    try {
      for (let frame = 0; this.running && this.file === mine && frame / rate < video.duration; frame += 1) {
        if (this.paused) await new Promise<void>((done) => (this.resume = done));
        const started = performance.now();
        await seek(video, frame / rate);
        const result = await readFrame(reader, video, frame / rate);
        if (this.file !== mine) break;
        this.results.push(result);
        this.screen.measure(performance.now() - started);
        this.screen.show(result);
      }
    } catch (error) {
      trouble("The video cannot be analyzed", error instanceof Error ? error.message : String(error));
    } finally {
      reader.close();
      if (this.file === mine) this.running = false;
      this.screen.changed();
    }
  }

  pause(): void {
    this.paused = !this.paused;
    if (!this.paused) this.resume();
  }

  seek(timeS: number): void {
    if (this.running || !this.results.length) return;
    const gap = (result: Result) => Math.abs(result.time_s - timeS);
    const nearest = this.results.reduce((best, result) => (gap(result) < gap(best) ? result : best));
    video.currentTime = nearest.time_s;
    this.screen.show(nearest);
    this.screen.changed();
  }

  stop(): void {
    this.running = this.paused = false;
    this.resume();
  }

  clear(): void {
    this.stop();
    if (this.address) URL.revokeObjectURL(this.address);
    [this.results, this.file, this.address] = [[], null, ""];
    video.removeAttribute("src");
    video.load();
  }
}

function loaded(element: HTMLVideoElement): Promise<void> {
  return new Promise((done, failed) => {
    element.onloadeddata = () => done();
    element.onerror = () => failed(element.error);
  });
}

function seek(element: HTMLVideoElement, timeS: number): Promise<void> {
  return new Promise((done, failed) => {
    element.onseeked = () => done();
    element.onerror = () => failed(new Error(element.error?.message || "the browser cannot decode it"));
    element.currentTime = timeS;
  });
}
