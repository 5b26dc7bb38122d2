/**
 * The monitoring of docs/monitoring.md with the real programs of Debian: promtool runs the tests of the alert rules; then a real
 * agent writes its file, node_exporter reads it, Prometheus scrapes that, and answers each query of the dashboard and of the
 * alerts. The two proxies of the page return the same text as the socket. Everything listens on loopback.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { parse } from 'yaml';
import { CHOICES } from '../../packaging/monitoring/dashboard.ts';
import { ROWS } from '../../packaging/monitoring/panels.ts';
import { startTrial } from '../engine/trial.ts';
import { readExposition } from '../exposition.ts';
import { until } from '../lab/run.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const EXAMPLES = path.join(ROOT, 'examples/monitoring');
const PACKAGES = ['prometheus', 'prometheus-node-exporter', 'socat', 'nginx'];
const WAIT_MS = 120_000;
const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-monitoring-'));
const started: ChildProcess[] = [];
let failures = 0;

/** Unpacks Debian's packages without installing them. @returns their root */
function unpackDebian(): string {
  const debs = path.join(dir, 'debs');
  const root = path.join(dir, 'root');
  fs.mkdirSync(debs, { mode: 0o777 });
  execFileSync('apt-get', ['-q', 'download', ...PACKAGES], { cwd: debs, stdio: ['ignore', 'ignore', 'inherit'] });
  for (const deb of fs.readdirSync(debs)) execFileSync('dpkg-deb', ['-x', path.join(debs, deb), root]);
  return root;
}

function start(program: string, ...args: string[]): void {
  const log = fs.openSync(path.join(dir, `${path.basename(program)}.log`), 'a');
  started.push(spawn(program, args, { stdio: ['ignore', log, log], cwd: dir }));
  fs.closeSync(log);
}

/** All at once: a port that is released may be given again. */
async function freePorts<const Names extends readonly string[]>(names: Names): Promise<Record<Names[number], number>> {
  const servers = names.map(() => net.createServer());
  await Promise.all(servers.map((s) => new Promise<void>((resolve) => s.listen(0, '127.0.0.1', resolve))));
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return Object.fromEntries(names.map((name, i) => [name, ports[i]])) as Record<Names[number], number>;
}

async function textOf(url: string): Promise<string | null> {
  const answer = await fetch(url).catch(() => null);
  return answer?.ok ? await answer.text() : null;
}

function say(isRight: boolean, what: string, why = ''): void {
  if (!isRight) failures++;
  console.log(`${isRight ? 'ok  ' : 'FAIL'} ${what.replaceAll(/\s+/g, ' ')}${isRight || why === '' ? '' : `: ${why}`}`);
}

interface Answer {
  status: string;
  error?: string;
  data?: { result: unknown[] };
}

async function main(): Promise<void> {
  const debian = path.join(unpackDebian(), 'usr');
  const rules = path.join(EXAMPLES, 'alerts.test.yaml');
  execFileSync(path.join(debian, 'bin/promtool'), ['test', 'rules', rules], { stdio: 'inherit' });
  say(true, 'promtool test rules alerts.test.yaml');

  const trial = await startTrial();
  const { exporter, prometheus, ...proxyPorts } = await freePorts(['exporter', 'prometheus', 'socat', 'nginx']);
  try {
    const textfiles = path.join(trial.root, 'var/lib/prometheus/node-exporter');
    fs.mkdirSync(textfiles, { recursive: true });
    const yaml = path.join(trial.root, 'etc/fairlead/agent.yaml');
    fs.appendFileSync(yaml, 'metrics: {textfile: /var/lib/prometheus/node-exporter/fairlead.prom}\n');
    await trial.commit({ 'hosts/trial/a.yaml': 'files: {/etc/motd: {content: "hello\\n"}}\n' }, 'Set up');
    await trial.start();
    await trial.cli('sync');

    start(path.join(debian, 'bin/prometheus-node-exporter'), ...exporterFlags(textfiles, exporter));
    const config = path.join(dir, 'prometheus.yml');
    fs.writeFileSync(config, prometheusConfig(exporter));
    start(
      path.join(debian, 'bin/prometheus'),
      ...[`--config.file=${config}`, `--web.listen-address=127.0.0.1:${prometheus}`],
      `--storage.tsdb.path=${path.join(dir, 'tsdb')}`,
    );
    const ask = async (expr: string): Promise<Answer> => {
      const url = `http://127.0.0.1:${prometheus}/api/v1/query?query=${encodeURIComponent(expr)}`;
      return JSON.parse((await (await fetch(url)).text()) || '{}') as Answer;
    };
    await until('two scrapes', WAIT_MS, async () => {
      const found = await ask('count_over_time(fairlead_info[5m]) > 1').catch(() => null);
      return (found?.data?.result.length ?? 0) > 0;
    });
    const error = (await ask('node_textfile_scrape_error')).data?.result[0] as { value: [number, string] } | undefined;
    say(error?.value[1] === '0', 'node_exporter reads the file without an error', JSON.stringify(error));

    // Events for the rates: a run that fails, drift, a second commit.
    await trial.commit({ 'hosts/trial/a.yaml': 'files: {/etc/motd: {content: "two\\n"}}\n' }, 'Second');
    await trial.cli('sync');
    await until('the second commit', WAIT_MS, async () => {
      const found = await ask('increase(fairlead_changes_total[5m]) > 0');
      return (found.data?.result.length ?? 0) > 0;
    });

    const alerts = parse(fs.readFileSync(path.join(EXAMPLES, 'alerts.yaml'), 'utf8')) as {
      groups: { rules: { alert: string; expr: string }[] }[];
    };
    for (const { alert, expr } of alerts.groups.flatMap((group) => group.rules)) {
      const found = await ask(expr);
      say(
        found.status === 'success' && found.data?.result.length === 0,
        `quiet on a host that is well: ${alert}`,
        JSON.stringify(found),
      );
    }

    // From here on every query has a result.
    fs.mkdirSync(path.join(trial.root, 'var/lib/dpkg'), { recursive: true });
    for (const file of ['var/lib/dpkg/status', 'run/reboot-required'])
      fs.writeFileSync(path.join(trial.root, file), '');
    await trial.commit({ 'hosts/trial/a.yaml': 'files: {/etc/motd: {contnet: "three"}}\n' }, 'Third');
    await trial.cli('sync');
    const isSeen = async (expr: string) => ((await ask(expr)).data?.result.length ?? 0) > 0;
    await until('the failure', WAIT_MS, () => isSeen('increase(fairlead_runs_total{result="failed"}[5m]) > 0'));
    // A new series is visible in `increase` with its second value.
    await trial.cli('sync');
    await until('its reason', WAIT_MS, () => isSeen('count_over_time(fairlead_run_failures_total[5m]) > 1'));
    for (const { label, query } of Object.values(CHOICES)) {
      const [, selector = '', name = ''] = /^label_values\((.*), (\w+)\)$/.exec(query) ?? [];
      const found = await ask(`count by (${name}) (${chosen(selector)})`);
      say((found.data?.result.length ?? 0) > 0, `the choice ${label}: ${query}`, JSON.stringify(found));
    }
    for (const panel of ROWS.flatMap((row) => row.panels))
      for (const { expr } of panel.queries) {
        const found = await ask(chosen(expr));
        const isAnswered = found.status === 'success' && (found.data?.result.length ?? 0) > 0;
        say(isAnswered, `the panel ${panel.title}: ${expr}`, JSON.stringify(found));
      }
    await proxies(debian, path.join(trial.root, 'run/fairlead/status.sock'), proxyPorts);

    await trial.stop();
    await until('the metrics to be gone with the agent', WAIT_MS, async () => {
      const found = await ask(
        'last_over_time(fairlead_info[1h]) unless on (instance, job) fairlead_info and on (instance, job) up == 1',
      );
      return (found.data?.result.length ?? 0) > 0;
    });
    say(true, 'FairleadGone sees that the agent was stopped');
  } finally {
    for (const child of started) child.kill('SIGKILL');
    await trial.end();
  }
}

