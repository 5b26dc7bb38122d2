/**
 * docs/monitoring.md, the alert rules and the dashboard use only metrics that exist. With Prometheus itself:
 * test/soak/monitoring.ts.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { statusOf } from '../../agent/core/reporting/status.ts';
import { familiesOf } from '../../agent/metrics/prometheus/families.ts';
import { createTally } from '../../agent/metrics/tally.ts';
import { dashboardText } from '../../packaging/monitoring/dashboard.ts';

const read = (file: string) => readFileSync(path.join(import.meta.dirname, '../..', file), 'utf8');
const families = familiesOf({
  status: statusOf({
    identity: { host: '', fleet: '', labels: {}, version: '', startedAt: '', instance: '' },
    state: {
      ...{ mode: 'enforce', labels: {}, desired: null, applied: null, lastGood: null, gate: null, pin: null, bad: [] },
      ...{ run: null, resources: [], hostStates: [], reason: '', message: '', problems: [], warnings: [], waiting: [] },
      running: false,
    },
    facts: { os: '', arch: '', kernel: '', addresses: [] },
    ...{ at: '', seq: 0, next: null },
  }),
  ...{ problems: [], resources: [], counts: createTally().counts(), outbox: 0, isConnected: true, needsReboot: true },
  ...{ goodMs: 0, process: { startedMs: 0, cpuSeconds: 0, rssBytes: 0 } },
});
const names = families.map(({ name }) => name);
const named = (text: string) => [...new Set(text.match(/\bfairlead_[a-z_]+/g) ?? [])];
const known = (name: string) => names.includes(name.replace(/_bucket$/, ''));

interface Rules {
  groups: { rules: { alert: string; expr: string }[] }[];
}
const rules = (parse(read('examples/monitoring/alerts.yaml')) as Rules).groups.flatMap((group) => group.rules);

test('the dashboard equals the output of `npm run dashboard`', () => {
  expect(read('examples/monitoring/dashboard.json')).toBe(dashboardText());
});

test('each query of the dashboard uses existing metrics', () => {
  expect(named(dashboardText()).filter((name) => !known(name))).toEqual([]);
});

test('each alert uses existing metrics', () => {
  expect(rules.flatMap(({ expr }) => named(expr)).filter((name) => !known(name))).toEqual([]);
});

test('each alert has a test for promtool', () => {
  const tested = read('examples/monitoring/alerts.test.yaml');
  expect(rules.filter(({ alert }) => !tested.includes(`alertname: ${alert}`)).map(({ alert }) => alert)).toEqual([]);
});

test('docs/monitoring.md lists exactly the existing metrics', () => {
  const listed = [...read('docs/monitoring.md').matchAll(/`(fairlead_[a-z_]+)`/g)].map(([, name = '']) => name);
  expect([...new Set(listed)].sort()).toEqual([...names].sort());
});
