/** Credentials that are in the repository in plain text, rotated on a host in memory: no answer, row or event shows one. */
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { printable } from '../../agent/control/printable.ts';
import { canonicalHash } from '../../agent/core/payload/hash.ts';
import { createFakeHost, type FakeHost, reconcilerOn } from '../fakes/host.ts';
import type { Reconciler } from '../reconciler.ts';
import { keyedHash, sha256 } from '../unit/repo.ts';

let host: FakeHost;
let engine: Reconciler;
beforeEach(() => {
  host = createFakeHost();
  host.engine.registry.push('app:1', { config: { Cmd: ['httpd'] } });
  engine = reconcilerOn(host);
});
afterEach(() => {
  engine.close();
  host.end();
});

/** Place → a host's files with the credential in it, and the resource that contains it. */
const PLACES: Record<string, { files: (secret: string) => Record<string, string>; id: string }> = {
  'options of a volume': {
    files: (s) =>
      stack(
        'volumes: ["nas:/nas"]',
        `volumes: {nas: {driver_opts: {type: cifs, device: //nas/x, o: "username=u,password=${s},vers=3.0"}}}`,
      ),
    id: 'volume:shop/nas',
  },
  'options of a network': {
    files: (s) => stack('networks: [n]', `networks: {n: {driver_opts: {"com.example.auth-token": "${s}"}}}`),
    id: 'network:shop/n',
  },
  'a variable': { files: (s) => stack(`environment: {DB_PASSWORD: "${s}"}`), id: 'service:shop/web' },
  'a URL in a variable': { files: (s) => stack(`environment: {DB: "postgres://u:${s}@db/x"}`), id: 'service:shop/web' },
  'a command': { files: (s) => stack(`command: [httpd, "--password=${s}"]`), id: 'service:shop/web' },
  'a command with a word': { files: (s) => stack(`command: httpd --api-token ${s}`), id: 'service:shop/web' },
  'an entrypoint': { files: (s) => stack(`entrypoint: [env, "SECRET_KEY=${s}", httpd]`), id: 'service:shop/web' },
  'a label': { files: (s) => stack(`labels: {app.token: "${s}"}`), id: 'service:shop/web' },
  'a healthcheck': {
    files: (s) => stack(`healthcheck: {test: "mysqladmin ping -p${s} || exit 1", interval: 1s}`),
    id: 'service:shop/web',
  },
  logging: {
    files: (s) => stack(`logging: {driver: splunk, options: {splunk-token: "${s}", splunk-url: "https://x"}}`),
    id: 'service:shop/web',
  },
  annotations: {
    files: (s) => stack(`annotations: {hook: "https://example.com/?token=${s}"}`),
    id: 'service:shop/web',
  },
  'a job': { files: (s) => ({ 'a.yaml': `jobs: {j: {run: [/bin/true, --password, "${s}"]}}\n` }), id: 'job:j' },
};

function stack(keys: string, ...top: string[]): Record<string, string> {
  return { 'shop/compose.yaml': ['services:', `  web: {image: "app:1", ${keys}}`, ...top, ''].join('\n') };
}

/** Everything that the agent stores about runs and events, and that `show` prints about the host. */
async function allReports(): Promise<string> {
  const plan = await engine.again();
  const { store } = engine;
  const facts = await Promise.all(
    [...engine.deps.providers.values()].map((p) =>
      p.observe(
        Object.values(PLACES)
          .map(({ id }) => id)
          .filter((id) => id.startsWith(`${p.kind}:`)) as never,
        new AbortController().signal,
      ),
    ),
  );
  const kept = [
    store.outbox.peek(1_000),
    store.runs.list({ limit: 100 }),
    Object.values(PLACES).map(({ id }) => store.runs.actionsOf(id as never, 100)),
  ];
  return JSON.stringify([plan.outcome, kept, printable(facts.map((f) => Object.fromEntries(f)))]);
}

const secret = fc.stringMatching(/^[A-Za-z0-9]{10,24}$/).filter((s) => /\d/.test(s) && /[a-z]/.test(s));

test.each(Object.keys(PLACES))('%s', async (place) => {
  const { files, id } = PLACES[place] ?? { files: () => ({}), id: '' };
  const [[before, after]] = fc.sample(fc.tuple(secret, secret), 1) as [[string, string]];
  const first = await engine.apply(files(before));
  expect(first.outcome.problems.filter((p) => p.id !== 'host').map((p) => p.message)).toEqual([]);
  const rotated = await engine.apply(files(after));
  const action = rotated.outcome.actions.find((a) => a.id === id);
  expect(action).toBeDefined();
  if (!place.includes('variable') && place !== 'a job')
    expect(JSON.stringify(action?.why)).toContain('(secret changed)');
  const all = JSON.stringify([first.outcome, rotated.outcome]) + (await allReports());
  expect(all).not.toContain(before);
  expect(all).not.toContain(after);
});

test('a stored declaration with a credential is hashed with the host’s key, and others as usual', async () => {
  const { resources } = await engine.load(stack('environment: {DB_PASSWORD: hunter2-x}', 'networks: {default: {}}'));
  const [web] = resources.filter((r) => r.id === 'service:shop/web');
  const [network] = resources.filter((r) => r.id === 'network:shop/default');
  expect(web?.hash).toBe(canonicalHash(web?.spec, keyedHash));
  expect(network?.hash).toBe(canonicalHash(network?.spec, sha256));
});
