// Faces found in a picture, and what all looks at it share: `mien.faces.detection`.

import { cutSquare, resize, roundHalfEven, type Picture } from "./pictures.ts";

// x1, y1, x2, y2 in pixels of the picture.
export type Box = [number, number, number, number];

export interface Detection {
  box: Box;
  score: number;
  // Right eye, left eye, nose, right and left mouth corner (the person's right).
  landmarks: [number, number][];
}

// A picture no longer than `longest`, and the factors that lead back; never enlarged.
export function shrink(image: Picture, longest: number): { small: Picture; back: [number, number] } {
  const ratio = Math.min(1, longest / Math.max(image.height, image.width));
  const height = Math.max(1, roundHalfEven(image.height * ratio));
  const width = Math.max(1, roundHalfEven(image.width * ratio));
  return { small: resize(image, height, width), back: [image.width / width, image.height / height] };
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
