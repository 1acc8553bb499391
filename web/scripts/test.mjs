// The tests in Node: bundled, because Node 20 reads no TypeScript. MIEN_TEST_PHOTOS: a folder of the shared photos as PNG.

import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";
import { ensureModel, WEB } from "./model.mjs";

ensureModel();
const tests = readdirSync(path.join(WEB, "tests")).filter((name) => name.endsWith(".test.ts"));
await build({
  entryPoints: tests.map((name) => path.join(WEB, "tests", name)),
  outdir: path.join(WEB, "build"),
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  packages: "external",
  logLevel: "warning",
});
const files = tests.map((name) => path.join(WEB, "build", name.replace(/\.ts$/, ".mjs")));
const done = spawnSync(process.execPath, ["--test", ...process.argv.slice(2), ...files], { stdio: "inherit", cwd: WEB });
process.exit(done.status ?? 1);
