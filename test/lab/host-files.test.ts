/** Files on a real host: takeover and restoration, drift, validation, purge, and refusals of a disk. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { done, type EngineOn, engineOn, whyOf } from './engine-on.ts';
import { type Lab, type LabHost, startLab } from './lab.ts';

let lab: Lab;
let host: LabHost;
let engine: EngineOn;

beforeAll(async () => {
  lab = await startLab({ name: 'hostkinds-files', infra: 'shared', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  await host.write('/etc/fairlead/agent.yaml', 'own\n');
  engine = await engineOn(host);
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});

const cat = async (path: string) => (await host.exec(['cat', path])).stdout;
const stat = async (path: string) => (await host.exec(['stat', '-c', '%F %a %U %G', path])).stdout.trim();
const gone = async (path: string) => (await host.exec(['test', '-e', path], { check: false })).code !== 0;
const apply = (yaml: string, more: Record<string, string | Uint8Array> = {}) =>
  engine.apply({ 'a.yaml': `files:\n  /srv/anchor: {content: x}\n${yaml}`, ...more });
/** Leaves no entry but the anchor, so that no test sees another's. */
const clear = async () => expect((await apply('')).run.failed).toBe(0);

test('removing the entry of a file restores the original with its mode and owner', async () => {
  await host.sh(`mkdir -p /etc/old/dir; chmod 0711 /etc/old/dir; chown daemon /etc/old/dir
    printf 'mine\\0\\377' > /etc/old/file; chmod 0604 /etc/old/file; chown daemon:mail /etc/old/file
    ln -s /nowhere /etc/old/link; echo unwanted > /etc/old/unwanted; echo same > /etc/old/same`);
  const before = await host.sh('cd /etc/old; ls -ln --time-style=+ . dir; sha256sum file unwanted same');
  const entries = `  /etc/old/file: {content: ours, mode: "0600"}
  /etc/old/dir/: {mode: "0700"}
  /etc/old/link: {link: /etc/hostname}
  /etc/old/unwanted: {state: absent}
  /etc/old/same: {content: "same\\n"}
  /etc/old/new: {content: new}
`;
  const { run } = await apply(entries);
  expect(run.sync).toBe('synced');
  expect([await cat('/etc/old/file'), await stat('/etc/old/file')]).toEqual(['ours', 'regular file 600 root root']);
  expect([await gone('/etc/old/unwanted'), await stat('/etc/old/dir')]).toEqual([true, 'directory 700 root root']);
  // Neither later commits nor repairs change the original.
  await apply(entries.replace('ours', 'ours again').replace('same\\n', 'other\\n'));
  await host.sh('echo drifted > /etc/old/file');
  await engine.again();
  const removal = await apply('');
  expect(done(removal)).toContain('remove file:/etc/old/unwanted done');
  expect((await host.sh('cd /etc/old; ls -ln --time-style=+ . dir; sha256sum file unwanted same')).stdout).toBe(
    before.stdout,
  );
  // A second takeover keeps a new original.
  await apply(entries);
  await clear();
  expect((await host.sh('cd /etc/old; ls -ln --time-style=+ . dir; sha256sum file unwanted same')).stdout).toBe(
    before.stdout,
  );
});

