/** Encrypted files of a stack on a real Docker engine: `secrets:` and `env_file`, over a reboot, a rotation and a removal. */
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { stringify } from 'yaml';
import { leaksBelow, leaksIn } from '../engine/leaks.ts';
import { sopsDocument, sopsDotenv } from '../unit/sops-writer.ts';
import { allRetained, fairlead, fairleadJson, installAgent } from './agent.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';

let lab: Lab;
let host: LabHost;
let repo: FleetRepo;
let recipient: string;
const STACK = 'hosts/edge-1/shop';
const KEPT = '/var/lib/fairlead/secrets/shop/secrets/token';
const TOKENS = ['tok-1 "q\'uoted" & $HOME', 'tok-2 rotated/Zm9v+YmFy'] as const;
const PASSWORDS = ['pw-one_4711 \\x', 'pw-two_0815 <y>'] as const;
const said: string[] = [];

/** Without a healthcheck a container counts as well after this time. */
const SOON = 'deploy: {update_config: {monitor: 500ms}}';
const COMPOSE = `services:
  web:
    image: infra:5000/app:1
    restart: always
    stop_grace_period: 1s
    ${SOON}
    env_file: [db.sops.env]
    secrets: [token]
secrets:
  token: {file: ./token.age}
`;

/** Another stack, whose encrypted files do not have the usual names. */
const OTHER = 'hosts/edge-1/other';
const OTHER_TREE = `/var/lib/fairlead/tree/${OTHER}`;
const KEYS = { env: 'env-9f3A_Key', file: 'file-7c2B_Key', mounted: 'conf-5d1C_Key', tree: 'tree-3e0D_Key' };
/** A secret in plain text, in a label. */
const LABELS = ['label-1a2B_Token', 'label-3c4D_Token'] as const;
const OTHER_COMPOSE = (label: string) => `services:
  app:
    image: infra:5000/app:1
    entrypoint: [/start.sh]
    stop_grace_period: 1s
    ${SOON}
    environment: {FROM_DOTENV: "\${API_KEY}"}
    env_file: [settings]
    labels: {app.token: "${label}"}
    volumes: ["./start.sh:/start.sh:ro", "./conf.yaml:/conf.yaml:ro", "./tree:/tree:ro"]
`;
const START = '#!/bin/sh\nexec sleep 100000\n';

async function other(label: string): Promise<Parameters<FleetRepo['commit']>[0]> {
  const recipients = [recipient];
  return {
    [`${OTHER}/compose.yaml`]: OTHER_COMPOSE(label),
    [`${OTHER}/.env`]: await sopsDotenv({ API_KEY: KEYS.env }, { recipients }),
    [`${OTHER}/settings`]: await armored(`FROM_FILE=${KEYS.file}\n`, recipient),
    [`${OTHER}/conf.yaml`]: stringify(await sopsDocument({ key: KEYS.mounted }, { recipients })),
    [`${OTHER}/tree/token`]: await armored(KEYS.tree, recipient),
    [`${OTHER}/tree/plain`]: 'plain\n',
    [`${OTHER}/start.sh`]: { executable: START },
  };
}

/** Encrypted with Debian's age. */
const armored = async (text: string, to: string) => (await host.exec(['age', '-a', '-r', to], { input: text })).stdout;

/** The stack, encrypted again: the same values yield other bytes each time. */
async function stack(token: string, password: string): Promise<Record<string, string>> {
  return {
    [`${STACK}/compose.yaml`]: COMPOSE,
    [`${STACK}/token.age`]: await armored(token, recipient),
    [`${STACK}/db.sops.env`]: await sopsDotenv({ DB_PASSWORD: password }, { recipients: [recipient] }),
  };
}
async function say(...args: string[]) {
  const result = await fairlead(host, ...args);
  said.push(`${args.join(' ')}\n${result.stdout}${result.stderr}`);
  return result;
}
const inside = async (...argv: string[]) =>
  (await host.exec(['docker', 'exec', 'shop-web-1', ...argv], { check: false })).stdout;
/** The secrets in the container: the mounted file, and the variable. */
const has = async () => [
  await inside('cat', '/run/secrets/token'),
  await inside('sh', '-c', 'printf %s "$DB_PASSWORD"'),
];
const identity = async () =>
  (await host.exec(['docker', 'inspect', '-f', '{{.Id}} {{.State.StartedAt}}', 'shop-web-1'])).stdout.trim().split(' ');
