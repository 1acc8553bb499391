// The worker that analyzes: pictures in, results out, one after the other; the page's thread stays free.

import { loadReader, MienError, setUpRuntime, Stream, unpack, type Picture, type Reader } from "../mien/index.ts";
import type { Answer, Loaded, Options, Question } from "./protocol.ts";

const fetchFile = async (name: string): Promise<ArrayBuffer> => {
  const answer = await fetch(new URL(name, self.location.href));
  if (!answer.ok) throw new MienError(`${name}: the server answers ${answer.status}; reload the page`);
  return answer.arrayBuffer();
};

async function startRuntime(): Promise<void> {
  const wasm = await unpack(await fetchFile("runtime.wasm.gz"));
  const threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  setUpRuntime({ script: new URL("runtime.mjs", self.location.href).href, wasm, threads });
}

let reader: Reader;
const streams = new Map<number, Stream>();
const canvas = new OffscreenCanvas(1, 1);
const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false })!;

// On white where it is transparent, as Mien reads files.
function toPicture(bitmap: ImageBitmap): Picture {
  const { width, height } = bitmap;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, channels: 4, data: context.getImageData(0, 0, width, height).data };
}

async function load(): Promise<Loaded> {
  reader = await loadReader(fetchFile, startRuntime());
  const { rules, classifier } = reader;
  // One look warms the runtime up, so that the first face does not wait.
  await reader.read({ width: 64, height: 64, channels: 1, data: new Uint8Array(64 * 64) });
  return { rules, model: classifier.title, detector: rules.detector.name };
}

const withOptions = ({ labels, minConfidence }: Options) => reader.withOptions({ labels, minConfidence });

async function answer(question: Question): Promise<unknown> {
  switch (question.kind) {
    case "load":
      return load();
    case "photo":
      return withOptions(question.options).read(toPicture(question.bitmap), question.source);
    case "open":
      streams.set(question.stream, new Stream(withOptions(question.options), question.source, question.live));
      return null;
    case "frame":
      return streams.get(question.stream)!.read(toPicture(question.bitmap), question.timeS);
    case "close":
      streams.delete(question.stream);
      return null;
  }
}

// In turn: the runtime runs one graph at a time.
let queue: Promise<unknown> = Promise.resolve();
self.onmessage = ({ data }: MessageEvent<Question & { id: number }>) => {
  queue = queue.then(async () => {
    const reply: Answer = { id: data.id };
    try {
      reply.value = await answer(data);
    } catch (error) {
      reply.error = error instanceof Error ? error.message : String(error);
    }
    self.postMessage(reply);
  });
};
