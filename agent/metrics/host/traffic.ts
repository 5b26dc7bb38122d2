/** Bytes that this host received and sent: those of its network cards, so that none is counted twice. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseNetwork } from './proc-text.ts';

export interface Traffic {
  /** Since the boot. */
  receivedBytes: number;
  sentBytes: number;
}

/** Created by software: traffic of these also passes a network card, or stays on the host. */
const VIRTUAL = /^(lo|docker\d|br-|veth|virbr|cni|flannel|podman|tailscale|wg|tun|tap)/;

/**
 * The sum over all interfaces with hardware behind them; over all that are not named like virtual ones if none has any, as
 * inside a container.
 * @param text of /proc/net/dev
 * @returns null if there is no interface
 */
export function trafficOf(text: string, sys: string): Traffic | null {
  const named = parseNetwork(text).filter(({ name }) => !VIRTUAL.test(name));
  const cards = named.filter(({ name }) => existsSync(path.join(sys, 'class/net', name, 'device')));
  const counted = cards.length > 0 ? cards : named;
  if (counted.length === 0) return null;
  return {
    receivedBytes: counted.reduce((sum, { received }) => sum + received, 0),
    sentBytes: counted.reduce((sum, { sent }) => sum + sent, 0),
  };
}
