import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { holdsAddress } from '../../agent/system/proc/sockets.ts';

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue\n';
const line = (local: string, state: string) => `   0: ${local} 00000000:0000 ${state} 00000000:00000000\n`;

/** The directory of a process as in proc(5). */
function process(tables: Record<string, string>): string {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-sockets-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  mkdirSync(path.join(dir, 'net'));
  for (const [name, lines] of Object.entries({ tcp: '', udp: '', ...tables }))
    writeFileSync(path.join(dir, 'net', name), `${HEAD}${lines}`);
  return dir;
}

test.each<[string, Record<string, string>, boolean]>([
  ['no sockets', {}, false],
  [
    'a server on every address',
    { tcp: line('00000000:1F90', '0A'), tcp6: line(`${'0'.repeat(32)}:1F90`, '0A') },
    false,
  ],
  [
    'loopback, including the Docker engine’s resolver',
    { tcp: line('0100007F:1F90', '01'), udp: line('0B00007F:A1B2', '07') },
    false,
  ],
  ['loopback of IPv6', { tcp6: line('00000000000000000000000001000000:1F90', '01') }, false],
  ['loopback written as IPv6', { tcp6: line('0000000000000000FFFF00000100007F:1F90', '01') }, false],
  ['a closed connection', { tcp: line('020012AC:1F90', '06') }, false],
  ['a connection', { tcp: line('020012AC:A1B2', '01') }, true],
  ['a connection of an IPv6 socket', { tcp6: line('0000000000000000FFFF0000020012AC:A1B2', '01') }, true],
  ['a server on its own address', { tcp: line('020012AC:1F90', '0A') }, true],
  ['a connected UDP socket', { udp: line('020012AC:A1B2', '01') }, true],
])('%s', async (_what, tables, holds) => {
  expect(await holdsAddress(process(tables))).toBe(holds);
});

test('an unreadable process may have one', async () => {
  expect(await holdsAddress('/nonexistent')).toBe(true);
});
