// The page as static files in dist/: for any static host, and for `mien serve`, which shows it at /read/.

import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { ensureModel, WEB } from "./model.mjs";

const DIST = path.join(WEB, "dist");
const LIVE = path.join(WEB, "..", "src", "mien", "apps", "live");
const RUNTIME = path.join(WEB, "node_modules", "onnxruntime-web", "dist");
const MOST_BYTES = 8e6;

// Nothing but the page's own files: no script, frame, form or connection from or to elsewhere.
const POLICY = {
  "default-src": "'none'",
  "script-src": "'self' 'wasm-unsafe-eval'",
  "worker-src": "'self'",
  "style-src": "'self'",
  "img-src": "'self' blob:",
  "media-src": "'self' blob:",
  "connect-src": "'self'",
  "manifest-src": "'self'",
  "base-uri": "'none'",
  "form-action": "'none'",
};
const written = (policy) => Object.entries(policy).map((entry) => entry.join(" ")).join("; ");
const HEADERS = {
  "Content-Security-Policy": written({ ...POLICY, "frame-ancestors": "'none'" }),
  // With these two a page may use threads.
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
  "Referrer-Policy": "no-referrer",
};

const put = (name, content) => writeFileSync(path.join(DIST, name), content);
const bundle = (entry, name, more = {}) =>
  build({
    entryPoints: [path.join(WEB, "src", "page", entry)],
    outfile: path.join(DIST, name),
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    logLevel: "warning",
    ...more,
  });

function copyFiles(model) {
  // Compressed here, since not every host compresses; a file that would hardly shrink stays as it is.
  const pack = (from, name) => {
    const content = readFileSync(from);
    const packed = gzipSync(content, { level: 9 });
    put(name, packed.length < 0.95 * content.length ? packed : content);
  };
  pack(path.join(RUNTIME, "ort-wasm-simd-threaded.wasm"), "runtime.wasm.gz");
  copyFileSync(path.join(RUNTIME, "ort-wasm-simd-threaded.mjs"), path.join(DIST, "runtime.mjs"));
  for (const name of ["model.ort", "detector.ort", "verifier.ort"]) pack(path.join(model, name), name);
  for (const name of ["manifest.json", "reading.json"]) copyFileSync(path.join(model, name), path.join(DIST, name));
  for (const name of readdirSync(path.join(WEB, "public"))) copyFileSync(path.join(WEB, "public", name), path.join(DIST, name));
  copyFileSync(path.join(LIVE, "icon.svg"), path.join(DIST, "icon.svg"));
  const styles = [path.join(LIVE, "live.css"), path.join(LIVE, "cards.css"), path.join(WEB, "src", "page", "page.css")];
  put("page.css", styles.map((file) => readFileSync(file, "utf-8")).join("\n"));
  const page = readFileSync(path.join(WEB, "src", "page", "index.html"), "utf-8");
  put("index.html", page.replace("{{policy}}", written(POLICY)));
}

const model = ensureModel();
rmSync(DIST, { recursive: true, force: true });
mkdirSync(DIST);
copyFiles(model);
await bundle("page.ts", "page.js");
await bundle("local.ts", "local.js");
await bundle("worker.ts", "worker.js");
const sha256 = (content) => createHash("sha256").update(content).digest("hex");
const files = {};
for (const name of readdirSync(DIST).sort()) {
  files[name === "index.html" ? "./" : name] = sha256(readFileSync(path.join(DIST, name)));
}
await bundle("service_worker.ts", "service-worker.js", {
  format: "iife",
  define: {
    FILES: JSON.stringify(files),
    VERSION: JSON.stringify(sha256(JSON.stringify([files, HEADERS])).slice(0, 12)),
    HEADERS: JSON.stringify(HEADERS),
  },
});
put("headers.json", `${JSON.stringify(HEADERS, null, 2)}\n`);
// As Netlify and Cloudflare Pages read them.
put("_headers", ["/*", ...Object.entries(HEADERS).map(([name, value]) => `  ${name}: ${value}`), ""].join("\n"));

const sizes = readdirSync(DIST).map((name) => [name, statSync(path.join(DIST, name)).size]);
const total = sizes.reduce((sum, [, size]) => sum + size, 0);
for (const [name, size] of sizes) console.log(`${String(size).padStart(9)}  ${name}`);
console.log(`${String(total).padStart(9)}  bytes in all, as they are stored and sent`);
if (total > MOST_BYTES) {
  console.error(`the page is larger than ${MOST_BYTES} bytes`);
  process.exit(1);
}
