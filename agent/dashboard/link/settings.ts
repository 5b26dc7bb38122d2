/** The address of the broker: `config.json` beside the page, written by the server of the page. */
import { parseObject, textIn } from '../model/plain.ts';

export interface Settings {
  /** `wss://…` or `ws://…`; empty: the page asks for it. */
  broker: string;
  prefix: string;
  fleet: string;
  /** Names of hosts, where the broker cannot list them; null: those of the index on the broker. */
  hosts: readonly string[] | null;
  /** The page asks for a user before its first connection. */
  isAsking: boolean;
}

const MAX_TEXT = 500;

export const isSocketUrl = (url: string): boolean => /^wss?:\/\/[^\s]+$/.test(url) && URL.canParse(url);

/** @returns what the file says; what it leaves out is as for an agent */
export function settingsOf(text: string): Settings {
  const config = parseObject(text) ?? {};
  const broker = textIn(config.broker, MAX_TEXT);
  return {
    broker: isSocketUrl(broker) ? broker : '',
    prefix: textIn(config.prefix, MAX_TEXT) || 'fairlead',
    fleet: textIn(config.fleet, MAX_TEXT) || 'default',
    hosts: Array.isArray(config.hosts) ? config.hosts.map((host) => textIn(host, MAX_TEXT)).filter(Boolean) : null,
    isAsking: config.login === true,
  };
}

/** Throws if the file is not there or cannot be fetched. */
export async function loadSettings(): Promise<Settings> {
  const answer = await fetch('config.json', { cache: 'no-store', credentials: 'same-origin' });
  if (!answer.ok) throw new Error(`config.json beside this page cannot be read: the server answered ${answer.status}`);
  return settingsOf(await answer.text());
}
