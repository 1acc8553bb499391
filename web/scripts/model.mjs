// What is read with: `mien model export` writes it to model/, once; `npm run model -- NAME` for another model.

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const WEB = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const FOLDER = path.join(WEB, "model");

function findPython() {
  const own = path.join(WEB, "..", ".venv", "bin", "python");
  return process.env.MIEN_PYTHON ?? (existsSync(own) ? own : "python3");
}

export function exportModel(name = "mien-s") {
  const given = ["-m", "mien", "model", "export", name, "--to", "web", "--out", FOLDER, "--overwrite"];
  execFileSync(findPython(), given, { stdio: "inherit" });
}

// What the files are made of; newer ones call for another export.
const SOURCES = ["artifact/bundled/mien-s", "faces/bundled/mien-face", "workshop/export/targets", "reading", "faces"];

function lastChange() {
  const folders = SOURCES.map((name) => path.join(WEB, "..", "src", "mien", name));
  const files = folders.flatMap((folder) => readdirSync(folder).map((name) => path.join(folder, name)));
  return Math.max(...files.map((file) => statSync(file)).filter((entry) => entry.isFile()).map((entry) => entry.mtimeMs));
}

export function ensureModel() {
  const written = path.join(FOLDER, "reading.json");
  if (!existsSync(written) || statSync(written).mtimeMs < lastChange()) exportModel();
  return FOLDER;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) exportModel(process.argv[2]);