const withJournal = () => onTestFailed(async () => console.error(await host.journal('fairlead.service')));

beforeAll(async () => {
  lab = await startLab({ name: 'stack-secrets', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  repo = await lab.infra.createRepo('fleet');
  await repo.commit({ 'hosts/edge-1/a.yaml': 'files: {/etc/plain: {content: plain}}\n' }, 'Begin');
  await installAgent(host, { repoUrl: repo.httpUrl });
  recipient = (await fairlead(host, 'secret', 'recipients')).stdout.trim();
  await repo.commit(await stack(TOKENS[0], PASSWORDS[0]), 'A stack with secrets');
  const { code, stdout, stderr } = await say('sync');
  expect([code, code === 0 ? '' : stdout + stderr]).toEqual([0, '']);
});
afterAll(async () => lab?.stop());

test('the container has its secrets; on the host only root can read them', async () => {
  withJournal();
  expect(await has()).toEqual([TOKENS[0], PASSWORDS[0]]);
  const { stdout } = await host.sh(
    `stat -c '%a %U %n' /var/lib/fairlead /var/lib/fairlead/secrets; runuser -u nobody -- cat ${KEPT} 2>&1 || true`,
  );
  expect(stdout).toBe(
    `700 root /var/lib/fairlead\n700 root /var/lib/fairlead/secrets\ncat: ${KEPT}: Permission denied\n`,
  );
});

test('secrets that are encrypted again with the same values cause no change', async () => {
  withJournal();
  const before = await identity();
  await repo.commit(await stack(TOKENS[0], PASSWORDS[0]), 'The same, encrypted anew');
  expect((await say('sync')).code).toBe(0);
  expect(await identity()).toEqual(before);
});

test('after a power cut the container has its secrets, without the repository', async () => {
  withJournal();
  await lab.infra.exec(['systemctl', 'stop', 'nginx']);
  await host.powerOff();
  await host.powerOn();
  await until('the container', 60_000, async () => (await has())[0] === TOKENS[0]);
  expect(await has()).toEqual([TOKENS[0], PASSWORDS[0]]);
  await lab.infra.exec(['systemctl', 'start', 'nginx']);
  await until('the daemon', 60_000, async () => (await fairlead(host, 'sync')).code === 0);
});

test('after a rotation the container gets the new secrets: a mounted file by a restart, a variable by a new container', async () => {
  withJournal();
  const [id, began] = await identity();
  await repo.commit(await stack(TOKENS[1], PASSWORDS[0]), 'Another token');
  const plan = await say('plan');
  expect(plan.code).toBe(2);
  expect(plan.stdout).toContain('(secret changed)');
  expect((await say('sync')).code).toBe(0);
  await until('the new token', 30_000, async () => (await has())[0] === TOKENS[1]);
  const [sameId, later] = await identity();
  expect([sameId, later !== began]).toEqual([id, true]);

  await repo.commit(await stack(TOKENS[1], PASSWORDS[1]), 'Another password');
  await say('plan', '--json');
  expect((await say('sync')).code).toBe(0);
  expect(await has()).toEqual([TOKENS[1], PASSWORDS[1]]);
  expect((await identity())[0]).not.toBe(id);
});

test('a secret that this host cannot decrypt refuses the commit, is named, and leaves the container alone', async () => {
  withJournal();
  const before = await identity();
  const other = 'age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj';
  await repo.commit({ [`${STACK}/token.age`]: await armored(TOKENS[0], other) }, 'Not for us');
  const { code, stdout, stderr } = await say('sync');
  expect([code, stdout + stderr]).toEqual([1, expect.stringMatching(/token\.age.*not encrypted to this host/s)]);
  expect(await identity()).toEqual(before);
  await repo.commit(await stack(TOKENS[1], PASSWORDS[1]), 'Mend');
  expect((await say('sync')).code).toBe(0);
  expect(await identity()).toEqual(before);
});

test('encrypted files of any name are decrypted on every route, and scripts can be executed', async () => {
  withJournal();
  await repo.commit(await other(LABELS[0]), 'Another stack');
  const { code, stdout, stderr } = await say('sync');
  expect([code, code === 0 ? '' : stdout + stderr]).toEqual([0, '']);
  const show = 'printf "%s %s\\n" "$FROM_DOTENV" "$FROM_FILE"; cat /conf.yaml /tree/token';
  const seen = await host.exec(['docker', 'exec', 'other-app-1', 'sh', '-c', show]);
  expect(seen.stdout).toBe(`${KEYS.env} ${KEYS.file}\nkey: ${KEYS.mounted}\n${KEYS.tree}`);
  const files = ['start.sh', 'conf.yaml', 'tree/token', 'tree/plain'].map((name) => `${OTHER_TREE}/${name}`);
  const modes = await host.exec(['stat', '-c', '%a', ...files]);
  expect(modes.stdout.trim().split('\n')).toEqual(['755', '600', '600', '644']);
});

test('a token in a label is rotated, and neither the old nor the new one is shown', async () => {
  withJournal();
  await repo.commit(await other(LABELS[1]), 'Another token');
  const plan = await say('plan');
  expect(plan.stdout).toContain('(secret changed)');
  expect((await say('sync')).code).toBe(0);
  const label = await host.exec(['docker', 'inspect', '-f', '{{index .Config.Labels "app.token"}}', 'other-app-1']);
  expect(label.stdout.trim()).toBe(LABELS[1]);
});

test('a commit that changes only the executable bit changes the mode, and restarts nothing', async () => {
  withJournal();
  const id = ['docker', 'inspect', '-f', '{{.Id}} {{.State.StartedAt}}', 'other-app-1'];
  const before = (await host.exec(id)).stdout;
  await repo.commit({ [`${OTHER}/tree/plain`]: { executable: 'plain\n' } }, 'The bit alone');
  expect((await say('sync')).code).toBe(0);
  expect((await host.exec(['stat', '-c', '%a', `${OTHER_TREE}/tree/plain`])).stdout.trim()).toBe('755');
  expect((await host.exec(id)).stdout).toBe(before);
});

test('no log, answer, topic, database page, label or temporary file contains a secret', async () => {
  withJournal();
  const sealed = [...TOKENS, ...PASSWORDS, ...Object.values(KEYS)];
  const all = [...sealed, ...LABELS];
  for (const id of ['service:shop/web', `file:${KEPT}`, 'service:other/app', `file:${OTHER_TREE}/conf.yaml`])
    for (const more of [[], ['--json']]) await say('show', id, ...more);
  await say('resources', '--json');
  await say('status', '--json');
  const { runs } = await fairleadJson<{ runs: { id: number }[] }>(host, 'history', '--limit', '50');
  for (const { id } of runs) await say('history', String(id), '--json');
  const topics = await allRetained(lab.infra);
  expect(topics).toContain('hosts/edge-1/status');
  const labels = (
    await host.exec(['docker', 'inspect', '-f', '{{json .Config.Labels}} {{json .Mounts}}', 'shop-web-1'])
  ).stdout;
  const root = `/proc/${await host.pid()}/root`;
  // The scan finds the one place that must contain it.
  expect(leaksBelow(`${root}/var/lib/fairlead/secrets`, sealed, /never/).length).toBeGreaterThan(0);
  expect([
    ...leaksBelow(
      `${root}/var/lib/fairlead`,
      sealed,
      /\/secrets\/shop\/secrets\/token$|\/other\/(conf\.yaml|tree\/token)$/,
    ),
    // Secrets in plain text in the repository are in the accepted commit's files as well.
    ...leaksBelow(`${root}/var/lib/fairlead`, LABELS, /\.snapshot$/),
    ...leaksBelow(`${root}/run/fairlead`, all, /never/),
    ...leaksBelow(`${root}/tmp`, all, /never/),
    ...leaksIn('labels', labels, all),
    ...leaksIn('journal', await host.journal('fairlead.service'), all),
    ...leaksIn('topics', topics, all),
    ...said.flatMap((t) => leaksIn(t.split('\n')[0] ?? '', t, all)),
  ]).toEqual([]);
});

test('when the stack is removed its secrets are removed', async () => {
  withJournal();
  const files = [...Object.keys(await stack('', '')), ...Object.keys(await other(''))];
  await repo.commit(Object.fromEntries(files.map((f) => [f, null])), 'No stack');
  expect((await say('sync', '--allow-prune')).code).toBe(0);
  expect((await host.exec(['find', '/var/lib/fairlead/secrets', '-type', 'f'], { check: false })).stdout).toBe('');
});
