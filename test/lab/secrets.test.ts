/**
 * Secrets on a real host: Debian's age as the other side, units and jobs that print them, and a scan of everything that the agent
 * leaves.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { stringify } from 'yaml';
import { decryptAge, encryptAge } from '../../agent/secrets/age.ts';
import { leaksBelow, leaksIn } from '../engine/leaks.ts';
import { sopsDocument } from '../unit/sops-writer.ts';
import { allRetained, fairlead, fairleadJson, installAgent } from './agent.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';

let lab: Lab;
let host: LabHost;
let repo: FleetRepo;
let recipient: string;
const H = 'hosts/edge-1';
const PASSWORD = `pa'ss "wörd" & $HOME`;
const TOKEN = 'tok_9f8e7d6c5b4a';
const ALL = [PASSWORD, TOKEN];
const said: string[] = [];

beforeAll(async () => {
  lab = await startLab({ name: 'layers-secrets', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  repo = await lab.infra.createRepo('fleet');
  await repo.commit({ [`${H}/a.yaml`]: 'files: {/etc/plain: {content: plain}}\n' }, 'Begin');
  await installAgent(host, { repoUrl: repo.httpUrl });
  recipient = (await fairlead(host, 'secret', 'recipients')).stdout.trim();
});
afterAll(async () => lab?.stop());
const withJournal = () => onTestFailed(async () => console.error(await host.journal('fairlead.service')));
async function say(...args: string[]) {
  const result = await fairlead(host, ...args);
  said.push(`${args.join(' ')}\n${result.stdout}${result.stderr}`);
  return result;
}
const text = async (file: string) => (await host.exec(['cat', file])).stdout;

test("Debian's age and ours decrypt each other's files, with the host’s own key", async () => {
  withJournal();
  expect(recipient).toMatch(/^age1/);
  const KEY = '/var/lib/fairlead/age.key';
  await host.write('/root/ours.age', await encryptAge(new TextEncoder().encode(PASSWORD), [recipient]));
  expect((await host.exec(['age', '-d', '-i', KEY, '/root/ours.age'])).stdout).toBe(PASSWORD);
  const secretKey = (await text(KEY)).split('\n').find((l) => l.startsWith('AGE-SECRET-KEY')) ?? '';
  for (const armor of ['-a', '']) {
    await host.sh(`printf %s '${TOKEN}' | age ${armor} -r ${recipient} > /root/theirs.age`);
    const bytes = readFileSync(`/proc/${await host.pid()}/root/root/theirs.age`);
    expect(new TextDecoder().decode(await decryptAge(bytes, secretKey))).toBe(TOKEN);
  }
  await host.sh('rm /root/*.age');
});

test('files, units and drop-ins contain their secrets; output that quotes them is masked', async () => {
  withJournal();
  await host.sh(`printf '%s\\n' '${TOKEN}' | age -a -r ${recipient} > /tmp/token.age`);
  const token = await text('/tmp/token.age');
  const db = stringify(await sopsDocument({ db: { password: PASSWORD } }, { recipients: [recipient] }));
  const files = {
    [`${H}/host.yaml`]: `age: ${recipient}\n`,
    [`${H}/db.sops.yaml`]: db,
    [`${H}/token.age`]: token,
    [`${H}/a.yaml`]: [
      'files:',
      '  /etc/db: {content: "{{ secrets.db.password }}", template: true}',
      '  /etc/token: {source: token.age, owner: daemon}',
      '  /etc/quiet.env: {content: "TOKEN={{ secrets.token }}", template: true}',
      'units:',
      '  quiet.service:',
      '    template: true',
      '    content: |',
      '      [Service]',
      '      EnvironmentFile=/etc/quiet.env',
      '      ExecStart=/bin/sleep infinity',
      '    state: started',
      '',
    ].join('\n'),
  };
  await repo.commit(files, 'Secrets');
  expect((await say('sync')).code).toBe(0);
  expect([await text('/etc/db'), await text('/etc/token')]).toEqual([PASSWORD, `${TOKEN}\n`]);
  expect((await host.exec(['stat', '-c', '%a %U', '/etc/db', '/etc/token'])).stdout).toBe('600 root\n600 daemon\n');
  const environment = 'tr "\\0" "\\n" < /proc/$(systemctl show -P MainPID quiet.service)/environ';
  // A service is active as soon as its process is forked, which has its environment a moment later (execve(2)).
  await until('its environment', 60_000, async () => (await host.sh(environment)).stdout.includes(`TOKEN=${TOKEN}\n`));
  expect((await host.exec(['systemctl', 'show', 'quiet.service'])).stdout).not.toContain(TOKEN);

  const wrong: [string, string, string][] = [
    [
      'a validator',
      `files: {/etc/v: {content: "{{ secrets.token }}", template: true, validate: [sh, -c, "cat %s; exit 1"]}}\n`,
      '/etc/v',
    ],
    ['a job', 'jobs: {tell: {run: [sh, -c, "cat /etc/token /etc/db; exit 3"]}}\n', 'job:tell'],
    ['a check', 'checks: {tell: {run: [sh, -c, "cat /etc/token; exit 3"], within: 1s}}\n', 'check:tell'],
    [
      'a unit that fails',
      'units:\n  loud.service:\n    template: true\n    content: |\n      [Service]\n      Type=oneshot\n      ExecStart=/bin/sh -c "cat /etc/token; exit 1"\n    state: started\n',
      'unit:loud.service',
    ],
  ];
  for (const [what, manifest, where] of wrong) {
    await repo.commit({ [`${H}/bad.yaml`]: manifest }, `Quote a secret: ${what}`);
    const { code, stdout, stderr } = await say('sync');
    expect([what, code, stdout + stderr]).toEqual([what, 1, expect.stringContaining(where)]);
    for (const args of [['status'], ['history', '--limit', '5'], ['plan', '--json'], ['status', '--json']])
      await say(...args);
    await repo.commit({ [`${H}/bad.yaml`]: null }, 'Mend');
    await say('sync');
  }
});

test('a lost key is a clear error; running resources stay', async () => {
  withJournal();
  const old = await text('/var/lib/fairlead/age.key');
  await host.sh('systemctl stop fairlead; rm /var/lib/fairlead/age.key; systemctl start fairlead');
  await repo.commit(
    { [`${H}/new.yaml`]: 'files: {/etc/new: {content: "{{ secrets.token }}", template: true}}\n' },
    'New',
  );
  const { code, stdout, stderr } = await say('sync');
  expect([code, stdout + stderr]).toEqual([1, expect.stringContaining('not encrypted to this host')]);
  expect(await text('/etc/db')).toBe(PASSWORD);
  await host.sh('systemctl stop fairlead');
  await host.write('/var/lib/fairlead/age.key', old, '0600');
  await host.sh('systemctl start fairlead');
  expect((await say('sync')).code).toBe(0);
  expect(await text('/etc/new')).toBe(TOKEN);
});

test('no log, answer, topic, database page or temporary file contains a secret', async () => {
  withJournal();
  for (const id of ['file:/etc/db', 'file:/etc/token', 'unit:quiet.service']) {
    await say('show', id);
    await say('show', id, '--json');
  }
  const { runs } = await fairleadJson<{ runs: { id: number }[] }>(host, 'history', '--limit', '50');
  for (const { id } of runs) await say('history', String(id), '--json');
  const topics = await allRetained(lab.infra);
  expect(topics).toContain('hosts/edge-1/status');
  const root = `/proc/${await host.pid()}/root`;
  expect(leaksBelow(`${root}/etc`, ALL, /never/).length).toBeGreaterThan(3);
  const found = [
    ...leaksBelow(`${root}/var/lib/fairlead`, ALL, /never/),
    ...leaksBelow(`${root}/run/fairlead`, ALL, /never/),
    ...leaksBelow(`${root}/tmp`, ALL, /never/),
    ...leaksBelow(`${root}/etc`, ALL, /\/(db|token|new|quiet\.env)$/),
    ...leaksIn('journal', await host.journal('fairlead.service'), ALL),
    ...leaksIn('topics', topics, ALL),
    ...said.flatMap((t) => leaksIn(t.split('\n')[0] ?? '', t, ALL)),
  ];
  expect(found).toEqual([]);
});
