/** Home Assistant's discovery: which documents are announced, and that they are removed when they are no longer wanted. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { silentLog } from '../../agent/log.ts';
import { announce } from '../../agent/report/mqtt/announce.ts';
import { discoveryOf } from '../../agent/report/mqtt/home-assistant.ts';
import { topicsOf } from '../../agent/report/mqtt/topics.ts';
import { agentConfig } from '../../manifests-schema/agent-config.ts';
import { metricsDocument, statusDocument } from '../../manifests-schema/payloads.ts';

const of = (fleet: string, host: string, prefix = 'homeassistant') => {
  const topics = topicsOf({ prefix: 'fairlead', fleet, host, ref: 'main' });
  return discoveryOf({ prefix, fleet, host, version: '1.2.3', topics });
};
interface Component {
  platform: string;
  unique_id: string;
  value_template: string;
  state_topic?: string;
}
const componentsOf = (document: Record<string, unknown>) =>
  Object.entries(document.components as Record<string, Component>);

describe('the document', () => {
  test('describes one device, whose availability is the presence of the host', () => {
    const { topic, document } = of('home', 'attic.lan');
    expect(topic).toBe('homeassistant/device/fairlead__home__attic_2elan/config');
    expect(document).toMatchObject({
      device: { identifiers: ['fairlead__home__attic_2elan'], name: 'attic.lan', sw_version: '1.2.3' },
      availability_topic: 'fairlead/home/hosts/attic.lan/presence',
      state_topic: 'fairlead/home/hosts/attic.lan/status',
    });
  });

  test('has only keys that Home Assistant accepts', () => {
    const known = ['device', 'origin', 'components', 'availability_topic', 'state_topic', 'qos'];
    const { document } = of('home', 'a');
    expect(Object.keys(document).filter((key) => !known.includes(key))).toEqual([]);
    expect(
      componentsOf(document).filter(([, { platform }]) => !['sensor', 'binary_sensor'].includes(platform)),
    ).toEqual([]);
  });

  test('names topics of this host alone, and different entities for each host and fleet', () => {
    const name = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,8}$/);
    fc.assert(
      fc.property(fc.tuple(name, name), fc.tuple(name, name), (one, other) => {
        const [a, b] = [of(...one), of(...other)];
        expect(a.topic.split('/')[2]).toMatch(/^[a-zA-Z0-9_-]+$/);
        expect(a.topic === b.topic).toBe(one[0] === other[0] && one[1] === other[1]);
        const ids = componentsOf(a.document).map(([, component]) => component.unique_id);
        expect(new Set(ids).size).toBe(ids.length);
        for (const [, { state_topic }] of componentsOf(a.document))
          if (state_topic !== undefined) expect(state_topic).toBe(`fairlead/${one[0]}/hosts/${one[1]}/metrics`);
      }),
    );
  });

  test('reads fields that the status and the metrics have', () => {
    const { document } = of('home', 'a');
    for (const [, { value_template, state_topic }] of componentsOf(document)) {
      const schema = z.toJSONSchema(state_topic?.endsWith('/metrics') ? metricsDocument : statusDocument, {
        io: 'input',
      });
      const paths = value_template.match(/value_json(\.\w+|\[0\])+/g) ?? [];
      expect(paths.length).toBeGreaterThan(0);
      for (const found of paths) expect(hasPath(schema, found.match(/\w+/g)?.slice(1) ?? [])).toBe(true);
    }
  });
});

/** Follows a path into a JSON Schema, through alternatives with null. */
function hasPath(schema: unknown, path: readonly string[]): boolean {
  const [first, ...rest] = path;
  if (first === undefined) return true;
  const { properties, anyOf, items } = schema as {
    properties?: Record<string, unknown>;
    anyOf?: unknown[];
    items?: unknown;
  };
  if (anyOf) return anyOf.some((one) => hasPath(one, path));
  if (first === '0') return items !== undefined && hasPath(items, rest);
  return properties?.[first] !== undefined && hasPath(properties[first], rest);
}

describe('at each connection', () => {
  function desk(before: readonly string[] = []) {
    const broker = new Map<string, string>();
    const refused = new Set<string>();
    let topics = [...before];
    for (const topic of before) broker.set(topic, 'old');
    const connect = (wanted: { topic: string; document: unknown } | null, dies = false) =>
      announce({
        link: {
          async publish(topic, payload) {
            if (dies) throw new Error('the connection was lost');
            if (refused.has(topic)) return 'refused';
            if (payload === '') broker.delete(topic);
            else broker.set(topic, payload);
            return 'taken';
          },
        },
        announced: {
          topics: () => topics,
          remember: (now) => {
            topics = [...now];
          },
        },
        wanted,
        log: silentLog,
      });
    return { broker, refused, connect, topics: () => topics };
  }
  const A = { topic: 'ha/device/a/config', document: { a: 1 } };
  const B = { topic: 'other/device/a/config', document: { b: 1 } };

  test('wanted documents are announced, and again after a broker lost them', async () => {
    const { broker, connect } = desk();
    await connect(A);
    broker.clear();
    await connect(A);
    expect([...broker]).toEqual([[A.topic, '{"a":1}']]);
  });

  test('documents that are no longer wanted are deleted and forgotten', async () => {
    const { broker, connect, topics } = desk();
    await connect(A);
    await connect(null);
    expect([...broker]).toEqual([]);
    expect(topics()).toEqual([]);
  });

  test('another prefix replaces the one before', async () => {
    const { broker, connect, topics } = desk([A.topic]);
    await connect(B);
    expect([...broker.keys()]).toEqual([B.topic]);
    expect(topics()).toEqual([B.topic]);
  });

  test('a document that the broker does not delete is tried again', async () => {
    const { broker, connect, refused, topics } = desk([A.topic]);
    refused.add(A.topic);
    await connect(B);
    expect(topics()).toEqual([B.topic, A.topic]);
    refused.clear();
    await connect(B);
    expect([...broker.keys()]).toEqual([B.topic]);
    expect(topics()).toEqual([B.topic]);
  });

  test('documents of a connection that died are known', async () => {
    const { connect, topics } = desk([A.topic]);
    await connect(B, true);
    expect(topics()).toEqual([A.topic, B.topic]);
    await connect(null);
    expect(topics()).toEqual([]);
  });
});

test.each([
  [true, true],
  [false, true],
  ['homeassistant', true],
  ['a/b', true],
  ['', false],
  ['a/', false],
  ['a/#', false],
  ['+/a', false],
  [3, false],
])('mqtt.homeAssistant: %j is %s', (homeAssistant, isRight) => {
  const given = { repo: { url: '/srv/fleet' }, mqtt: { url: 'mqtt://localhost', homeAssistant } };
  expect(agentConfig.safeParse(given).success).toBe(isRight);
});
