/**
 * Kernel settings: set at once, and made permanent in one file of sysctl.d(5). A removal restores the former value if nobody
 * else changed it.
 */
import path from 'node:path';
import { locatorOf } from '../../core/id.ts';
import { DIFFERS, type Health, type Provider, type Watcher, type Work } from '../../core/provider.ts';
import type { Desired, ResourceId, Seen } from '../../core/types.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import type { Files } from '../../system/files/types.ts';
import type { KernelSettings } from '../../system/proc/kernel-settings.ts';
import {
  diff,
  formatSettings,
  isSame,
  laterFiles,
  type Override,
  overrideOf,
  overridesIn,
  parseSettings,
  SYSCTL_DIRECTORIES,
  SYSCTL_FILE,
  type SysctlFact,
  type SysctlSpec,
  settingOf,
} from './kind.ts';

export interface SysctlProviderOptions {
  files: Files;
  /** null if `/` is another directory (--root): then only the file is written, and this machine's kernel is left alone. */
  kernel: KernelSettings | null;
  /** The record of values from before the takeover: a file that only fairlead can access. */
  originals: string;
  /** False if the agent is not root (a trial with --root): then all files belong to its user. */
  ownership: boolean;
  /** Whether fairlead manages it, according to the inventory. */
  owned(id: ResourceId): boolean;
}

/** The kernel sends no events for changes below /proc/sys. */
const POLL_MS = 30_000;

type SysctlProvider = Provider<SysctlSpec, SysctlFact>;

export function createSysctlProvider(options: SysctlProviderOptions): SysctlProvider {
  const { files, kernel, originals, owned } = options;
  // -1 leaves an id as it is, chown(2).
  const id = options.ownership ? 0 : -1;
  const textOf = (file: string): string => (files.stat(file)?.type === 'file' ? files.read(file).toString('utf8') : '');
  const kept = () => parseSettings(textOf(SYSCTL_FILE));
  const remembered = (): Map<string, string> => {
    try {
      return new Map(Object.entries(JSON.parse(textOf(originals) || '{}') as Record<string, string>));
    } catch (cause) {
      const message = `cannot read ${originals}: it is damaged; remove it, and settings keep their values when they are removed`;
      throw new AgentError({ code: 'OriginalsUnreadable', phase: 'apply', message, cause });
    }
  };
  const remember = async (all: ReadonlyMap<string, string>) => {
    if (all.size === 0) files.remove(originals);
    else
      await files.write(originals, encode(JSON.stringify(Object.fromEntries(all))), { mode: 0o600, uid: id, gid: id });
  };
  /** Writes the file with these settings and those that are managed already, without those that are no longer declared. */
  const keep = async (more: ReadonlyMap<string, string>, gone: ReadonlySet<string> = new Set()) => {
    const ours = [...kept()].filter(([name]) => !gone.has(name) && owned(`sysctl:${name}`));
    const all = new Map([...ours, ...more]);
    if (all.size === 0) files.remove(SYSCTL_FILE);
    else await files.write(SYSCTL_FILE, encode(formatSettings(all)), { mode: 0o644, uid: id, gid: id });
  };
  /** Name → the later file that sets it. */
  const overrides = () => {
    const textOfOther = (file: string) =>
      textOf(files.stat(file)?.type === 'link' ? path.resolve(path.dirname(file), files.readlink(file)) : file);
    const all = SYSCTL_DIRECTORIES.flatMap((dir) => orElse([], () => files.list(dir).map((name) => `${dir}/${name}`)));
    return overridesIn(laterFiles(all).map((file) => ({ file, text: orElse('', () => textOfOther(file)) })));
  };

  const observe = async (ids: readonly ResourceId[]): Promise<Map<ResourceId, Seen<SysctlFact>>> => {
    const inFile = kept();
    const later = overrides();
    const look = async (id: ResourceId) => {
      const name = locatorOf(id);
      const fact: SysctlFact = { value: null, kept: inFile.get(name) ?? null };
      const overridden = later.get(name);
      if (overridden) fact.overridden = overridden;
      try {
        fact.value = (await kernel?.read(settingOf(name)))?.trim() ?? null;
      } catch (thrown) {
        fact.problem = thrown instanceof Error ? thrown.message : String(thrown);
      }
      return [id, { fact }] as const;
    };
    const all = await Promise.all(ids.map(look));
    return new Map(
      all.filter(([, { fact }]) => fact.value !== null || fact.kept !== null || fact.problem !== undefined),
    );
  };

  /** Sets a value and checks whether the kernel accepted it. */
  const set = async (name: string, value: string): Promise<void> => {
    if (kernel === null) return;
    const setting = settingOf(name);
    // A setting that cannot be read may still be writable, as net.ipv6.conf.*.stable_secret is at first.
    const before = await kernel.read(setting).catch(() => null);
    if (before !== null && isSame(value, before)) return;
    await kernel.write(setting, value);
    const after = (await kernel.read(setting)) ?? '';
    if (isSame(value, after)) return;
    if (before !== null) await kernel.write(setting, before.trim());
    const message = `the kernel changed ${name} = ${value} to ${JSON.stringify(after.trim())}; declare a value that it keeps`;
    throw new AgentError({ code: 'ApplyFailed', phase: 'apply', message });
  };

  const apply = async (work: readonly Work<SysctlSpec, SysctlFact>[]) => {
    const failures = new Map<ResourceId, AgentError>();
    const taken = new Map<string, string>();
    const attempt = async ({ want, seen }: Work<SysctlSpec, SysctlFact>) => {
      const { name, value } = want.spec;
      try {
        await set(name, value);
        taken.set(name, value);
      } catch (thrown) {
        const error = asAgentError(thrown, { code: 'ApplyFailed', phase: 'apply', resource: want.id });
        failures.set(want.id, error);
        // systemd sets a setting that appears later (with a module, an interface).
        if (error.code === 'Unsupported' && seen?.fact.value == null) taken.set(name, value);
        else taken.delete(name);
      }
    };
    for (const one of work) await attempt(one);
    // One setting may change another: net.ipv4.ip_forward, for example, sets accept_redirects of all interfaces.
    for (const one of work) if (!failures.has(one.want.id)) await attempt(one);
    const before = kept();
    if ([...taken].some(([name, value]) => before.get(name) !== value)) await keep(taken);
    return failures;
  };

  /** @throws AgentError if a value that may have to be restored cannot be read now; without a former value there is nothing to lose */
  const valueNow = async (name: string, original: string | undefined): Promise<string | null> => {
    try {
      return (await kernel?.read(settingOf(name))) ?? null;
    } catch (thrown) {
      if (original !== undefined) throw thrown;
      return null;
    }
  };

  const remove: SysctlProvider['remove'] = async (gone, _signal, report) => {
    const failures = new Map<ResourceId, AgentError>();
    const left = new Set<string>();
    const before = remembered();
    for (const { id, seen } of gone) {
      const name = locatorOf(id);
      const ours = [seen.mark?.memo?.value, seen.fact.kept];
      const original = before.get(name);
      try {
        const now = await valueNow(name, original);
        const isOurs = now !== null && ours.some((value) => typeof value === 'string' && isSame(value, now));
        if (isOurs && original !== undefined) await set(name, original);
        else if (now !== null && now.trim() !== original) {
          const why = isOurs ? 'the former value is not known' : 'somebody else set it';
          report?.(id, { field: 'value', to: `stays ${now.trim()}: ${why}` }, 'stays');
        }
        left.add(name);
      } catch (thrown) {
        failures.set(id, asAgentError(thrown, { code: 'RemoveFailed', phase: 'apply', resource: id, retry: true }));
      }
    }
    await keep(new Map(), left);
    // Deleted last, so that an interrupted removal continues with the same record.
    if ([...before.keys()].some((name) => left.has(name)))
      await remember(new Map([...before].filter(([name]) => !left.has(name))));
    return failures;
  };

  return {
    kind: 'sysctl',
    claims: ({ name }) => [`sysctl:${name}`],
    memo: ({ value }) => ({ value }),
    diff: (want, seen) => diff(want, seen, kernel !== null),
    health: (want, seen): Health => {
      if (diff(want, seen, kernel !== null).op === 'none') return { state: 'ok', message: '' };
      const problem = seen?.fact.problem;
      return problem === undefined ? DIFFERS : { state: 'bad', message: problem };
    },
    observe,
    async adopt(work) {
      try {
        const all = remembered();
        // A value that fairlead's file set at boot is no original.
        for (const { want, seen } of work)
          if (seen && seen.fact.value !== null && seen.fact.kept === null) all.set(want.spec.name, seen.fact.value);
        await remember(all);
        return new Map();
      } catch (thrown) {
        const error = asAgentError(thrown, { code: 'FileFailed', phase: 'apply' });
        return new Map(work.map(({ want }) => [want.id, error]));
      }
    },
    together: ['apply', 'remove'],
    apply,
    remove,
    watcher: createSysctlWatcher({
      observe,
      overrides,
      isRight: (want, seen) => diff(want, seen, kernel !== null).op === 'none',
    }),
  };
}

