/** What every provider must do, whatever its kind; run on a lab host, and on a host in memory. */
import { describe, expect, test } from 'vitest';
import type { Provider, Work } from '../../agent/core/provider.ts';
import type { Change, Desired, ResourceId, Seen } from '../../agent/core/types.ts';
import { AgentError } from '../../agent/errors.ts';
import { withoutFailure } from '../failures.ts';

export interface Subject {
  provider: Provider;
  want: Desired;
  /** The same resource with another declaration, and the field that then differs. */
  changed: { want: Desired; field: string };
  /** A manual change with the host's own tools, and the field that shows it. */
  drifts: readonly { what: string; act: () => Promise<unknown>; field: string }[];
  /** Whether it exists, by the host's own tools. */
  exists: () => Promise<boolean>;
  /** Waits until a condition holds. */
  until(what: string, limitMs: number, condition: () => Promise<boolean>): Promise<unknown>;
  /** It outlives its removal (volumes; units with only a declared state). */
  stays?: true;
  /** Stops the service behind the provider, and starts it again; for subjects that are registered with `away`. */
  outage?: { begin: () => Promise<unknown>; end: () => Promise<unknown> };
}

interface ContractOptions {
  /** There is a service behind the provider (a Docker engine, a bus) that can be unreachable. */
  away: boolean;
}

const never = new AbortController().signal;

const lookAt = async (provider: Provider, id: ResourceId): Promise<Seen | undefined> =>
  (await provider.observe([id], never)).get(id);

/** One resource, brought to its declaration by the stages of the engine. */
export async function bring(provider: Provider, want: Desired): Promise<Change> {
  const seen = await lookAt(provider, want.id);
  const change = provider.diff(want, seen);
  const work: Work = { change, want, seen };
  for (const stage of [provider.prepare, provider.install]) {
    const [failed] = [...((await stage?.call(provider, [work], never, () => undefined)) ?? new Map()).values()];
    if (failed) throw failed;
  }
  await withoutFailure(provider.apply([work], never));
  return change;
}

const fieldsOf = (change: Change): string[] => (change.op === 'none' ? [] : change.why.map((r) => r.field));

/** @param make called once, after the lab is up */
export function contract(name: string, { away }: ContractOptions, make: () => Promise<Subject>): void {
  let subject: Promise<Subject> | undefined;
  const given = (): Promise<Subject> => {
    subject ??= make();
    return subject;
  };
  const drift = async () => {
    const { provider, want } = await given();
    return provider.diff(want, await lookAt(provider, want.id));
  };

  describe(name, () => {
    test('a provider has claims, and its pure functions are deterministic and do not change their arguments', async () => {
      const { provider, want } = await given();
      const frozen = deepFreeze(want);
      expect(provider.claims(frozen.spec).length).toBeGreaterThan(0);
      expect(provider.claims(frozen.spec)).toEqual(provider.claims(frozen.spec));
      const seen = deepFreeze(await lookAt(provider, want.id));
      expect(provider.diff(frozen, seen)).toEqual(provider.diff(frozen, seen));
      expect(provider.health(frozen, seen)).toEqual(provider.health(frozen, seen));
    });

    test('a missing resource is not observed, and its plan has a reason', async () => {
      const { provider, want, exists, stays } = await given();
      if (!stays) {
        expect(await exists()).toBe(false);
        expect(await lookAt(provider, want.id)).toBeUndefined();
      }
      const change = await drift();
      expect(change.op).not.toBe('none');
      expect(fieldsOf(change).length).toBeGreaterThan(0);
    });

    test('an applied resource exists, does not differ, and becomes well', async () => {
      const { provider, want, exists, until } = await given();
      await bring(provider, want);
      expect(await exists()).toBe(true);
      expect(await drift()).toEqual({ op: 'none' });
      expect(await bring(provider, want)).toEqual({ op: 'none' });
      await until(`${want.id} to be well`, 120_000, async () => {
        const health = provider.health(want, await lookAt(provider, want.id));
        expect(health.state, health.message).not.toBe('bad');
        return health.state === 'ok';
      });
    });

    test('one call observes many resources; missing ones are left out', async () => {
      const { provider, want } = await given();
      const others = Array.from({ length: 20 }, (_, i): ResourceId => `${provider.kind}:${unusedLocator(provider, i)}`);
      const seen = await provider.observe([...others, want.id], never);
      expect([...seen.keys()]).toEqual([want.id]);
    });

    test('each drift is detected, named by its field, and repaired', async () => {
      const { provider, want, drifts, exists } = await given();
      for (const { what, act, field } of drifts) {
        await act();
        const change = await drift();
        expect(fieldsOf(change), what).toContain(field);
        await bring(provider, want);
        expect(await drift(), what).toEqual({ op: 'none' });
        expect(await exists(), what).toBe(true);
      }
    });

    test('a changed declaration differs in the changed field, and is applied; and so is the reverse', async () => {
      const { provider, want, changed } = await given();
      expect(changed.want.hash).not.toBe(want.hash);
      expect(fieldsOf(await bring(provider, changed.want))).toContain(changed.field);
      expect(provider.diff(changed.want, await lookAt(provider, want.id))).toEqual({ op: 'none' });
      expect(fieldsOf(await bring(provider, want))).toContain(changed.field);
      expect(await drift()).toEqual({ op: 'none' });
    });

    if (away)
      test('while the service behind it is unreachable it returns a temporary error; afterwards it works as before', async () => {
        const { provider, want, outage, until } = await given();
        if (outage === undefined) throw new Error('this subject has no outage');
        await outage.begin();
        try {
          const thrown = await provider.observe([want.id], never).then(
            () => null,
            (error: unknown) => error,
          );
          expect(thrown).toBeInstanceOf(AgentError);
          expect(thrown).toMatchObject({ retry: true });
        } finally {
          await outage.end();
        }
        await until(
          `${want.id} to be observed again`,
          60_000,
          async () => (await lookAt(provider, want.id)) !== undefined,
        );
        await bring(provider, want);
        expect(await drift()).toEqual({ op: 'none' });
      });

    test('a removed resource is gone (or stays, if fairlead may not delete it); removing it again is no error', async () => {
      const { provider, want, exists, stays } = await given();
      const seen = await lookAt(provider, want.id);
      if (seen === undefined) throw new Error(`${want.id} is not there`);
      await withoutFailure(provider.remove([{ id: want.id, seen }], never));
      expect(await exists()).toBe(stays ?? false);
      if (!stays) expect(await lookAt(provider, want.id)).toBeUndefined();
      await withoutFailure(provider.remove([{ id: want.id, seen }], never));
    });
  });
}

/** A locator of the kind's form that names nothing. */
function unusedLocator({ kind }: Provider, i: number): string {
  if (kind === 'file') return `/nowhere/at-all-${i}`;
  if (kind === 'unit') return `nowhere-${i}.service`;
  return `nowhere/at-all-${i}`;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array) && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
