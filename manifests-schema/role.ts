/** role.yaml: the settings of a shared layer. */
import { z } from 'zod';
import { agentPackage } from './agent-package.ts';
import { roles, vars } from './settings.ts';

export const roleSettings = z
  .strictObject({
    roles: roles.optional().describe('roles that this one is built on; they stand below it'),
    vars: vars.optional().describe('defaults of variables; later layers replace them one by one'),
    agent: agentPackage,
  })
  .describe('The settings of one role: roles/<role>/role.yaml');
export type RoleSettings = z.infer<typeof roleSettings>;
