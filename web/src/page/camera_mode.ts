// The visitor's camera, frame after frame.

import { explain, listCameras, openCamera } from "../../../src/mien/apps/live/camera.js";
import type { Result } from "../mien/index.ts";
import { byId, options, setAspect, trouble, video } from "./elements.ts";
import { LocalStream } from "./local.ts";
import { MOST_RESULTS, type Mode, type Screen } from "./mode.ts";

export class CameraMode implements Mode {
  readonly title = "See what your face shows";
  readonly text = "Your camera is analyzed on this device. Nothing is sent or stored.";
  readonly action = "Start camera";
  readonly moving = true;
  results: Result[] = [];
  paused = false;
  private camera: MediaStream | null = null;
  private stream: LocalStream | null = null;

  constructor(private readonly screen: Screen) {}

  get running(): boolean {
    return this.camera !== null;
  }

  enter(): void {
    video.hidden = false;
  }

  leave(): void {
    this.stop();
    video.hidden = true;
  }

  async start(): Promise<void> {
    this.stop();
    this.clear();
    const select = byId<HTMLSelectElement>("camera");
    try {
      this.camera = await openCamera(select.disabled ? "" : select.value);
    } catch (error) {
      if ((error as DOMException).name === "OverconstrainedError") select.disabled = true;
      return trouble(...explain(error));
    }
    const [track] = this.camera.getVideoTracks();
    track.onended = () => {
      this.stop();
      trouble("Camera disconnected", "It was unplugged, or the browser released it. Connect it, then try again.");
    };
    video.srcObject = this.camera;
    video.onloadedmetadata = () => setAspect(video.videoWidth, video.videoHeight);
    await video.play();
    await fillCameras(select, track.getSettings().deviceId ?? "");
    await this.again();
    this.pump(this.camera);
  }

  async again(): Promise<void> {
    this.stream?.close();
    if (!this.camera) return;
    this.clear();
    const stream: LocalStream = new LocalStream(
      {
        ready: () => this.screen.changed(),
        result: (result, milliseconds) => this.keep(result, milliseconds),
        problem: ({ title, detail }) => (this.stop(), trouble(title, detail)),
      },
      options(),
    );
    this.stream = stream;
  }

  private keep(result: Result, milliseconds: number): void {
    if (this.paused) return;
    if (this.results.length >= MOST_RESULTS) this.results.shift();
    this.results.push(result);
    this.screen.measure(milliseconds);
    this.screen.show(result);
  }

  // The newest frame is taken whenever the one before it is done.
  private pump(mine: MediaStream): void {
    if (this.camera !== mine) return;
    const isOpen = !this.paused && !document.hidden && video.readyState >= 2;
    if (isOpen && this.stream?.isReady) void this.stream.send(video);
    requestAnimationFrame(() => this.pump(mine));
  }

  pause(): void {
    this.paused = !this.paused;
    if (this.paused) video.pause();
    else void video.play();
  }

  stop(): void {
    this.stream?.close();
    this.camera?.getTracks().forEach((track) => ((track.onended = null), track.stop()));
    [this.camera, this.stream, this.paused] = [null, null, false];
    video.srcObject = null;
    this.screen.show(null);
  }

  clear(): void {
    this.results = [];
  }
}

async function fillCameras(select: HTMLSelectElement, current: string): Promise<void> {
  const cameras = await listCameras();
  const choices = cameras.map((device, index) => new Option(device.label || `Camera ${index + 1}`, device.deviceId));
  select.replaceChildren(...choices);
  select.value = current;
  select.disabled = !cameras.length;
}
