/**
 * The seam through which the agent has another version of itself installed. Another way to install it (a container, say) is
 * another implementation of this interface. Order of calls: `state` and `tried`, `stage`, `order`; after the run `begin`; then
 * the version that runs reports `result`.
 */

import type { Payload } from '../payload/payload.ts';
import type { Checkout } from '../types.ts';
import type { PackageFormat, WantedAgent } from './agent-wanted.ts';

/** The result of an upgrade order. */
export interface UpgradeResult {
  version: string;
  /** SHA-256 of the package, hex. */
  sha256: string;
  from: string;
  verdict: 'upgraded' | 'failed';
  /** Why it failed, as a keyword of packaging/scripts/upgrade.sh; '' if it did not fail. */
  cause: string;
  /** The cause as a sentence. */
  message: string;
  /** ISO 8601. */
  at: string;
}

export interface UpgradeOrder {
  version: string;
  from: string;
  /** `since` and `until` are ISO 8601. */
  since: string;
  until: string;
}

/** The package on this host, and its digest. */
export interface StagedPackage {
  wanted: WantedAgent;
  sha256: string;
}

export interface AgentUpgrade {
  /** Version of the agent that runs. */
  readonly version: string;
  /** The version that a commit asks for. Caches the answer for the last commit, because most runs see the same commit again. */
  wanted(head: Checkout): WantedAgent | null;
  /** The package format that this host installs; null if nothing on this host can install another version. */
  format(): Promise<PackageFormat | null>;
  /** The upgrade in progress; null if there is none. */
  pending(): UpgradeOrder | null;
  /** Digest of the package, without unpacking it; null if the package is not available. */
  digest(wanted: WantedAgent, files: Payload): string | null;
  /** The failed attempt with this very package on this host; null if there was none. */
  tried(sha256: string): UpgradeResult | null;
  /** Allows another attempt with this package. */
  forget(sha256: string): void;
  /**
   * Downloads or copies the package to this host and verifies its digest. Throws AgentError `PackageUnreachable`,
   * `PackageMismatch` and others.
   */
  stage(wanted: WantedAgent, files: Payload, signal: AbortSignal): Promise<StagedPackage>;
  /** The order is durable when this returns. @param reached names of the servers that the new agent must reach as well */
  order(staged: StagedPackage, reached: readonly string[]): void;
  /** Starts the upgrade. Resolves if it failed or takes long; otherwise this process is stopped before that. */
  begin(signal: AbortSignal): Promise<void>;
  /** The result of the last order; null if there was none. */
  result(): UpgradeResult | null;
}
