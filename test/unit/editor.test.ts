/** The schemas in an editor: the language server of VS Code, Neovim and others completes, explains and reports errors. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const SCHEMAS = path.join(import.meta.dirname, '../../manifests-schema/json');
const require = createRequire(import.meta.url);
const SERVER = path.join(
  path.dirname(require.resolve('yaml-language-server/package.json')),
  'bin/yaml-language-server',
);

interface Message {
  id?: number;
  method?: string;
  params?: { uri?: string; diagnostics?: { message: string; range: { start: { line: number } } }[] };
  result?: unknown;
}

let server: ChildProcess;
let nextId = 1;
const waiting = new Map<number, (result: unknown) => void>();
const diagnosed = new Map<string, { message: string; range: { start: { line: number } } }[]>();
let heard = () => {};

function send(message: object): void {
  const body = JSON.stringify({ jsonrpc: '2.0', ...message });
  server.stdin?.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
const ask = <T>(method: string, params: object): Promise<T> =>
  new Promise((resolve) => {
    const id = nextId++;
    waiting.set(id, resolve as (result: unknown) => void);
    send({ id, method, params });
  });

beforeAll(async () => {
  server = spawn(process.execPath, [SERVER, '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] });
  let buffer = Buffer.alloc(0);
  server.stdout?.on('data', (chunk: Buffer) => {
    buffer = Buffer.concat([buffer, chunk]);
    for (;;) {
      const end = buffer.indexOf('\r\n\r\n');
      const length = Number(/Content-Length: (\d+)/.exec(buffer.subarray(0, Math.max(0, end)).toString())?.[1]);
      if (end === -1 || buffer.length < end + 4 + length) return;
      const message = JSON.parse(buffer.subarray(end + 4, end + 4 + length).toString()) as Message;
      buffer = buffer.subarray(end + 4 + length);
      if (message.method === 'textDocument/publishDiagnostics') {
        diagnosed.set(message.params?.uri ?? '', message.params?.diagnostics ?? []);
        heard();
      } else if (message.method === 'workspace/configuration' && message.id !== undefined) {
        const yaml = { validate: true, completion: true, hover: true, schemaStore: { enable: false } };
        send({ id: message.id, result: [yaml, {}, {}, {}, {}] });
      } else if (message.method !== undefined && message.id !== undefined) send({ id: message.id, result: null });
      else if (message.id !== undefined) waiting.get(message.id)?.(message.result);
    }
  });
  await ask('initialize', {
    processId: process.pid,
    rootUri: null,
    capabilities: { workspace: { configuration: true }, textDocument: { hover: { contentFormat: ['plaintext'] } } },
  });
  send({ method: 'initialized', params: {} });
});
afterAll(() => void server.kill());

/** Opens a document whose first line names the schema; `|` marks the cursor. */
function open(schema: string, body: string) {
  const head = `# yaml-language-server: $schema=${pathToFileURL(path.join(SCHEMAS, `${schema}.schema.json`))}\n`;
  const before = (head + body).split('|')[0] ?? '';
  const line = before.split('\n').length - 1;
  const position = { line, character: before.length - before.lastIndexOf('\n') - 1 };
  const uri = `file:///fleet/hosts/a/${schema}-${nextId}.yaml`;
  const text = (head + body).replace('|', '');
  send({ method: 'textDocument/didOpen', params: { textDocument: { uri, languageId: 'yaml', version: 1, text } } });
  return { textDocument: { uri }, position };
}

const completions = async (schema: string, body: string) => {
  const { items } = await ask<{ items: { label: string; documentation?: unknown }[] }>(
    'textDocument/completion',
    open(schema, body),
  );
  return Object.fromEntries(items.map((i) => [i.label, JSON.stringify(i.documentation ?? '')]));
};

test('keys are completed, each with its description', async () => {
  const file = await completions('manifest', 'files:\n  /etc/x:\n    |\n');
  expect(Object.keys(file)).toEqual(expect.arrayContaining(['content', 'source', 'mode', 'template', 'notify']));
  expect(file.mode).toContain('quoted octal');
  expect(Object.keys(await completions('manifest', '|'))).toEqual(
    expect.arrayContaining(['files', 'units', 'services']),
  );
  expect(Object.keys(await completions('host', 'mode: |\n'))).toEqual(expect.arrayContaining(['enforce', 'observe']));
  expect(Object.keys(await completions('role', '|'))).toEqual(expect.arrayContaining(['roles', 'vars']));
  expect(Object.keys(await completions('fleet', '|'))).toEqual(expect.arrayContaining(['hosts', 'roles', 'vars']));
});

test('a key under the cursor is explained', async () => {
  const hover = await ask<{ contents: unknown }>(
    'textDocument/hover',
    open('manifest', 'units:\n  x.service:\n    on_ch|ange: restart\n'),
  );
  expect(JSON.stringify(hover.contents)).toContain('action on the running unit after its file changed');
});

test('a mistake is underlined at its place', async () => {
  const { textDocument } = open('manifest', 'files:\n  /etc/x:\n    contnet: a\n|');
  await new Promise<void>((resolve) => {
    heard = () => {
      if ((diagnosed.get(textDocument.uri)?.length ?? 0) > 0) resolve();
    };
    heard();
  });
  expect(diagnosed.get(textDocument.uri)?.[0]).toMatchObject({
    message: expect.stringContaining('contnet'),
    range: { start: { line: 3 } },
  });
});
