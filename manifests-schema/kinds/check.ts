/** Entries of `checks`. */
import { z } from 'zod';
import { argv, duration } from './shared.ts';

export const checkEntry = z
  .strictObject({
    http: z
      .string()
      .regex(/^https?:\/\/[^/]+/, 'must be a URL such as http://127.0.0.1:8080/health')
      .optional()
      .describe('URL that must answer'),
    tcp: z
      .string()
      .regex(/^.+:\d{1,5}$/, 'must be a host and a port such as 127.0.0.1:5432')
      .optional()
      .describe('host and port that must accept a connection'),
    run: argv.optional(),
    expect: z.int().optional().describe('expected status of http (default any 2xx), or exit code of the program (0)'),
    within: duration.optional().describe('time after an apply within which it must pass; default 30s'),
    every: duration.optional().describe('interval of the checks from then on; default 30s'),
  })
  .describe('a probe that decides whether a commit is good');
export type CheckEntry = z.infer<typeof checkEntry>;
