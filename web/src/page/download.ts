// Results as files, in the columns of `mien analyze`.

import { listColumns, toCsv, toJsonLines, toRows, type Result } from "../mien/results.ts";
import type { Rules } from "../mien/settings.ts";
import type { Mode } from "./mode.ts";

// By the threshold that is shown now: moving it analyzes nothing again.
function judged(result: Result, threshold: number): Result {
  return { ...result, faces: result.faces.map((face) => ({ ...face, abstained: face.confidence < threshold })) };
}

export function download(mode: Mode, rules: Rules, labels: string[], threshold: number, ending: "csv" | "jsonl"): void {
  const columns = listColumns(rules, labels, mode.moving);
  const rows = mode.results.flatMap((result) => toRows(judged(result, threshold), columns));
  const text = ending === "csv" ? toCsv(rows, columns) : toJsonLines(rows);
  const kind = ending === "csv" ? "text/csv" : "application/jsonl";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = `mien.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
