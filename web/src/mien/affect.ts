// Valence, arousal and intensity of a face: `mien.reading.affect`, `mien.reading.classifier.Model.estimate_affect`.

import { calibrate } from "./classifier.ts";
import type { AffectRules, Manifest } from "./settings.ts";

// Values and their standard deviations by name, null where nobody can say; and the heads that they are from.
export interface Affect {
  values: Record<string, number | null>;
  source: string;
}

export function estimateAffect(
  rowOf: (head: string) => Float32Array,
  manifest: Manifest,
  rules: AffectRules,
): Affect | null {
  const none = rules.names.flatMap((name): [string, null][] => [[name, null], [`${name}_sd`, null]]);
  const values: Record<string, number | null> = Object.fromEntries(none);
  if (rules.words !== null) Object.assign(values, byWords(rowOf(rules.words), rules.words, manifest, rules));
  for (const [head, { sd }] of Object.entries(manifest.affect ?? {})) {
    rules.heads[head].forEach((name, place) => {
      values[name] = rowOf(head)[place];
      values[`${name}_sd`] = sd[place];
    });
  }
  return Object.values(values).every((value) => value === null) ? null : { values, source: rules.source };
}

// By the share of annotators who would choose each word, whatever the balance of what is shown.
function byWords(logits: Float32Array, name: string, manifest: Manifest, rules: AffectRules): Affect["values"] {
  const head = manifest.heads[name];
  const shares = calibrate(logits, head, 0);
  const mean = (of: (label: string) => number) => head.labels.reduce((sum, label, place) => sum + shares[place] * of(label), 0);
  const found: Affect["values"] = {};
  [0, 1].forEach((axis) => {
    const value = mean((label) => rules.circumplex[label][axis]);
    const spread = mean((label) => rules.circumplex[label][axis] ** 2) - value ** 2;
    found[rules.names[axis]] = value;
    found[`${rules.names[axis]}_sd`] = Math.sqrt(rules.residual[axis] ** 2 + Math.max(spread, 0) / rules.annotators);
  });
  const neutral = head.labels.indexOf(rules.neutral);
  if (neutral >= 0) {
    const seen = 1 - shares[neutral];
    found[rules.names[2]] = seen;
    found[`${rules.names[2]}_sd`] = Math.sqrt((seen * (1 - seen)) / rules.annotators);
  }
  return found;
}

// Averages each track's values over time, as the smoother does its probabilities.
export class AffectSmoother {
  private readonly states = new Map<number, { affect: Affect; timeS: number; frames: number }>();

  constructor(private readonly smoothS: number) {}

  update(id: number, affect: Affect | null, timeS: number): Affect | null {
    if (affect === null || this.smoothS <= 0) return affect;
    const last = this.states.get(id) ?? { affect, timeS, frames: 0 };
    const share = Math.max(1 - Math.exp(-Math.max(0, timeS - last.timeS) / this.smoothS), 1 / (last.frames + 1));
    const mixed = Object.entries(affect.values).map(([name, value]) => {
      const old = last.affect.values[name];
      return [name, value === null || old === null ? value : old + share * (value - old)];
    });
    const smoothed = { ...affect, values: Object.fromEntries(mixed) };
    this.states.set(id, { affect: smoothed, timeS, frames: last.frames + 1 });
    return smoothed;
  }

  forget(ids: number[]): void {
    for (const id of ids) this.states.delete(id);
  }
}
