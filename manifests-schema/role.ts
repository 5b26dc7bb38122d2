/** role.yaml: the settings of a shared layer. */
import { z } from 'zod';
import { agentPackage } from './agent-package.ts';
import { roles, vars } from './settings.ts';

export const roleSettings = z
  .strictObject({
    roles: roles.optional().describe('roles on which this one is built; it overrides them'),
    vars: vars.optional().describe('defaults of variables; later layers override them one by one'),
    agent: agentPackage,
  })
  .describe('The settings of one role: roles/<role>/role.yaml');
export type RoleSettings = z.infer<typeof roleSettings>;
