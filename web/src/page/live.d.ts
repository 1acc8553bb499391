// The service's live page, whose camera and cards this page shares.

declare module "*/camera.js" {
  export function explain(error: unknown): [string, string];
  export function openCamera(deviceId: string): Promise<MediaStream>;
  export function listCameras(): Promise<MediaDeviceInfo[]>;
}

declare module "*/faces.js" {
  import type { Face, Result } from "../mien/index.ts";
  export const COLOURS: Record<string, string>;
  export function verdict(face: Face, threshold: number): { isSure: boolean; text: string; colour: string };
  export function percent(value: number): string;
  export function drawBoxes(
    canvas: HTMLCanvasElement,
    result: Result | null,
    options: { mirrored: boolean; threshold: number },
  ): void;
  export function showCards(list: HTMLElement, faces: Face[], labels: string[], threshold: number): void;
}
