import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../agent/config.ts';
import { AgentError } from '../../agent/errors.ts';
import { check, nearest } from '../../manifests-schema/check.ts';
import { formatIssue } from '../../manifests-schema/issue.ts';
import { manifest } from '../../manifests-schema/manifest.ts';
import { parseYaml } from '../../manifests-schema/yaml.ts';

const complaints = (text: string): string[] => {
  const parsed = parseYaml('hosts/a/x.yaml', text);
  const checked = parsed.issues.length > 0 ? { ok: false as const, issues: parsed.issues } : check(manifest, parsed);
  return checked.ok ? [] : checked.issues.map(formatIssue);
};

describe('a manifest with mistakes', () => {
  test('gets file, line, column, key and the intended key, for all mistakes together', () => {
    const text = 'files:\n  /etc/x:\n    contnet: a\n  /etc/y:\n    content: 3\n    mode: 0644\nunis: {}\n';
    expect(complaints(text)).toEqual([
      expect.stringMatching(/^hosts\/a\/x\.yaml:3:5: unknown key `contnet`; did you mean `content`\?$/),
      expect.stringMatching(/^hosts\/a\/x\.yaml:5:5: `content` must be a string, got the number 3$/),
      expect.stringMatching(/^hosts\/a\/x\.yaml:6:5: `mode` must be a quoted octal string/),
      expect.stringMatching(/^hosts\/a\/x\.yaml:7:1: unknown key `unis`; did you mean `units`\?$/),
    ]);
  });

  test('in its YAML gets the line; a duplicate key is an error', () => {
    expect(complaints('files:\n  /etc/x: {content: "a\n')[0]).toMatch(
      /^hosts\/a\/x\.yaml:3:1: is not valid YAML: Missing closing "quote/,
    );
    expect(complaints('files:\n  /a: {content: a}\n  /a: {content: b}\n')[0]).toMatch(
      /:3:\d+: is not valid YAML.*unique/,
    );
  });

  test('that is a bomb or deeply nested is refused at once', () => {
    const bomb = `a: &a [x, x, x, x, x, x, x, x, x]\n${'bcdefghij'
      .split('')
      .map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefghi'[i]}`).join(', ')}]`)
      .join('\n')}\n`;
    const began = process.cpuUsage();
    expect(complaints(bomb).length).toBeGreaterThan(0);
    expect(complaints('['.repeat(100_000)).length).toBeGreaterThan(0);
    expect(complaints('a: 1\n'.repeat(2_000_000))[0]).toMatch(/may have/);
    // Processor time, which is the same on a busy machine.
    const { user, system } = process.cpuUsage(began);
    expect((user + system) / 1e6).toBeLessThan(10);
  });

  test('any text gets an answer with a place, and changes no prototype', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        for (const line of complaints(`files: {/x: {content: a}}\n${text}`))
          expect(line).toMatch(/^hosts\/a\/x\.yaml:\d+:\d+: /);
      }),
    );
    complaints('__proto__: {polluted: true}\nfiles: {__proto__: {content: x}}\n');
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

test('nearest: a typo of up to three letters finds the key, another word does not', () => {
  expect(nearest('enviroment', ['environment', 'env_file'])).toBe('environment');
  expect(nearest('zebra', ['environment', 'env_file'])).toBeUndefined();
});

