// Frames of a video element as bitmaps, reduced where that is enough, with boxes in the video's own pixels.

import type { Result } from "../mien/index.ts";
import type { FrameReader } from "./engine.ts";

// As the service's live page sends them.
export const LIVE_PX = 640;
// Beyond it some browsers have no canvas.
export const LARGEST_PIXELS = 16_000_000;

export function scaleResult(result: Result, width: number, height: number): Result {
  const [x, y] = [width / result.width, height / result.height];
  if (x === 1 && y === 1) return result;
  const faces = result.faces.map((face) => ({
    ...face,
    box: { x: face.box.x * x, y: face.box.y * y, width: face.box.width * x, height: face.box.height * y },
    landmarks: face.landmarks.map(([left, top]): [number, number] => [left * x, top * y]),
  }));
  return { ...result, width, height, faces };
}

export async function readFrame(
  reader: FrameReader,
  video: HTMLVideoElement,
  timeS: number,
  longestPx = Infinity,
): Promise<Result> {
  const { videoWidth: width, videoHeight: height } = video;
  const ratio = Math.min(1, longestPx / Math.max(width, height), Math.sqrt(LARGEST_PIXELS / (width * height)));
  const bitmap = await createImageBitmap(video, {
    resizeWidth: Math.max(1, Math.round(width * ratio)),
    resizeHeight: Math.max(1, Math.round(height * ratio)),
  });
  return scaleResult(await reader.read(bitmap, timeS), width, height);
}
