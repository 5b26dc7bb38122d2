/**
 * The daemon as a process: its metrics on the status socket, in a file for node_exporter, and those of its host on the broker.
 */
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { metricsDocument } from '../../manifests-schema/payloads.ts';
import { readExposition, valueIn } from '../exposition.ts';
import { until } from '../lab/run.ts';
import { PATIENCE_MS, startTrial, type Trial } from './trial.ts';

let trial: Trial;
const withLog = () => onTestFailed(() => console.error(trial.log()));

beforeAll(async () => {
  trial = await startTrial();
  await trial.commit({ 'hosts/trial/a.yaml': 'files: {/etc/motd: {content: "hello\\n"}}\n' }, 'Set up');
  await trial.start();
  expect((await trial.cli('sync')).code).toBe(0);
});
afterAll(async () => trial.end());

function scrape(): Promise<{ type: string | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    const socketPath = path.join(trial.root, 'run/fairlead/status.sock');
    const request = http.get({ socketPath, path: '/metrics' }, async (response) => {
      let text = '';
      for await (const chunk of response.setEncoding('utf8')) text += chunk;
      resolve({ type: response.headers['content-type'], text });
    });
    request.on('error', reject);
  });
}

test('the status socket answers in the text format of Prometheus', async () => {
  withLog();
  const { type, text } = await scrape();
  expect(type).toBe('text/plain; version=0.0.4; charset=utf-8');
  const families = readExposition(text);
  expect(valueIn(families, 'fairlead_sync_state', { state: 'synced' })).toBe(1);
  expect(valueIn(families, 'fairlead_resources', { sync: 'synced' })).toBe(1);
  expect(valueIn(families, 'fairlead_changes_total')).toBe(1);
  expect(valueIn(families, 'fairlead_last_good_sync_timestamp_seconds')).toBeGreaterThan(0);
});

test('the broker retains the metrics of the host', async () => {
  withLog();
  const topic = 'fairlead/default/hosts/trial/metrics';
  await until('host metrics', PATIENCE_MS, async () => trial.retained.has(topic));
  const document = JSON.parse(trial.retained.get(topic) ?? '');
  expect(metricsDocument.parse(document)).toMatchObject({ host: 'trial', fleet: 'default' });
  expect(document.memory.totalBytes).toBeGreaterThan(0);
});

test('Home Assistant has the host as a device for as long as agent.yaml enables it', async () => {
  withLog();
  const yaml = path.join(trial.root, 'etc/fairlead/agent.yaml');
  const topic = 'homeassistant/device/fairlead__default__trial/config';
  const before = fs.readFileSync(yaml, 'utf8');
  const takeOver = (text: string) => {
    fs.writeFileSync(yaml, text);
    trial.signal('SIGHUP');
  };
  takeOver(before.replace('mqtt: {', 'mqtt: {homeAssistant: true, '));
  await until('the device', PATIENCE_MS, async () => (trial.retained.get(topic) ?? '') !== '');
  expect(JSON.parse(trial.retained.get(topic) ?? '')).toMatchObject({ device: { name: 'trial' } });
  takeOver(before);
  await until('no device', PATIENCE_MS, async () => trial.retained.get(topic) === '');
});

test('the file for node_exporter exists while agent.yaml names it and the agent runs', async () => {
  withLog();
  const yaml = path.join(trial.root, 'etc/fairlead/agent.yaml');
  const prom = path.join(trial.root, 'srv/fairlead.prom');
  const before = fs.readFileSync(yaml, 'utf8');
  fs.mkdirSync(path.dirname(prom), { recursive: true });
  const takeOver = (text: string) => {
    fs.writeFileSync(yaml, text);
    trial.signal('SIGHUP');
  };
  takeOver(`${before}metrics: {textfile: /srv/fairlead.prom}\n`);
  await until('the file', PATIENCE_MS, async () => fs.existsSync(prom));
  expect(valueIn(readExposition(fs.readFileSync(prom, 'utf8')), 'fairlead_info')).toBe(1);
  takeOver(before);
  await until('no file', PATIENCE_MS, async () => !fs.existsSync(prom));
  takeOver(`${before}metrics: {textfile: /srv/fairlead.prom}\n`);
  await until('the file again', PATIENCE_MS, async () => fs.existsSync(prom));
  await trial.stop();
  expect(fs.existsSync(prom)).toBe(false);
});
