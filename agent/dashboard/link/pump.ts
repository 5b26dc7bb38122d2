/** Moves what waits in the store into its rows: a little in each frame, so that the page stays smooth however much comes. */
import type { FleetStore } from '../model/store.ts';

export interface PumpOptions {
  store(): FleetStore;
  /** Rows changed. Called at most once for each frame. */
  onChanged(): void;
  /** Before anything is shown, the whole frame may be used. */
  isLoading(): boolean;
}

/** Part of a frame's 16 ms. */
const FRAME_MS = 4;
const LOADING_MS = 40;
/** A page in the background gets no frames. */
const HIDDEN_MS = 500;

export interface Pump {
  wake(): void;
}

export function createPump({ store, onChanged, isLoading }: PumpOptions): Pump {
  let isAwake = false;
  function work(): void {
    isAwake = false;
    const end = performance.now() + (isLoading() ? LOADING_MS : FRAME_MS);
    if (store().work(() => performance.now() >= end)) onChanged();
  }
  return {
    wake() {
      if (isAwake) return;
      isAwake = true;
      if (document.hidden) setTimeout(work, HIDDEN_MS);
      else requestAnimationFrame(work);
    },
  };
}
