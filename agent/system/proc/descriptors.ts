/** File descriptors of this process, and how many it may have (getrlimit(2)). */

import fs from 'node:fs';
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';

export interface Descriptors {
  open: number;
  /** null if there is no limit, or none that can be read. */
  limit: number | null;
}

export function descriptors(): Descriptors {
  try {
    const limits = fs.readFileSync('/proc/self/limits', 'utf8');
    const limit = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
    return { open: fs.readdirSync('/proc/self/fd').length, limit: limit > 0 ? limit : null };
  } catch {
    return { open: 0, limit: null };
  }
}

/** Share of the limit from which on it is reported as near. */
const NEAR = 0.8;

/** Pure. @returns why this is worth a problem, or null */
export function descriptorLimit({ open, limit }: Descriptors): { reason: ReasonCode; message: string } | null {
  if (limit === null || open < limit * NEAR) return null;
  const message = `${open} of ${limit} file descriptors are in use; above the limit nothing can be opened; raise LimitNOFILE in fairlead.service, and report it to the developers: the agent should never need so many`;
  return { reason: 'DescriptorLimitNear', message };
}