interface SysctlWatcherOptions {
  observe(ids: readonly ResourceId[]): Promise<ReadonlyMap<ResourceId, Seen<SysctlFact>>>;
  overrides(): ReadonlyMap<string, Override>;
  isRight(want: Desired<SysctlSpec>, seen: Seen<SysctlFact> | undefined): boolean;
}

/** Polls the declared settings, and hints those that differ. */
function createSysctlWatcher({ observe, overrides, isRight }: SysctlWatcherOptions): Watcher {
  let settings: readonly Desired<SysctlSpec>[] = [];
  let override: string | null = null;
  let hint: (id: ResourceId | '*') => void = () => undefined;
  const look = async () => {
    const watched = settings;
    const later = watched.length === 0 ? new Map<string, Override>() : overrides();
    override = overrideOf(watched, later);
    const seen = await observe(watched.map((want) => want.id));
    for (const want of watched) if (!isRight(want, seen.get(want.id))) hint(want.id);
  };
  const poll = () => void look().catch(() => undefined);
  return {
    kinds: ['sysctl'],
    async start(tell, signal) {
      hint = tell;
      const timer = setInterval(poll, POLL_MS);
      timer.unref();
      signal.addEventListener('abort', () => clearInterval(timer), { once: true });
    },
    manage(resources) {
      settings = resources.filter((r): r is Desired<SysctlSpec> => r.id.startsWith('sysctl:'));
      poll();
    },
    limit: () => (override === null ? null : { reason: 'Contended', message: override }),
  };
}

/** Returns the fallback if something cannot be read, such as a directory that others can write. */
function orElse<T>(fallback: T, look: () => T): T {
  try {
    return look();
  } catch {
    return fallback;
  }
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
