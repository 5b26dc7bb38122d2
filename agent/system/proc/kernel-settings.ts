/** The kernel's settings, as files below /proc/sys; see proc(5). */
import { constants } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { AgentError } from '../../errors.ts';

/** A setting is named by its path below /proc/sys, e.g. `net/ipv4/ip_forward`. Every call throws AgentError with a sentence for people. */
export interface KernelSettings {
  /** @returns null if this kernel has no such setting */
  read(setting: string): Promise<string | null>;
  /** @throws AgentError `Unsupported` if this host has no such setting or lets nobody set it, `ApplyFailed` if the kernel refuses the value */
  write(setting: string, value: string): Promise<void>;
}

const MISSING = ['ENOENT', 'ENOTDIR', 'EISDIR'];
/** Never creates files below /proc/sys: a missing setting is an error. */
const REPLACE = constants.O_WRONLY | constants.O_TRUNC;
const LOCKED = ['EACCES', 'EPERM', 'EROFS'];

/** @param directory another one than /proc/sys, for tests */
export function createKernelSettings(directory = '/proc/sys'): KernelSettings {
  return {
    async read(setting) {
      try {
        return await readFile(`${directory}/${setting}`, 'utf8');
      } catch (cause) {
        if (MISSING.includes(codeOf(cause))) return null;
        const message = `cannot read /proc/sys/${setting}: ${codeOf(cause)}`;
        throw new AgentError({ code: 'Unsupported', phase: 'observe', message, cause });
      }
    },
    async write(setting, value) {
      try {
        await writeFile(`${directory}/${setting}`, `${value}\n`, { flag: REPLACE });
      } catch (cause) {
        throw refusal(setting, value, cause);
      }
    },
  };
}

const codeOf = (thrown: unknown): string => String((thrown as NodeJS.ErrnoException).code ?? thrown);

/** A setting that this host lacks or forbids is the host's fault; a value beyond the kernel's limits is the commit's. */
export function refusal(setting: string, value: string, cause: unknown): AgentError {
  const code = codeOf(cause);
  if (MISSING.includes(code)) {
    const message = `cannot set /proc/sys/${setting}: this kernel has no such setting; load the module or create the interface that brings it, or correct the name`;
    return new AgentError({ code: 'Unsupported', phase: 'apply', message, retry: true, cause });
  }
  if (LOCKED.includes(code)) {
    const message = `cannot set /proc/sys/${setting}: ${code}; this host or fairlead.service does not allow the change`;
    return new AgentError({ code: 'Unsupported', phase: 'apply', message, retry: true, cause });
  }
  const message = `cannot set /proc/sys/${setting}: the kernel refuses ${JSON.stringify(value)} with ${code}; declare a value that it takes`;
  return new AgentError({ code: 'ApplyFailed', phase: 'apply', message, cause });
}
