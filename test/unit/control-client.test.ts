import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createControlClient } from '../../agent/control/client.ts';
import type { SyncLine } from '../../agent/control/protocol.ts';

let dir: string;
let server: http.Server;
beforeEach(async () => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-client-'));
  // A daemon that is killed in the middle of its answer.
  server = http.createServer((_request, response) => {
    response.write('{"type":"phase","phase":"fetch"}\n{"type":', () => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(path.join(dir, 'agent.sock'), resolve));
});
afterEach(() => {
  server.close();
  rmSync(dir, { recursive: true });
});

test('a daemon that dies during its answer is reported as unreachable', async () => {
  const client = createControlClient({ dir });
  const lines: SyncLine[] = [];
  const gone = { code: 'DaemonUnreachable', message: expect.stringMatching(/^the daemon ended before/) };
  await expect(client.sync({}, { wait: true, line: (line) => lines.push(line) })).rejects.toMatchObject(gone);
  expect(lines).toEqual([{ type: 'phase', phase: 'fetch' }]);
  await expect(client.get('status')).rejects.toMatchObject(gone);
});

test('a missing daemon without agent.yaml is reported as a host that is not set up', async () => {
  const config = path.join(dir, 'agent.yaml');
  const client = createControlClient({ dir: path.join(dir, 'none'), config });
  const missing = (message: string) => ({ code: 'DaemonUnreachable', message: expect.stringContaining(message) });
  await expect(client.get('status')).rejects.toMatchObject(missing('not set up yet; run `fairlead init`'));
  writeFileSync(config, '');
  await expect(client.get('status')).rejects.toMatchObject(missing('systemctl status fairlead'));
});
