// Pictures as rows of bytes, and the sizes and colours that Python brings them to: OpenCV's arithmetic, to the grey level.

export interface Picture {
  width: number;
  height: number;
  // Bytes a pixel: 1 for grey, 3 for RGB, 4 for RGBA as a canvas gives it, whose alpha is not read.
  channels: 1 | 3 | 4;
  data: Uint8Array | Uint8ClampedArray;
}

export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

// Grey by BT.601 in OpenCV's fixed point; a grey picture passes as it is.
export function toGrey(image: Picture): Picture {
  if (image.channels === 1) return image;
  const { width, height, channels, data } = image;
  const out = new Uint8Array(width * height);
  for (let pixel = 0, place = 0; pixel < out.length; pixel += 1, place += channels) {
    out[pixel] = (data[place] * 9798 + data[place + 1] * 19235 + data[place + 2] * 3735 + 16384) >> 15;
  }
  return { width, height, channels: 1, data: out };
}

// By area where it shrinks, linearly where it grows, in two steps: `mien.images.pictures.resize`.
export function resize(image: Picture, height: number, width: number): Picture {
  if (image.height === height && image.width === width) return image;
  const smaller = { width: Math.min(width, image.width), height: Math.min(height, image.height) };
  let out = image;
  if (smaller.width !== image.width || smaller.height !== image.height) {
    out = resizeArea(out, smaller.height, smaller.width);
  }
  if (smaller.width !== width || smaller.height !== height) out = resizeLinear(out, height, width);
  return out;
}

interface Share {
  // Of each target pixel: where its shares begin in `source` and `weight`.
  starts: Int32Array;
  source: Int32Array;
  weight: Float32Array;
}

// Which source pixels make a target pixel, and their weights: OpenCV's computeResizeAreaTab.
function areaShares(from: number, to: number): Share {
  const scale = from / to;
  const starts = new Int32Array(to + 1);
  const source: number[] = [];
  const weight: number[] = [];
  for (let target = 0; target < to; target += 1) {
    const first = target * scale;
    const last = first + scale;
    const cell = Math.min(scale, from - first);
    const end = Math.min(Math.floor(last), from - 1);
    const begin = Math.min(Math.ceil(first), end);
    if (begin - first > 1e-3) {
      source.push(begin - 1);
      weight.push((begin - first) / cell);
    }
    for (let place = begin; place < end; place += 1) {
      source.push(place);
      weight.push(1 / cell);
    }
    if (last - end > 1e-3) {
      source.push(end);
      weight.push(Math.min(Math.min(last - end, 1), cell) / cell);
    }
    starts[target + 1] = source.length;
  }
  return { starts, source: Int32Array.from(source), weight: Float32Array.from(weight) };
}

function resizeArea(image: Picture, height: number, width: number): Picture {
  const colours = image.channels === 1 ? 1 : 3;
  const stepX = image.width / width;
  const stepY = image.height / height;
  const data =
    Number.isInteger(stepX) && Number.isInteger(stepY)
      ? averageBlocks(image, height, width, colours)
      : averageShares(image, height, width, colours);
  return { width, height, channels: colours, data };
}

function averageBlocks(image: Picture, height: number, width: number, colours: 1 | 3): Uint8ClampedArray {
  const out = new Uint8ClampedArray(width * height * colours);
  const { channels, data } = image;
  const [stepX, stepY] = [image.width / width, image.height / height];
  const share = 1 / (stepX * stepY);
  const isHalf = stepX === 2 && stepY === 2;
  for (let y = 0, target = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const corner = (y * stepY * image.width + x * stepX) * channels;
      for (let colour = 0; colour < colours; colour += 1, target += 1) {
        let sum = 0;
        for (let row = 0, place = corner + colour; row < stepY; row += 1, place += image.width * channels) {
          for (let column = 0; column < stepX; column += 1) sum += data[place + column * channels];
        }
        // A clamped array rounds halves to even, as OpenCV does but for the quarter size.
        out[target] = isHalf ? (sum + 2) >> 2 : sum * share;
      }
    }
  }
  return out;
}

function averageShares(image: Picture, height: number, width: number, colours: 1 | 3): Uint8ClampedArray {
  const out = new Uint8ClampedArray(width * height * colours);
  const across = areaShares(image.width, width);
  const down = areaShares(image.height, height);
  const line = new Float32Array(width * colours);
  const sum = new Float32Array(width * colours);
  let narrowed = -1;
  for (let y = 0; y < height; y += 1) {
    sum.fill(0);
    for (let share = down.starts[y]; share < down.starts[y + 1]; share += 1) {
      const row = down.source[share];
      // The last row of one target is often the first of the next.
      if (row !== narrowed) narrowRow(image, row, across, line, colours);
      narrowed = row;
      const weight = down.weight[share];
      for (let place = 0; place < sum.length; place += 1) sum[place] += weight * line[place];
    }
    out.set(sum, y * width * colours);
  }
  return out;
}

function narrowRow(image: Picture, row: number, across: Share, line: Float32Array, colours: 1 | 3): void {
  const { channels, data } = image;
  const start = row * image.width * channels;
  const { starts, source, weight } = across;
  for (let x = 0, target = 0; target < line.length; x += 1, target += colours) {
    let [red, green, blue] = [0, 0, 0];
    for (let share = starts[x]; share < starts[x + 1]; share += 1) {
      const place = start + source[share] * channels;
      const factor = weight[share];
      red += factor * data[place];
      if (colours === 3) {
        green += factor * data[place + 1];
        blue += factor * data[place + 2];
      }
    }
    line[target] = red;
    if (colours === 3) {
      line[target + 1] = green;
      line[target + 2] = blue;
    }
  }
}

