// Faces found in a picture, and what all looks at it share: `mien.faces.detection`.

import { cutSquare, resize, roundHalfEven, warpSquare, type Affine, type Picture } from "./pictures.ts";
import type { CropRules } from "./settings.ts";

// x1, y1, x2, y2 in pixels of the picture.
export type Box = [number, number, number, number];

export interface Detection {
  box: Box;
  score: number;
  // Right eye, left eye, nose, right and left mouth corner (the person's right).
  landmarks: [number, number][];
}

export interface Shrunk {
  small: Picture;
  // The factors that lead back.
  back: [number, number];
}

// A picture no longer than each of the sides, never enlarged, each made of the next larger one: `shrink_in_turn`.
export function shrinkInTurn(image: Picture, sides: number[]): Shrunk[] {
  const made = new Map<number, Shrunk>();
  let small = image;
  for (const side of [...sides].sort((one, two) => two - one)) {
    const ratio = Math.min(1, side / Math.max(image.height, image.width));
    const height = Math.max(1, roundHalfEven(image.height * ratio));
    const width = Math.max(1, roundHalfEven(image.width * ratio));
    small = resize(small, height, width);
    made.set(side, { small, back: [image.width / width, image.height / height] });
  }
  return sides.map((side) => made.get(side)!);
}

export function clipBox(box: Box, height: number, width: number): Box {
  const clip = (value: number, limit: number) => Math.min(Math.max(value, 0), limit);
  return [clip(box[0], width), clip(box[1], height), clip(box[2], width), clip(box[3], height)];
}

// Those whose centre is in the picture, the best score first.
export function keepInside(found: Detection[], height: number, width: number): Detection[] {
  return [...found]
    .sort((one, two) => two.score - one.score)
    .filter(({ box: [x1, y1, x2, y2] }) => {
      const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
      return x >= 0 && y >= 0 && x < width && y < height;
    });
}

// Intersection over union of two boxes.
export function overlap(one: Box, two: Box): number {
  const width = Math.min(one[2], two[2]) - Math.max(one[0], two[0]);
  const height = Math.min(one[3], two[3]) - Math.max(one[1], two[1]);
  const common = Math.max(width, 0) * Math.max(height, 0);
  const area = (box: Box) => (box[2] - box[0]) * (box[3] - box[1]);
  return common / Math.max(area(one) + area(two) - common, 1e-6);
}

// The best first, without those that overlap a better one by more than `limit`.
export function suppress(found: Detection[], limit: number): Detection[] {
  const kept: Detection[] = [];
  for (const face of [...found].sort((one, two) => two.score - one.score)) {
    if (kept.every((other) => overlap(other.box, face.box) <= limit)) kept.push(face);
  }
  return kept;
}

// A square around the centre of a box, `scale` box heights wide: `mien.faces.detection.crop_square`.
export function cropSquare(image: Picture, [x1, y1, x2, y2]: Box, scale: number): Picture {
  const side = Math.max(1, roundHalfEven(scale * (y2 - y1)));
  return cutSquare(image, roundHalfEven((x1 + x2 - side) / 2), roundHalfEven((y1 + y2 - side) / 2), side);
}

// A face as the network is shown it: one that leans is turned upright. `mien.faces.detection.crop_faces`.
export function cropFace(image: Picture, { box, landmarks }: Detection, scale: number, rules: CropRules): Picture {
  const turn = landmarks.length === 5 ? leanOf(landmarks) : 0;
  if (Math.abs(turn) <= (rules.upright_deg * Math.PI) / 180) return cropSquare(image, box, scale);
  // In float32 where NumPy is: a place that is rounded otherwise may be a pixel off.
  const f = Math.fround;
  const [width, height] = [f(box[2] - box[0]), f(box[3] - box[1])];
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const aspect = rules.aspect ** 2;
  // The box is that of a leaning oval, and both its sides tell how high the face is.
  const byHeight = height / Math.sqrt(cos * cos + aspect * sin * sin);
  const byWidth = width / Math.sqrt(sin * sin + aspect * cos * cos);
  const side = Math.max(1, roundHalfEven((scale * (byHeight + byWidth)) / 2));
  const [x, y] = [0, 1].map((axis) => f(f(f(box[axis] + box[axis + 2]) - 1) / 2));
  const middle = (side - 1) / 2;
  const map: Affine = [cos, sin, middle - cos * x - sin * y, -sin, cos, middle + sin * x - cos * y];
  return warpSquare(image, map.map(f) as Affine, side);
}

// By how much a face leans, in radians, from eyes and mouth together: in a profile the eyes alone tell little.
function leanOf([right, left, , mouthRight, mouthLeft]: [number, number][]): number {
  const f = Math.fround;
  const across = [0, 1].map((axis) => f(left[axis] - right[axis]));
  const down = [0, 1].map((axis) => {
    return f(f(f(mouthRight[axis] + mouthLeft[axis]) / 2) - f(f(right[axis] + left[axis]) / 2));
  });
  return f(Math.atan2(f(across[1] - down[0]), f(across[0] + down[1])));
}
