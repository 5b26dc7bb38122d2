/** The contract of channels, run against MQTT and against the channel in memory that other tests use. */
import { createMqttFarEnd } from '../channel/broker.ts';
import { channelContract } from '../channel/contract.ts';
import { createMemoryFarEnd } from '../channel/memory.ts';

channelContract('in memory', async () => createMemoryFarEnd());
channelContract('MQTT 5', createMqttFarEnd);