/** As on the page, except for the socket, the port and the permitted clients. */
async function proxies(debian: string, socket: string, ports: { socat: number; nginx: number }): Promise<void> {
  const page = fs.readFileSync(path.join(ROOT, 'docs/monitoring.md'), 'utf8');
  const own = '/run/fairlead/status.sock';
  const line = /^socat (.*)$/m.exec(page)?.[1] ?? '';
  const [listen = '', connect = ''] = line.split(' ');
  start(
    path.join(debian, 'bin/socat'),
    listen.replace(/LISTEN:\d+/, `LISTEN:${ports.socat}`).replace(/range=[^,]*/, 'bind=127.0.0.1'),
    connect.replace(own, socket),
  );
  const server = (/^```nginx\n([\s\S]*?)^```$/m.exec(page)?.[1] ?? '')
    .replace(/listen \d+/, `listen 127.0.0.1:${ports.nginx}`)
    .replace(own, socket);
  const conf = path.join(dir, 'nginx.conf');
  const temps = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((t) => `${t}_temp_path ${dir}/${t};`)
    .join(' ');
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  fs.writeFileSync(
    conf,
    `daemon off; ${user} pid ${dir}/nginx.pid; error_log stderr; events {}\nhttp { access_log off; ${temps}\n${server}\n}\n`,
  );
  start(path.join(debian, 'sbin/nginx'), '-c', conf, '-p', dir);
  for (const [name, port] of Object.entries(ports)) {
    const url = `http://127.0.0.1:${port}/metrics`;
    const answers = await until(`the proxy ${name}`, 20_000, async () => (await textOf(url)) !== null).then(
      () => true,
      () => false,
    );
    const text = answers ? await textOf(url) : null;
    say(text !== null && readExposition(text).has('fairlead_info'), `the proxy ${name} gives the metrics`);
  }
  say((await textOf(`http://127.0.0.1:${ports.nginx}/v1/status`)) === null, 'nginx gives the metrics alone');
}

/** With all values that a reader may choose, and a range that a young Prometheus has data for. */
const chosen = (expr: string) => expr.replaceAll(/\$(fleet|instance)/g, '.*');

const exporterFlags = (textfiles: string, port: number): string[] => [
  '--collector.disable-defaults',
  '--collector.textfile',
  `--collector.textfile.directory=${textfiles}`,
  `--web.listen-address=127.0.0.1:${port}`,
];

const prometheusConfig = (exporter: number): string => `global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["${path.join(EXAMPLES, 'alerts.yaml')}"]
scrape_configs:
  - {job_name: node, static_configs: [{targets: ["127.0.0.1:${exporter}"]}]}
`;

try {
  await main();
} finally {
  fs.rmSync(dir, { recursive: true, force: true });
}
if (failures > 0) process.exitCode = 1;
