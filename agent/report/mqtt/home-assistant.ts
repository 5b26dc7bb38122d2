/**
 * This host as a device of Home Assistant: one retained document of its MQTT discovery, which names the topics that there are
 * anyway (https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload; Home Assistant 2024.11 and later). Pure.
 */
import { syncState } from '../../../manifests-schema/payloads.ts';
import type { Topics } from './topics.ts';

export interface DiscoveryOptions {
  /** First part of the topics that Home Assistant listens to: its default is `homeassistant`. */
  prefix: string;
  fleet: string;
  host: string;
  /** Version of the agent. */
  version: string;
  topics: Pick<Topics, 'presence' | 'retained'>;
}

export interface Discovery {
  topic: string;
  document: Record<string, unknown>;
}

export function discoveryOf({ prefix, fleet, host, version, topics }: DiscoveryOptions): Discovery {
  const id = `fairlead__${plain(fleet)}__${plain(host)}`;
  const metrics = topics.retained('metrics');
  const sensor = (key: string, name: string, template: string, more: Record<string, unknown> = {}) => ({
    platform: 'sensor',
    name,
    unique_id: `${id}__${key}`,
    value_template: `{{ ${template} }}`,
    ...more,
  });
  const measured = (key: string, name: string, template: string, more: Record<string, unknown>) =>
    sensor(key, name, template, {
      ...{ state_topic: metrics, state_class: 'measurement', entity_category: 'diagnostic' },
      ...more,
    });
  const percent = { unit_of_measurement: '%', suggested_display_precision: 1 };
  return {
    topic: `${prefix}/device/${id}/config`,
    document: {
      device: {
        identifiers: [id],
        name: host,
        manufacturer: 'fairlead',
        model: `host of the fleet ${fleet}`,
        sw_version: version,
      },
      origin: { name: 'fairlead', sw_version: version },
      availability_topic: topics.presence,
      state_topic: topics.retained('status'),
      qos: 1,
      components: {
        sync: sensor('sync', 'Sync', 'value_json.sync', {
          ...{ device_class: 'enum', options: syncState.options },
          json_attributes_topic: topics.retained('status'),
          json_attributes_template: `{{ {'reason': value_json.reason, 'message': value_json.message, 'problems': value_json.problemsTotal} | tojson }}`,
        }),
        health: sensor('health', 'Health', 'value_json.health', {
          ...{ device_class: 'enum', options: ['healthy', 'progressing', 'degraded', 'unknown'] },
        }),
        problem: {
          platform: 'binary_sensor',
          name: 'Problem',
          unique_id: `${id}__problem`,
          device_class: 'problem',
          value_template: `{{ 'ON' if value_json.sync in ('failed', 'rolled-back') or value_json.health == 'degraded' else 'OFF' }}`,
        },
        commit: sensor('commit', 'Commit', '(value_json.applied.commit)[:12] if value_json.applied else none', {
          entity_category: 'diagnostic',
        }),
        cpu: measured('cpu', 'Processor', share('value_json.cpu.usedRatio'), percent),
        memory: measured(
          'memory',
          'Memory',
          used('value_json.memory.totalBytes', 'value_json.memory.availableBytes'),
          percent,
        ),
        disk: measured(
          'disk',
          'Disk',
          `(${used('value_json.disks[0].totalBytes', 'value_json.disks[0].availableBytes')}) if value_json.disks else none`,
          percent,
        ),
        temperature: measured('temperature', 'Temperature', 'value_json.temperatureCelsius', {
          ...{ device_class: 'temperature', unit_of_measurement: '°C' },
        }),
      },
    },
  };
}

/** Home Assistant takes `None` for not known. */
const share = (ratio: string): string => `(${ratio} * 100) | round(2) if ${ratio} is not none else none`;
const used = (total: string, available: string): string =>
  `((1 - ${available} / ${total}) * 100) | round(2) if ${total} and ${available} is not none else none`;

/** With letters, digits, `-` and `_` alone, and another one for each name: a lone `_` is always followed by a code. */
const plain = (name: string): string => name.replaceAll(/[._]/g, (char) => `_${char.charCodeAt(0).toString(16)}`);
