/** `after`, `notify` and `reload` of missing resources, and claims with two owners, in a commit that has other errors too. */
import { describe, expect, test } from 'vitest';
import { loadRepo } from './repo.ts';

const errorsOf = async (files: Record<string, string>): Promise<string[]> => {
  const repo = Object.fromEntries(Object.entries(files).map(([name, text]) => [`hosts/edge-1/${name}`, text]));
  const { issues } = await loadRepo(repo, { hostPath: 'hosts/edge-1' });
  return issues
    .filter((i) => i.severity === 'error')
    .map((i) => `${i.file.slice('hosts/edge-1/'.length)}:${i.line}: ${i.message}`);
};
const NAMES =
  'files:\n  /etc/a: {content: x, notify: ["unit:x.service"]}\n  /etc/b: {content: x, after: ["job:j"], reload: ["unit:y.service"]}\n';

test('missing references are reported together with all other errors', async () => {
  expect(await errorsOf({ 'a.yaml': `${NAMES}  /etc/c: {contnt: x}\n  /etc/d: {source: nope}\n` })).toEqual([
    'a.yaml:4: unknown key `contnt`; did you mean `content`?',
    expect.stringMatching(/^a.yaml:5: `source: nope` is not in the repository/),
    'a.yaml:2: file:/etc/a: `notify` names unit:x.service, which this host does not declare',
    'a.yaml:3: file:/etc/b: `after` names job:j, which this host does not declare',
    'a.yaml:3: file:/etc/b: `reload` names unit:y.service, which this host does not declare',
  ]);
});

test('a misspelled name is reported with the nearest one', async () => {
  const yaml = 'files:\n  /srv/app/: {}\n  /etc/a: {content: x, after: ["file:/srv/app/"]}\n';
  expect(await errorsOf({ 'a.yaml': yaml })).toEqual([
    'a.yaml:3: file:/etc/a: `after` names file:/srv/app/, which this host does not declare; did you mean file:/srv/app?',
  ]);
});

test('two owners of one claim, and a cycle in the order, are reported with them as well', async () => {
  const yaml = `files:
  /etc/systemd/system/x.service: {content: x}
  /etc/a: {content: x, after: ["file:/etc/b"]}
  /etc/b: {content: x, after: ["file:/etc/a"]}
  /etc/c: {contnt: x}
units: {x.service: {content: "[Service]\\nExecStart=/bin/true\\n"}}
`;
  const errors = await errorsOf({ 'a.yaml': yaml });
  expect(errors).toHaveLength(3);
  expect(errors.join('\n')).toMatch(
    /unknown key[\s\S]*both own path:\/etc\/systemd\/system\/x.service[\s\S]*dependency cycle: /,
  );
});

describe('a name that may exist in an unreadable part is not reported as missing', () => {
  test.each([
    [
      'an invalid entry',
      { 'a.yaml': `${NAMES}units: {x.service: {stat: started}, y.service: {source: nope}}\njobs: {j: {run: 1}}\n` },
    ],
    ['a file that is not YAML', { 'a.yaml': NAMES, 'b.yaml': 'units: {x.service: {\n' }],
    ['a section under a wrong name', { 'a.yaml': `${NAMES}unit: {x.service: {state: started}}\n` }],
    ['a missing role', { 'a.yaml': NAMES, 'host.yaml': 'roles: [nope]\n' }],
  ])('%s', async (_, files) => {
    const errors = await errorsOf(files);
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.filter((e) => e.includes('does not declare'))).toEqual([]);
  });

  test('a tree whose source is missing, and a stack with an error', async () => {
    const yaml =
      'files:\n  /srv/t: {source: nope}\n  /etc/a: {content: x, after: ["file:/srv/t/one"], notify: ["service:p/s"]}\n';
    const compose = 'name: p\nservices: {s: {imge: x}}\n';
    const errors = await errorsOf({ 'a.yaml': yaml, 'compose.yaml': compose });
    expect(errors.filter((e) => e.includes('does not declare'))).toEqual([]);
    const [only] = (await errorsOf({ 'a.yaml': yaml })).filter((e) => e.includes('does not declare'));
    expect(only).toContain('`notify` names service:p/s');
  });
});
