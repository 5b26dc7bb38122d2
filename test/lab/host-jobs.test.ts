/** Jobs and checks on a real host, and the order of all kinds together. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { done, type EngineOn, engineOn, whyOf } from './engine-on.ts';
import { type Lab, type LabHost, startLab, until } from './lab.ts';

let lab: Lab;
let host: LabHost;
let engine: EngineOn;

beforeAll(async () => {
  lab = await startLab({ name: 'hostkinds-jobs', infra: 'shared', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  engine = await engineOn(host);
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});

const apply = (yaml: string) => engine.apply({ 'a.yaml': yaml });
const read = async (path: string) => (await host.exec(['cat', path], { check: false })).stdout;
const job = (name: string, script: string, more = '') =>
  `  ${name}: {run: [sh, -c, ${JSON.stringify(script)}]${more}}\n`;
const running = async (pattern: string) => (await host.exec(['pgrep', '-f', pattern], { check: false })).stdout.trim();

test('a job runs when it is new, when it changed, and when something before it changed; not otherwise', async () => {
  const yaml = (word: string, script = 'echo ran >> /run/job-log') =>
    `files:\n  /srv/in: {content: ${word}}\n  /srv/other: {content: ${word}}\njobs:\n${job('change', script, ', after: ["file:/srv/in"]')}${job('once', 'echo once >> /run/once', ', when: once, after: ["file:/srv/in"]')}`;
  expect((await apply(yaml('a'))).run.sync).toBe('synced');
  expect([await read('/run/job-log'), await read('/run/once')]).toEqual(['ran\n', 'once\n']);
  expect(done(await engine.again())).toEqual([]);
  const input = await apply(yaml('b'));
  expect(done(input)).toContain('refresh job:change done');
  expect(await read('/run/job-log')).toBe('ran\nran\n');
  // Both together are one reason to run, not two.
  await apply(yaml('c', 'echo again >> /run/job-log'));
  expect([await read('/run/job-log'), await read('/run/once')]).toEqual(['ran\nran\nagain\n', 'once\n']);
  const declaration = await apply(yaml('c', 'echo third >> /run/job-log'));
  expect([declaration.run.repaired, done(declaration)]).toEqual([0, ['update job:change done']]);
  await apply('files: {/srv/in: {content: x}}\n');
  // A name that is declared again is a new job.
  await apply(yaml('x', 'echo fourth >> /run/job-log'));
  expect((await read('/run/job-log')).endsWith('third\nfourth\n')).toBe(true);
});

test('a job with `when: always` runs in every run, unless `unless` holds; that is no drift', async () => {
  const yaml = `files: {/srv/anchor: {content: x}}\njobs:\n${job('always', 'echo x >> /run/always; touch /run/enough', ', when: always, unless: [test, -e, /run/enough]')}`;
  await apply(yaml);
  expect(done(await engine.again())).toEqual([]);
  await host.exec(['rm', '/run/enough']);
  const again = await engine.again();
  expect([done(again), again.run.repaired, await read('/run/always')]).toEqual([
    ['update job:always done'],
    0,
    'x\nx\n',
  ]);
});

test('a job gets user, directory, environment and arguments as they were written, and nothing else', async () => {
  const script = 'id -un; id -Gn; pwd; echo "$A|$0|$1|$2"; env | cut -d= -f1 | sort | xargs';
  const argv = JSON.stringify(['sh', '-c', script, '%n $HOME ${A}', 'a \'b\' "c"', 'two\nlines']);
  await host.sh('usermod -aG mail daemon');
  const result = await apply(
    `files: {/srv/anchor: {content: x}}\njobs: {env: {run: ${argv}, user: daemon, cwd: /srv, env: {A: "x $y %i"}}}\n`,
  );
  const output = whyOf(result, 'job:env').find((r) => r.field === 'output')?.to ?? '';
  const lines = output.split('\n');
  expect(lines.slice(0, 5)).toEqual(['daemon', 'daemon mail', '/srv', `x $y %i|%n $HOME \${A}|a 'b' "c"|two`, 'lines']);
  const names = new Set(lines[5]?.split(' '));
  expect([...names].filter((n) => /FAIRLEAD|NOTIFY|WATCHDOG|CREDENTIALS/.test(n))).toEqual([]);
  expect(names.has('PATH') && names.has('HOME') && names.has('A')).toBe(true);
  expect(engine.store.runs.get(result.run.id)?.actions.find((a) => a.id === 'job:env')?.why).toContainEqual({
    field: 'output',
    to: output,
  });
});

test('a job that takes too long is stopped with all of its processes, whatever they did to escape', async () => {
  const script = 'echo began; setsid sleep 98765 & trap "" TERM; nohup sleep 98765 & sleep 98765; sleep 98765';
  const result = await apply(`files: {/srv/anchor: {content: x}}\njobs:\n${job('slow', script, ', timeout: 3s')}`);
  expect(result.outcome.problems[0]).toMatchObject({ reason: 'JobTimeout', message: expect.stringContaining('began') });
  expect(await running('sleep 98765')).toBe('');
  // It still has to run, and is retried.
  expect(done(await engine.again())).toEqual(['create job:slow failed']);
});

test('a stop of the agent stops the job', async () => {
  const stopper = new AbortController();
  const run = engine.apply(
    { 'a.yaml': `files: {/srv/anchor: {content: x}}\njobs:\n${job('long', 'sleep 87654')}` },
    stopper.signal,
  );
  await until('the job to run', 60_000, async () => (await running('sleep 87654')) !== '');
  stopper.abort();
  expect(done(await run)).toContain('create job:long failed');
  await until('the job to be gone', 60_000, async () => (await running('sleep 87654')) === '');
});

test('a failure blocks the resources after it, reports the last lines, and is retried; long output is cut', async () => {
  const yaml = (ok: boolean) =>
    `files:\n  /srv/free: {content: x}\n  /srv/after: {content: x, after: ["job:fails"]}\njobs:\n${job('fails', `seq 1 100000; ${ok ? 'true' : 'echo no such table >&2; exit 7'}`)}`;
  const failed = await apply(yaml(false));
  expect(failed.outcome.problems.map((p) => [p.id, p.reason])).toEqual([
    ['job:fails', 'JobFailed'],
    ['file:/srv/after', 'DependencyFailed'],
  ]);
  expect(failed.outcome.problems[0]?.message).toMatch(/exit status 7; it said: .*no such table/);
  const output = whyOf(failed, 'job:fails').find((r) => r.field === 'output')?.to ?? '';
  expect(output.length).toBeLessThan(5_000);
  expect(output).toContain('no such table');
  expect(await read('/srv/free')).toBe('x');
  expect((await apply(yaml(true))).run.sync).toBe('synced');
});

test('checks run after every apply, whatever it changed, and are watched from then on', async () => {
  const yaml = (word: string) => `files:
  /srv/word: {content: ${word}}
checks:
  web: {http: "http://${address}:8088/", expect: 404, within: 20s, every: 1s}
  port: {tcp: "${address}:8088", within: 20s, every: 1s}
  file: {run: [grep, -q, good, /srv/word], within: 3s, every: 1s}
`;
  const address = await host.address();
  await host.sh(
    'printf "server { listen 8088; location / { return 404; } }" > /etc/nginx/conf.d/check.conf; rm -f /etc/nginx/sites-enabled/*; (sleep 1; systemctl start nginx) > /dev/null 2>&1 &',
  );
  // It may take a while to come up: within.
  const first = await apply(yaml('good'));
  expect([first.run.sync, first.outcome.problems]).toEqual(['synced', []]);
  expect(done(first)).toContain('create check:web done');
  expect(done(await engine.again())).toEqual([]);

  const bad = await apply(yaml('evil'));
  expect(bad.outcome.problems).toMatchObject([
    { id: 'check:file', reason: 'Unhealthy', message: expect.stringContaining('ended with 1, not 0') },
  ]);
  expect(bad.outcome.resources.find((r) => r.id === 'check:file')?.health).toBe('degraded');
  await apply(yaml('good'));

  await host.exec(['systemctl', 'stop', 'nginx']);
  const health = async () =>
    Object.fromEntries((await engine.again()).outcome.resources.map((r) => [r.id, r.health]))['check:port'];
  await until('the watcher to notice it', 60_000, async () => (await health()) !== 'healthy');
  await host.exec(['systemctl', 'start', 'nginx']);
  await until('the watcher to notice its return', 60_000, async () => (await health()) === 'healthy');
});

test('a failed check prevents the removals of its commit', async () => {
  await apply('files: {/srv/keep: {content: x}, /srv/a: {content: x}}\n');
  const bad = await apply('files: {/srv/a: {content: y}}\nchecks: {no: {run: ["false"], within: 1s}}\n');
  expect(done(bad)).toEqual(['update file:/srv/a done', 'create check:no failed']);
  expect(await read('/srv/keep')).toBe('x');
  await apply('files: {/srv/a: {content: y}}\nchecks: {no: {run: ["true"], within: 20s}}\n');
  expect(await read('/srv/keep')).toBe('');
});

test('order across kinds: as declared, against the default order; in parallel without an order', async () => {
  // Two jobs that wait for each other end only if they run in parallel.
  const meets = (name: string, other: string) =>
    job(
      name,
      `echo ${name}+ >> /run/order; until grep -q '${other}[+]' /run/order; do sleep 0.1; done`,
      ', timeout: 60s',
    );
  const yaml = `files:
  /srv/z-last: {content: x, after: ["unit:o.service"]}
units:
  o.service:
    content: "[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStart=/bin/sh -c 'echo unit >> /run/order'\\n"
    state: started
    after: ["job:first"]
jobs:
${job('first', 'echo first+ >> /run/order; sleep 1; echo first- >> /run/order')}${meets('one', 'two')}${meets('two', 'one')}${job('end', 'test -e /srv/z-last && echo end >> /run/order', ', after: ["file:/srv/z-last", "job:one", "job:two"]')}`;
  expect((await apply(yaml)).run.sync).toBe('synced');
  const order = (await read('/run/order')).trim().split('\n');
  expect(order.indexOf('unit')).toBeGreaterThan(order.indexOf('first-'));
  expect(order.at(-1)).toBe('end');
  expect(order).toEqual(expect.arrayContaining(['one+', 'two+']));
});

test('cycles and duplicate claims report the cycle, or both places', async () => {
  const messages = async (yaml: string) =>
    (await engine.load({ 'a.yaml': yaml })).issues.map((i) => `${i.line} ${i.message}`);
  const [cycle] = await messages(
    'files:\n  /srv/a: {content: x, after: ["job:b"]}\njobs:\n  b: {run: [x], after: ["unit:c.service"]}\nunits:\n  c.service: {state: started, after: ["file:/srv/a"]}\n',
  );
  expect(cycle).toMatch(/cycle: .*→.*→.*→/);
  for (const id of ['file:/srv/a', 'job:b', 'unit:c.service']) expect(cycle).toContain(id);
  const [twice] = await messages(
    'files:\n  /etc/systemd/system/c.service: {content: x}\nunits:\n  c.service: {content: x}\n',
  );
  expect(twice).toMatch(/^4 .*unit:c.service and file:.*a.yaml:2.*path:\/etc\/systemd\/system\/c.service/);
  const [dropin] = await messages(
    'files:\n  /etc/systemd/system/c.service.d/x.conf: {content: x}\nunits:\n  c.service: {dropins: {x.conf: {content: "[Service]\\n"}}}\n',
  );
  expect(dropin).toContain('both own path:/etc/systemd/system/c.service.d/x.conf');
});
