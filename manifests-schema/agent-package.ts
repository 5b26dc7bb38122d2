/** `agent` of host.yaml, role.yaml and fleet.yaml: which version of the agent hosts are to run. */
import { z } from 'zod';

/** As `fairlead version` prints it: `0.2.0`, `0.2.0-rc.1`. */
export const AGENT_VERSION = /^\d{1,5}\.\d{1,5}\.\d{1,5}(-[0-9A-Za-z][0-9A-Za-z.-]{0,40})?$/;
export const SHA256 = /^[0-9a-f]{64}$/;

/** Layers are merged key by key, so that each key may stand alone; the whole is judged by agent/core/version/agent-wanted.ts. */
export const agentPackage = z
  .strictObject({
    version: z
      .string()
      .regex(AGENT_VERSION, 'must be a version of fairlead such as 0.2.0')
      .nullish()
      .describe('the version that hosts must run'),
    source: z
      .string()
      .min(1)
      .nullish()
      .describe('the package: a file of the repository, relative to this layer, or an https URL; .deb, .rpm or .tar.*'),
    sha256: z
      .string()
      .regex(SHA256, 'must be 64 hexadecimal digits, in lower case')
      .nullish()
      .describe('digest of the package; required for a URL'),
  })
  .nullish()
  .describe('the version of the agent, see docs/upgrade.md; later layers override key by key, `null` removes it');
export type AgentPackage = z.infer<typeof agentPackage>;
