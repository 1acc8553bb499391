// Photos from files: each analyzed, one shown.

import type { Result } from "../mien/index.ts";
import { byId, options, photo, setAspect, trouble } from "./elements.ts";
import { LARGEST_PIXELS, scaleResult } from "./frames.ts";
import { loadEngine } from "./local.ts";
import type { Mode, Screen } from "./mode.ts";

interface Entry {
  file: File;
  address: string;
  result: Result;
}

export class PhotoMode implements Mode {
  readonly title = "Photos, analyzed on this device";
  readonly text = "Choose photos, or drop them here. They are read by this page alone and go nowhere.";
  readonly action = "Choose photos";
  readonly moving = false;
  readonly paused = false;
  running = false;
  private entries: Entry[] = [];
  private chosen = 0;

  constructor(private readonly screen: Screen) {}

  get results(): Result[] {
    return this.entries.map((entry) => entry.result);
  }

  enter(): void {
    if (this.entries.length) this.choose(this.chosen);
  }

  leave(): void {
    photo.hidden = true;
  }

  async start(): Promise<void> {
    const input = byId<HTMLInputElement>("files");
    [input.accept, input.multiple] = ["image/*", true];
    input.click();
  }

  async take(files: File[]): Promise<void> {
    this.running = true;
    const failed: string[] = [];
    for (const file of files) {
      if (!this.running) break;
      try {
        this.entries.push({ file, address: URL.createObjectURL(file), result: await this.read(file) });
        this.choose(this.entries.length - 1);
      } catch (error) {
        failed.push(`${file.name}: ${error instanceof Error ? error.message : error}`);
      }
    }
    this.running = false;
    if (failed.length) trouble(failed.length === 1 ? "A photo cannot be read" : "Some photos cannot be read", failed.join(" "));
  }

  private async read(file: File): Promise<Result> {
    const started = performance.now();
    let bitmap: ImageBitmap;
    try {
      bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
    } catch {
      throw new Error("not an image that this browser reads; expected JPEG, PNG, WebP, GIF, BMP or AVIF");
    }
    const { width, height } = bitmap;
    const ratio = Math.sqrt(LARGEST_PIXELS / (width * height));
    if (ratio < 1) {
      const [resizeWidth, resizeHeight] = [Math.floor(width * ratio), Math.floor(height * ratio)];
      bitmap = await createImageBitmap(bitmap, { resizeWidth, resizeHeight });
    }
    const { engine } = loadEngine();
    const result = scaleResult(await engine.readPhoto(bitmap, file.name, options()), width, height);
    this.screen.measure(performance.now() - started);
    return result;
  }

  private choose(index: number): void {
    this.chosen = index;
    const { address, result, file } = this.entries[index];
    photo.src = address;
    photo.alt = file.name;
    photo.hidden = false;
    setAspect(result.width, result.height);
    this.list();
    this.screen.changed();
    this.screen.show(result);
  }

  private list(): void {
    const items = this.entries.map((entry, index) => {
      const [item, button, image, name] = ["li", "button", "img", "span"].map((tag) => document.createElement(tag));
      (button as HTMLButtonElement).type = "button";
      if (index === this.chosen) button.setAttribute("aria-current", "true");
      (image as HTMLImageElement).src = entry.address;
      (image as HTMLImageElement).alt = "";
      name.textContent = entry.file.name;
      button.append(image, name);
      button.addEventListener("click", () => {
        this.choose(index);
        byId("photos").querySelectorAll("button")[index].focus();
      });
      item.append(button);
      return item;
    });
    byId("photos").replaceChildren(...items);
  }

  async again(): Promise<void> {
    for (const entry of this.entries) entry.result = await this.read(entry.file);
    if (this.entries.length) this.choose(this.chosen);
  }

  stop(): void {
    this.running = false;
  }

  clear(): void {
    for (const { address } of this.entries) URL.revokeObjectURL(address);
    [this.entries, this.chosen] = [[], 0];
    photo.hidden = true;
    photo.removeAttribute("src");
    byId("photos").replaceChildren();
  }
}
