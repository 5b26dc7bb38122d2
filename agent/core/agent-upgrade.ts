/**
 * The seam through which the agent has another version of itself put in place. Whoever installs it otherwise (a container, say)
 * writes another one. In the order of calls: `state` and `tried`, `stage`, `order`; after the run `begin`; the version that runs
 * then tells of `result`.
 */
import type { PackageFormat, WantedAgent } from './agent-wanted.ts';
import type { Payload } from './payload.ts';
import type { Checkout } from './types.ts';

/** What became of an order. */
export interface UpgradeResult {
  version: string;
  /** Of the package, hex. */
  sha256: string;
  from: string;
  verdict: 'upgraded' | 'failed';
  /** Why it failed, in a word of packaging/scripts/upgrade.sh; '' where it did not. */
  cause: string;
  /** The same in a sentence. */
  message: string;
  /** ISO 8601. */
  at: string;
}

export interface UpgradeOrder {
  version: string;
  from: string;
  /** Both ISO 8601. */
  since: string;
  until: string;
}

/** The package on this host, and its digest. */
export interface StagedPackage {
  wanted: WantedAgent;
  sha256: string;
}

export interface AgentUpgrade {
  /** Of the agent that runs. */
  readonly version: string;
  /** What a commit wants: `readWantedAgent`, remembered for the last one, since most runs see the same commit again. */
  wanted(head: Checkout): WantedAgent | null;
  /** Which packages this host takes; null where nobody here can put another version in place. */
  format(): Promise<PackageFormat | null>;
  /** What is under way; null where nothing is. */
  pending(): UpgradeOrder | null;
  /** Digest of the package, without looking into it; null where it is not there. */
  digest(wanted: WantedAgent, files: Payload): string | null;
  /** That this very package failed here before; null where it did not. */
  tried(sha256: string): UpgradeResult | null;
  /** The package may be tried again. */
  forget(sha256: string): void;
  /** Brings the package here and holds it to its digest. Throws AgentError `PackageUnreachable`, `PackageMismatch` and others. */
  stage(wanted: WantedAgent, files: Payload, signal: AbortSignal): Promise<StagedPackage>;
  /** Durable when it returns. @param reached names of the far ends that the new agent must reach as well */
  order(staged: StagedPackage, reached: readonly string[]): void;
  /** Has the order carried out. Resolves if that came to nothing, or is taking long; else this process is stopped meanwhile. */
  begin(signal: AbortSignal): Promise<void>;
  /** What became of the last order; null where there was none. */
  result(): UpgradeResult | null;
}
