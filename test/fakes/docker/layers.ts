/**
 * Layers of images on a Docker engine in memory, as engines with overlay2 store them: a layer stays, with an image or without,
 * until the last image that has it is removed; an existing layer is never fetched again, whatever happened to its files.
 */
import type { FakeImage } from './state.ts';

/** A layer on the disk: its metadata is durable from the beginning, its files are not. */
interface Layer {
  parent: string | null;
  isDurable: boolean;
  /** False once power failed before its files were durable: then they are empty. */
  isWhole: boolean;
}

export interface Layers {
  /** Fetches the missing layers, in order. @param most at most this many; the others are never fetched */
  bring(image: FakeImage, most?: number): void;
  /** An image was removed. @param others images that still exist */
  release(image: FakeImage, others: readonly FakeImage[]): void;
  isWhole(image: FakeImage): boolean;
  /** Everything here is durable. */
  sync(): void;
  powerCut(): void;
}

export function createLayers(fetched: string[]): Layers {
  /** By the content of the layer and of all layers below it. */
  const here = new Map<string, Layer>();
  const chainOf = ({ layers }: FakeImage) => layers.map((_, i) => layers.slice(0, i + 1).join(' '));
  return {
    bring(image, most = Number.POSITIVE_INFINITY) {
      for (const [i, id] of chainOf(image).slice(0, most).entries()) {
        if (here.has(id)) continue;
        here.set(id, { parent: chainOf(image)[i - 1] ?? null, isDurable: false, isWhole: true });
        fetched.push(image.layers[i] ?? '');
      }
    },
    release(image, others) {
      const held = new Set(others.flatMap(chainOf));
      for (const id of chainOf(image).reverse()) {
        if (held.has(id) || [...here.values()].some(({ parent }) => parent === id)) return;
        here.delete(id);
      }
    },
    isWhole: (image) => chainOf(image).every((id) => here.get(id)?.isWhole !== false),
    sync() {
      for (const layer of here.values()) layer.isDurable = true;
    },
    powerCut() {
      for (const layer of here.values()) layer.isWhole &&= layer.isDurable;
      for (const layer of here.values()) layer.isDurable = true;
    },
  };
}