// Two neighbours of each target pixel and the second one's weight in 2048ths, as OpenCV's linear resize has them: beyond
// the edge a column counts alone, a row twice by its two weights.
function neighbours(from: number, to: number, alone: boolean): { first: Int32Array; second: Int32Array; weight: Int32Array } {
  const first = new Int32Array(to);
  const second = new Int32Array(to);
  const weight = new Int32Array(to);
  for (let target = 0; target < to; target += 1) {
    const place = Math.fround((target + 0.5) * (from / to) - 0.5);
    const whole = Math.floor(place);
    const isOutside = whole < 0 || whole >= from - 1;
    first[target] = Math.min(Math.max(whole, 0), from - 1);
    second[target] = Math.min(Math.max(whole + 1, 0), from - 1);
    weight[target] = alone && isOutside ? 0 : roundHalfEven(Math.fround(place - whole) * 2048);
  }
  return { first, second, weight };
}

function resizeLinear(image: Picture, height: number, width: number): Picture {
  const colours = image.channels === 1 ? 1 : 3;
  const { channels, data } = image;
  const across = neighbours(image.width, width, true);
  const down = neighbours(image.height, height, false);
  const out = new Uint8Array(width * height * colours);
  const stretch = (row: number): Int32Array => {
    const line = new Int32Array(width * colours);
    for (let x = 0, target = 0; x < width; x += 1) {
      const one = (row * image.width + across.first[x]) * channels;
      const two = (row * image.width + across.second[x]) * channels;
      const weight = across.weight[x];
      for (let colour = 0; colour < colours; colour += 1, target += 1) {
        line[target] = data[one + colour] * (2048 - weight) + data[two + colour] * weight;
      }
    }
    return line;
  };
  const lines = new Map<number, Int32Array>();
  const lineOf = (row: number): Int32Array => {
    const found = lines.get(row) ?? stretch(row);
    lines.set(row, found);
    return found;
  };
  for (let y = 0; y < height; y += 1) {
    const [upper, lower, weight] = [lineOf(down.first[y]), lineOf(down.second[y]), down.weight[y]];
    const start = y * width * colours;
    for (let place = 0; place < upper.length; place += 1) {
      const above = ((2048 - weight) * (upper[place] >> 4)) >> 16;
      const below = (weight * (lower[place] >> 4)) >> 16;
      out[start + place] = (above + below + 2) >> 2;
    }
    lines.delete(down.first[y] - 1);
  }
  return { width, height, channels: colours, data: out };
}

// A picture within a square from row and column `starts` on, its edges repeated around it.
export function padEdges(image: Picture, [top, left]: number[], side: number): Picture {
  return cutSquare(image, -left, -top, side);
}

// A square from `left`, `top`; beyond the picture its edge is repeated.
export function cutSquare(image: Picture, left: number, top: number, side: number): Picture {
  const colours = image.channels === 1 ? 1 : 3;
  const { channels, data, width, height } = image;
  const out = new Uint8Array(side * side * colours);
  for (let y = 0, target = 0; y < side; y += 1) {
    const row = Math.min(Math.max(top + y, 0), height - 1) * width;
    for (let x = 0; x < side; x += 1) {
      const place = (row + Math.min(Math.max(left + x, 0), width - 1)) * channels;
      for (let colour = 0; colour < colours; colour += 1, target += 1) out[target] = data[place + colour];
    }
  }
  return { width: side, height: side, channels: colours, data: out };
}

// Rows of an affine map from source to target: x' = a x + b y + c, y' = d x + e y + f.
export type Affine = [number, number, number, number, number, number];

// A square of the picture under an affine map, as OpenCV's warpAffine fills it linearly; beyond the edge it is repeated.
export function warpSquare(image: Picture, map: Affine, side: number): Picture {
  const [a, b, c, d, e, f] = map;
  const scale = 1 / (a * e - b * d);
  const [xx, xy, yx, yy] = [e * scale, -b * scale, -d * scale, a * scale];
  const [x0, y0] = [-xx * c - xy * f, -yx * c - yy * f];
  const colours = image.channels === 1 ? 1 : 3;
  const out = new Uint8Array(side * side * colours);
  // Places in 1024ths, rounded to 32nds.
  const steps = Array.from({ length: side }, (_, x) => [roundHalfEven(xx * x * 1024), roundHalfEven(yx * x * 1024)]);
  for (let y = 0, target = 0; y < side; y += 1) {
    const startX = roundHalfEven((xy * y + x0) * 1024) + 16;
    const startY = roundHalfEven((yy * y + y0) * 1024) + 16;
    for (let x = 0; x < side; x += 1, target += colours) {
      blend(image, (startX + steps[x][0]) >> 5, (startY + steps[x][1]) >> 5, colours, out, target);
    }
  }
  return { width: side, height: side, channels: colours, data: out };
}

function blend(image: Picture, x: number, y: number, colours: 1 | 3, out: Uint8Array, target: number): void {
  const { width, height, channels, data } = image;
  const [restX, restY] = [x & 31, y & 31];
  const clip = (place: number, size: number) => Math.min(Math.max(place, 0), size - 1);
  const columns = [clip(x >> 5, width), clip((x >> 5) + 1, width)];
  const rows = [clip(y >> 5, height) * width, clip((y >> 5) + 1, height) * width];
  for (let colour = 0; colour < colours; colour += 1) {
    const at = (row: number, column: number) => data[(rows[row] + columns[column]) * channels + colour];
    const upper = at(0, 0) * (32 - restX) + at(0, 1) * restX;
    const lower = at(1, 0) * (32 - restX) + at(1, 1) * restX;
    out[target + colour] = (upper * (32 - restY) + lower * restY + 512) >> 10;
  }
}
