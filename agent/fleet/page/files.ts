/** The files of the page of the fleet: those of the package, and `config.json`, which names the broker. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { AgentError } from '../../errors.ts';

export interface PageConfig {
  schema: 1;
  /** Websocket of the broker. */
  broker: string;
  prefix: string;
  fleet: string;
  /** The page asks for a user before its first connection. */
  login: boolean;
  /** Names of hosts, where the broker cannot list them. */
  hosts?: readonly string[];
}

export interface PageFile {
  body: Buffer;
  type: string;
  /** The name contains a hash of the content. */
  isLasting: boolean;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};
const CONFIG = 'config.json';

/** By their paths in a URL. @param dir of the built page. Throws AgentError `InvalidArgument` */
export function filesOf(dir: string, config: PageConfig): ReadonlyMap<string, PageFile> {
  const files = new Map<string, PageFile>();
  for (const name of namesIn(dir)) {
    const body = readFileSync(path.join(dir, name));
    files.set(`/${name}`, { body, type: TYPES[path.extname(name)] ?? '', isLasting: name !== 'index.html' });
  }
  const page = files.get('/index.html');
  if (page !== undefined) files.set('/', page);
  files.set(`/${CONFIG}`, {
    body: Buffer.from(textOf(config)),
    type: 'application/json; charset=utf-8',
    isLasting: false,
  });
  return files;
}

/** Writes them into a directory. @returns their names. Throws AgentError `InvalidArgument` */
export function writePage({ dir, config, out }: { dir: string; config: PageConfig; out: string }): string[] {
  const names = namesIn(dir);
  try {
    mkdirSync(out, { recursive: true });
    for (const name of names) copyFileSync(path.join(dir, name), path.join(out, name));
    writeFileSync(path.join(out, CONFIG), textOf(config));
  } catch (thrown) {
    throw unusable(`cannot write the page to ${out}: ${wordsOf(thrown)}; name another directory with --out`);
  }
  return [...names, CONFIG];
}

function namesIn(dir: string): string[] {
  const again = 'install the package again, or run `npm run build`';
  try {
    const names = readdirSync(dir).filter((name) => Object.hasOwn(TYPES, path.extname(name)));
    if (names.includes('index.html')) return names.sort();
  } catch (thrown) {
    throw unusable(`the page cannot be read: ${wordsOf(thrown)}; ${again}`);
  }
  throw unusable(`${dir} holds no page; ${again}`);
}

const textOf = (config: PageConfig): string => `${JSON.stringify(config, null, 2)}\n`;
const wordsOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));
export const unusable = (message: string) => new AgentError({ code: 'InvalidArgument', phase: 'report', message });
