// mien-web: facial expressions read on the device. `loadReader`, then `Reader.read` for photos or `Stream.read` over time.

export { Classifier, calibrate, project } from "./classifier.ts";
export { Detector } from "./detector.ts";
export type { Box, Detection } from "./faces.ts";
export { Graph, setUpRuntime, type RuntimeFiles } from "./graph.ts";
export { loadReader, unpack, type Fetch } from "./loading.ts";
export { cutSquare, resize, toGrey, type Picture } from "./pictures.ts";
export { Reader, Stream, type ReaderOptions } from "./reader.ts";
export { listColumns, toCsv, toJsonLines, toRows, type Face, type Result, type Row } from "./results.ts";
export { MienError, type Manifest, type Rules } from "./settings.ts";
export { Smoother } from "./smoothing.ts";
export { Tracker } from "./tracking.ts";