describe('agent.yaml', () => {
  const read = (text: string) => parseConfig('/etc/fairlead/agent.yaml', text, 'Edge-01');
  const refused = (text: string): string => {
    try {
      read(text);
    } catch (thrown) {
      if (thrown instanceof AgentError) return thrown.message;
      throw thrown;
    }
    throw new Error('it was taken');
  };

  test('every key but repo.url has a default; the host is the machine, in lower case', () => {
    expect(read('repo: {url: https://git.example.com/fleet.git}\n')).toMatchObject({
      host: 'edge-01',
      fleet: 'default',
      repo: { ref: 'main', path: 'hosts/edge-01' },
      sync: { schedule: '* * * * *', splay: '60s' },
      docker: { socket: '/var/run/docker.sock' },
    });
  });

  test('labels are replaced in path and ref; an undefined label is an error that lists the defined ones', () => {
    const text =
      'labels: {ring: canary}\nrepo: {url: /r, ref: "${label.ring}", path: "/sites/${label.ring}/${host}/"}\n';
    expect(read(text).repo).toMatchObject({ ref: 'canary', path: 'sites/canary/edge-01' });
    expect(refused('repo: {url: /r, path: "hosts/${label.site}"}\n')).toMatch(
      /agent\.yaml:1:\d+: path: .*label\.site.* not defined/,
    );
  });

  test('mistakes are reported by line, all together; an empty file gets the missing keys', () => {
    expect(refused('repo:\n  url: /r\n  reff: x\nmqtt:\n  url: http://x\n').split('\n')).toEqual([
      expect.stringMatching(/:3:3: unknown key `reff`; did you mean `ref`\?/),
      expect.stringMatching(/:5:3: `url` must begin with mqtt/),
    ]);
    expect(refused('')).toMatch(/required key `repo` is missing/);
    expect(refused('repo: {}\n')).toMatch(
      /:1:1: required key `url` is missing \(https, http or ssh address, or a path/,
    );
  });

  test.each([
    ['a user without a password', 'repo: {url: "https://h/r", auth: {username: u}}', /`username` .*passwordFile/],
    ['a certificate without its key', 'repo: {url: "https://h/r", cert: /c}', /`cert` .*`key`/],
    [
      'a key of the broker without its certificate',
      'repo: {url: /r}\nmqtt: {url: "mqtts://h", key: /k}',
      /`key` .*`cert`/,
    ],
  ])('%s is refused, because it would have no effect', (_what, text, said) => {
    expect(refused(text)).toMatch(said);
  });

  test('a password in mqtt.url is refused, and not printed', () => {
    for (const url of ['mqtt://user:secret@broker', 'mqtts://user:sec/ret@broker:8883']) {
      const message = refused(`repo: {url: /r}\nmqtt:\n  url: ${url}\n`);
      expect(message).toMatch(/:3:3: `url` must not carry a user or a password.*passwordFile/);
      expect(message).not.toMatch(/sec/);
    }
    expect(read('repo: {url: /r}\nmqtt: {url: "mqtts://broker:8883", username: u}\n').mqtt?.username).toBe('u');
  });

  test('a broker is named by TCP or a websocket, with TLS or without', () => {
    for (const url of [
      'mqtt://b',
      'mqtts://b:8883',
      'ws://b/mqtt',
      'wss://b.example.com/a/mqtt',
      'wss://[2001:db8::1]:443/',
    ])
      expect(read(`repo: {url: /r}\nmqtt: {url: "${url}"}\n`).mqtt?.url).toBe(url);
    for (const url of ['http://b', 'tcp://b', 'broker:1883', 'ws:/b', 'wss://u:p@b/mqtt', 'mqtt://'])
      expect(refused(`repo: {url: /r}\nmqtt:\n  url: "${url}"\n`)).toMatch(/:3:3: `url` must/);
  });

  test('a password over a plain websocket is refused as over plain mqtt; keys for TLS have no effect without it', () => {
    const mqtt = (url: string, more: string) => `repo: {url: /r}\nmqtt:\n  url: ${url}\n  ${more}\n`;
    expect(refused(mqtt('ws://b/mqtt', 'passwordFile: /p'))).toMatch(/:3:3: `url` sends a password .*wss:\/\//);
    expect(refused(mqtt('mqtt://b', 'passwordFile: /p'))).toMatch(/:3:3: `url` sends a password .*mqtts:\/\//);
    for (const url of ['wss://b/mqtt', 'ws://127.0.0.1/mqtt', 'ws://localhost:9001/'])
      expect(read(mqtt(url, 'passwordFile: /p')).mqtt?.passwordFile).toBe('/p');
    expect(refused(mqtt('ws://b/mqtt', 'ca: /ca'))).toMatch(/:4:3: `ca` has no effect .*wss:\/\//);
    expect(
      refused(mqtt('mqtt://b', '{cert: /c, key: /k}').replace('  {cert: /c, key: /k}', '  cert: /c\n  key: /k')),
    ).toMatch(/:4:3: `cert` has no effect .*mqtts:\/\//);
  });

  test('a client id may contain host and labels, and no characters that brokers read as wildcards', () => {
    const of = (id: string) =>
      `labels: {site: b}\nrepo: {url: /r}\nmqtt:\n  url: mqtts://b\n  clientId: ${JSON.stringify(id)}\n`;
    expect(read(of('thing-${host}@${label.site}')).mqtt?.clientId).toBe('thing-edge-01@b');
    expect(read('repo: {url: /r}\nmqtt: {url: mqtts://b}\n').mqtt?.clientId).toBeUndefined();
    for (const id of ['', 'a b', 'a+', '#', 'é', 'x'.repeat(129)])
      expect(refused(of(id))).toMatch(/:5:3: `clientId` must be/);
    expect(refused(of('${label.ring}'))).toMatch(/:5:\d+: clientId: .*label\.ring.* not defined/);
  });

  test('a password or token over an unencrypted connection is refused, with its line, unless that is allowed explicitly', () => {
    const repo = (url: string, more = '') => `repo:\n  url: ${url}\n  auth: {tokenFile: /t}\n${more}`;
    for (const url of ['http://git.example.com/f.git', 'http://10.0.0.1/f.git', 'http://127.example.com/f.git'])
      expect(refused(repo(url))).toMatch(/:2:3: `url` sends a password or token without encryption.*https:\/\//);
    for (const url of [
      'https://git.example.com/f',
      'http://127.0.0.1:80/f',
      'http://localhost/f',
      'http://[::1]/f',
      '/f',
    ])
      expect(read(repo(url)).repo.url).toBe(url);
    expect(read(repo('http://git.example.com/f.git', '  insecure: true\n')).repo.insecure).toBe(true);
    expect(read('repo: {url: "http://git.example.com/f.git"}\n').repo.auth).toBeUndefined();
    const mqtt = (rest: string) => `repo: {url: /r}\nmqtt:\n  url: mqtt://broker\n${rest}`;
    expect(refused(mqtt('  passwordFile: /p\n'))).toMatch(/:3:3: `url` sends a password without encryption.*mqtts:/);
    expect(read(mqtt('  passwordFile: /p\n  insecure: true\n')).mqtt?.insecure).toBe(true);
    expect(read(mqtt('  username: u\n')).mqtt?.username).toBe('u');
  });

  test('a schedule that is not a cron expression is refused with its line', () => {
    for (const schedule of ['every minute', '61 * * * *', '* * *', '0 0 31 2 *'])
      expect(refused(`repo: {url: /r}\nsync:\n  schedule: "${schedule}"\n`)).toMatch(/:3:3: `schedule` must be a cron/);
    for (const schedule of ['*/5 * * * *', '30 * * * * *', '0 3 * * mon-fri'])
      expect(read(`repo: {url: /r}\nsync: {schedule: "${schedule}"}\n`).sync.schedule).toBe(schedule);
  });
});
