// The files of `mien model export NAME --to web`, fetched, unpacked and checked.

import { Classifier } from "./classifier.ts";
import { Detector } from "./detector.ts";
import { Graph } from "./graph.ts";
import { Reader } from "./reader.ts";
import { checkRules, MienError, type Manifest, type Rules } from "./settings.ts";
import { Verifier } from "./verification.ts";

// A file's bytes by its name; of the page a fetch, of a test a file on the disk.
export type Fetch = (name: string) => Promise<ArrayBuffer>;

export const RULES_FILE = "reading.json";
const MANIFEST_FILE = "manifest.json";
const [MODEL_FILE, DETECTOR_FILE, VERIFIER_FILE] = ["model.ort", "detector.ort", "verifier.ort"];

// Whatever came compressed; a server may have unpacked it already.
export async function unpack(bytes: ArrayBuffer): Promise<ArrayBuffer> {
  const head = new Uint8Array(bytes, 0, Math.min(2, bytes.byteLength));
  if (head[0] !== 0x1f || head[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function sha256(bytes: ArrayBuffer): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (value) => value.toString(16).padStart(2, "0")).join("");
}

async function fetchVerified(name: string, fetchFile: Fetch, rules: Rules): Promise<Uint8Array> {
  const bytes = await unpack(await fetchFile(name));
  // Browsers digest on HTTPS and localhost alone, which is also where a camera opens.
  if (globalThis.crypto?.subtle && (await sha256(bytes)) !== rules.files[name]) {
    throw new MienError(`${name} is damaged or of another version: reload the page, or export the model again`);
  }
  return new Uint8Array(bytes);
}

// `runtime` is ready when the graphs may be loaded: files and runtime are fetched side by side.
export async function loadReader(fetchFile: Fetch, runtime: Promise<void> = Promise.resolve()): Promise<Reader> {
  const parse = async (name: string) => JSON.parse(new TextDecoder().decode(await fetchFile(name)));
  const [manifest, rules]: [Manifest, Rules] = await Promise.all([parse(MANIFEST_FILE), parse(RULES_FILE)]);
  checkRules(rules);
  const [model, detector, verifier] = await Promise.all(
    [MODEL_FILE, DETECTOR_FILE, VERIFIER_FILE].map(async (name) => {
      const bytes = await fetchVerified(name, fetchFile, rules);
      await runtime;
      return Graph.load(bytes);
    }),
  );
  const judge = new Verifier(verifier, rules.verifier);
  return new Reader(new Detector(detector, judge, rules.detector), new Classifier(model, manifest, rules), rules);
}
