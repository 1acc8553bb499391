// Probabilities over time, and the label that is shown: `mien.reading.streaming.Smoother`.

import type { StreamRules } from "./settings.ts";

interface State {
  logs: number[];
  timeS: number;
  frames: number;
  held: number;
  rival: number;
  rivalSinceS: number;
}

const largest = (values: number[]) => values.indexOf(Math.max(...values));

export class Smoother {
  private readonly states = new Map<number, State>();

  constructor(private readonly rules: Pick<StreamRules, "smooth_s" | "hold_s" | "floor">) {}

  // The smoothed probabilities of a track, and the index of its held label.
  update(id: number, probabilities: number[], timeS: number): { smoothed: number[]; held: number } {
    const logs = probabilities.map((value) => Math.log(Math.max(value, this.rules.floor)));
    let state = this.states.get(id);
    if (state === undefined) {
      const top = largest(logs);
      state = { logs, timeS, frames: 1, held: top, rival: top, rivalSinceS: timeS };
      this.states.set(id, state);
    } else {
      this.mix(state, logs, timeS);
    }
    const most = Math.max(...state.logs);
    const powers = state.logs.map((value) => Math.exp(value - most));
    const sum = powers.reduce((one, two) => one + two, 0);
    const smoothed = powers.map((value) => value / sum);
    this.hold(state, largest(smoothed), timeS);
    return { smoothed, held: state.held };
  }

  forget(ids: number[]): void {
    for (const id of ids) this.states.delete(id);
  }

  private mix(state: State, logs: number[], timeS: number): void {
    const { smooth_s } = this.rules;
    const share = smooth_s <= 0 ? 1 : 1 - Math.exp(-Math.max(0, timeS - state.timeS) / smooth_s);
    state.frames += 1;
    const weight = Math.max(share, 1 / state.frames);
    state.logs = state.logs.map((value, label) => value + weight * (logs[label] - value));
    state.timeS = timeS;
  }

  private hold(state: State, top: number, timeS: number): void {
    if (top !== state.rival) [state.rival, state.rivalSinceS] = [top, timeS];
    // Differences of times may miss the bound by a rounding error.
    if (top !== state.held && timeS - state.rivalSinceS >= this.rules.hold_s - 1e-9) state.held = top;
  }
}