test('bytes that a repair overwrites are kept and named in history; those that a commit replaces are not', async () => {
  await apply('  /srv/drift: {content: declared}\n');
  await host.sh('echo precious work > /srv/drift');
  const repair = await engine.again();
  expect(repair.run.repaired).toBe(1);
  const kept = whyOf(repair, 'file:/srv/drift').find((r) => r.field === 'kept')?.to ?? '';
  expect(kept).toMatch(/^\/var\/lib\/fairlead\/originals\/drift\//);
  expect([await cat('/srv/drift'), await cat(kept), await stat(kept)]).toEqual([
    'declared',
    'precious work\n',
    'regular file 600 root root',
  ]);
  const stored = engine.store.runs.get(repair.run.id)?.actions.find((a) => a.id === 'file:/srv/drift');
  expect(stored?.why).toContainEqual({ field: 'kept', to: kept });
  const commit = await apply('  /srv/drift: {content: other}\n');
  expect(whyOf(commit, 'file:/srv/drift').map((r) => r.field)).toEqual(['content']);
  await clear();
});

test('a change with the same size and an old time stamp is detected, and an unchanged file is not read again', async () => {
  await apply('  /srv/cached: {content: aaaa}\n');
  const [was] = [await host.exec(['stat', '-c', '%i %y', '/srv/cached'])];
  await host.sh('printf bbbb > /srv/cached; touch -d 2020-01-01 /srv/cached');
  expect(done(await engine.again())).toEqual(['update file:/srv/cached done']);
  expect(await cat('/srv/cached')).toBe('aaaa');
  expect(done(await engine.again())).toEqual([]);
  expect((await host.exec(['stat', '-c', '%i %y', '/srv/cached'])).stdout).not.toBe(was?.stdout);
  await clear();
});

test('a tree is mirrored byte for byte, and purge removes undeclared files, keeping their bytes', async () => {
  const binary = new Uint8Array(256).map((_, i) => i);
  const payload = { 'tree/bin': binary, 'tree/sub/a': 'a', 'tree/sub/b': 'b' };
  const yaml =
    '  /srv/tree/: {source: tree, purge: true, mode: "0640", group: mail}\n  /srv/tree/sub/more: {content: m}\n';
  await apply(yaml, payload);
  expect((await host.sh('od -An -tu1 -v -w256 /srv/tree/bin')).stdout.trim().split(/\s+/).map(Number)).toEqual([
    ...binary,
  ]);
  expect([await stat('/srv/tree/sub/a'), await stat('/srv/tree/sub')]).toEqual([
    'regular file 640 root mail',
    'directory 755 root mail',
  ]);
  await host.sh(
    'mkdir -p /srv/tree/x/y; echo z > /srv/tree/x/y/z; echo f > /srv/tree/sub/foreign; ln -s /etc /srv/tree/l',
  );
  const purged = await engine.again();
  expect(purged.run.sync).toBe('synced');
  expect((await host.sh('cd /srv/tree; find . | sort | xargs')).stdout.trim()).toBe(
    '. ./bin ./sub ./sub/a ./sub/b ./sub/more',
  );
  expect(await gone('/etc/hostname')).toBe(false);
  const kept = whyOf(purged, 'file:/srv/tree/sub').find((r) => r.field === 'kept');
  expect([kept?.from, await cat(kept?.to ?? '')]).toEqual(['/srv/tree/sub/foreign', 'f\n']);
  const { 'tree/sub/b': _, ...less } = payload;
  await apply(yaml, less);
  expect(await gone('/srv/tree/sub/b')).toBe(true);
  expect(done(await engine.again())).toEqual([]);
  await clear();
  expect(await gone('/srv/tree')).toBe(true);
});

test('a candidate that its validator refuses never replaces the old file, and the whole commit waits', async () => {
  const yaml = (word: string) =>
    `  /etc/valid/x.conf: {content: "${word}\\n", mode: "0600", validate: [sh, -c, 'case $1 in */x.conf) ;; *) exit 9;; esac; grep -q good "$1" || { echo "no good in $1"; exit 1; }', sh, "%s"]}\n  /etc/valid/other: {content: "${word}"}\n`;
  expect((await apply(yaml('good'))).run.sync).toBe('synced');
  const bad = await apply(yaml('evil'));
  expect(bad.outcome).toMatchObject({ rejected: true, problems: [{ reason: 'InvalidFile', line: 3 }] });
  expect(bad.outcome.problems[0]?.message).toContain('no good in /etc/valid/x.conf');
  expect([await cat('/etc/valid/x.conf'), await cat('/etc/valid/other')]).toEqual(['good\n', 'good']);
  expect((await host.sh('ls -A /var/lib/fairlead/staging 2>/dev/null || true')).stdout).toBe('');
  await clear();
});

test('a validator that the same commit installs runs once it is installed, before the swap', async () => {
  const yaml = (word: string) =>
    `  /usr/local/bin/judge: {content: "#!/bin/sh\\ngrep -q good $1\\n", mode: "0755"}\n  /etc/judged: {content: "${word}", validate: [/usr/local/bin/judge, "%s"], after: ["file:/usr/local/bin/judge"]}\n`;
  const refused = await apply(yaml('evil'));
  expect(done(refused)).toContain('create file:/etc/judged failed');
  expect(await gone('/etc/judged')).toBe(true);
  expect((await apply(yaml('good'))).run.sync).toBe('synced');
  await clear();
});

test('setuid and sticky bits, owners by name and by number', async () => {
  await apply(
    '  /srv/suid: {content: x, mode: "4755", owner: daemon, group: mail}\n  /srv/sticky/: {mode: "1777"}\n  /srv/num: {content: x, owner: "12345", group: "8"}\n',
  );
  expect([await stat('/srv/suid'), await stat('/srv/sticky'), await stat('/srv/num')]).toEqual([
    'regular file 4755 daemon mail',
    'directory 1777 root root',
    'regular file 644 UNKNOWN mail',
  ]);
  await host.exec(['chmod', '0755', '/srv/suid']);
  expect(done(await engine.again())).toEqual(['update file:/srv/suid done']);
  expect(await stat('/srv/suid')).toBe('regular file 4755 daemon mail');
  expect((await apply('  /srv/who: {content: x, owner: nobody-such}\n')).outcome.problems[0]).toMatchObject({
    reason: 'UnknownOwner',
  });
  await clear();
});

test('a read-only or full disk: one clear error, the old file is intact, and the rest is applied', async () => {
  await host.sh(`mkdir -p /srv/ro /srv/full
    mount -t tmpfs -o size=64k tmpfs /srv/full; echo old > /srv/full/file
    mount -t tmpfs tmpfs /srv/ro; echo old > /srv/ro/file; mount -o remount,ro /srv/ro`);
  const big = 'x'.repeat(100_000);
  const trouble = await apply(
    `  /srv/ro/file: {content: new}\n  /srv/full/file: {content: "${big}"}\n  /srv/fine: {content: new}\n`,
  );
  const said = Object.fromEntries(trouble.outcome.problems.map((p) => [p.id, p.message]));
  expect(said).toEqual({
    'file:/srv/ro/file': expect.stringContaining('read-only'),
    'file:/srv/full/file': expect.stringContaining('disk is full'),
  });
  expect([await cat('/srv/ro/file'), await cat('/srv/full/file')]).toEqual(['old\n', 'old\n']);
  expect([await cat('/srv/fine'), (await host.sh('ls -A /srv/full')).stdout]).toEqual(['new', 'file\n']);
  await host.sh('umount /srv/ro /srv/full');
  await clear();
});

test('another name of the same file keeps its mode and owner', async () => {
  await host.sh('echo secret > /srv/shadow; chmod 0600 /srv/shadow; ln /srv/shadow /srv/named');
  await apply('  /srv/named: {content: "secret\\n", mode: "0666"}\n');
  expect([await stat('/srv/shadow'), await stat('/srv/named')]).toEqual([
    'regular file 600 root root',
    'regular file 666 root root',
  ]);
  await clear();
});

test("fairlead's own files cannot be reached by links, mounts and the host's other names for them", async () => {
  await host.sh(`mkdir -p /srv/bind /srv/again
    mount --bind /etc/fairlead /srv/bind; mount --bind /etc/fairlead /srv/again; ln -sfn /etc/fairlead /srv/back; ln -sfn ../var/lib/fairlead/originals /srv/store`);
  const { outcome } = await apply(
    '  /srv/bind/agent.yaml: {content: evil}\n  /srv/back/agent.yaml: {content: evil}\n  /srv/store/evil: {content: evil}\n  /srv/again/: {mode: "0777"}\n',
  );
  expect(outcome.problems.map((p) => p.reason)).toEqual(['OwnPath', 'OwnPath', 'OwnPath', 'OwnPath']);
  expect([await cat('/etc/fairlead/agent.yaml'), await stat('/etc/fairlead')]).toEqual([
    'own\n',
    'directory 755 root root',
  ]);
  expect(await gone('/var/lib/fairlead/originals/evil')).toBe(true);
  await host.sh('umount /srv/bind /srv/again');
  await clear();
});

test('a path through a directory or link of another user is refused, and the rest is applied', async () => {
  await host.sh(`mkdir -p /srv/home; chown daemon /srv/home; ln -sfn /etc /srv/home/link; chown -h daemon /srv/home/link
    mkdir -p /srv/home/roots; chown root /srv/home/roots`);
  const { outcome } = await apply(
    '  /srv/home/link/x: {content: evil}\n  /srv/home/roots/x: {content: evil}\n  /srv/home/fine: {content: fine, owner: daemon}\n',
  );
  expect(outcome.problems.map((p) => [p.id, p.reason])).toEqual([
    ['file:/srv/home/link/x', 'UnsafePath'],
    ['file:/srv/home/roots/x', 'UnsafePath'],
  ]);
  expect([await gone('/etc/x'), await stat('/srv/home/fine')]).toEqual([true, 'regular file 644 daemon root']);
  await clear();
});
