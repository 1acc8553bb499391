// What is read with: `mien model export` writes it to model/, once; `npm run model -- NAME` for another model.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
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

export function ensureModel() {
  if (!existsSync(path.join(FOLDER, "reading.json"))) exportModel();
  return FOLDER;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) exportModel(process.argv[2]);
