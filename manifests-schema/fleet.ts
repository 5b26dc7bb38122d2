/** fleet.yaml: what holds for every host of the repository. */
import { z } from 'zod';
import { agentPackage } from './agent-package.ts';
import { roles, vars } from './settings.ts';

/** `>=1`, `>=1.2`, `>=1.2.3`. */
export const REQUIRES = /^>=\s*(\d+)(?:\.(\d+))?(?:\.(\d+))?$/;

export const fleetSettings = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9._-]+$/, 'may have letters, digits, . _ - only')
      .optional()
      .describe('name of the fleet for offline commands; hosts use that of agent.yaml'),
    requires: z
      .string()
      .regex(REQUIRES, "must be a least version of the agent such as '>=0.2'")
      .optional()
      .describe('minimum version of the agent; an older one reports `AgentTooOld` instead of an unknown key'),
    hosts: z
      .array(z.string().min(1))
      .default(['hosts/*'])
      .describe('globs of the host directories: `*` within one name, `**` over several'),
    roles: roles.optional().describe('roles of every host; roles of a host override them'),
    vars: vars.optional().describe('variables of every host; roles and hosts can override them'),
    agent: agentPackage,
  })
  .describe('Settings for all hosts: fleet.yaml at the top of the repository');
export type FleetSettings = z.infer<typeof fleetSettings>;
