// Graphs on ONNX Runtime Web: bytes in, arrays out.

import * as ort from "onnxruntime-web/wasm";

export interface RuntimeFiles {
  // Address of ort-wasm-simd-threaded.mjs; none where the package finds it by itself, as in Node.
  script?: string;
  wasm?: ArrayBuffer;
  threads: number;
}

// Before the first graph is loaded.
export function setUpRuntime({ script, wasm, threads }: RuntimeFiles): void {
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  if (script !== undefined) ort.env.wasm.wasmPaths = { mjs: script };
  if (wasm !== undefined) ort.env.wasm.wasmBinary = wasm;
}

export class Graph {
  private constructor(private readonly session: ort.InferenceSession) {}

  // Of a file in ORT format, which was optimized when it was written.
  static async load(bytes: Uint8Array): Promise<Graph> {
    return new Graph(await ort.InferenceSession.create(bytes, { graphOptimizationLevel: "disabled" }));
  }

  async run(name: string, values: Uint8Array, shape: number[]): Promise<Record<string, Float32Array>> {
    const found = await this.session.run({ [name]: new ort.Tensor("uint8", values, shape) });
    return Object.fromEntries(Object.entries(found).map(([key, tensor]) => [key, tensor.data as Float32Array]));
  }
}
