/** `notify` of agent.yaml: which settings are refused, with which messages, and that no message shows a URL. */
import { describe, expect, test } from 'vitest';
import { namesOf } from '../../../agent/notify/notifier.ts';
import { agentConfig } from '../../../manifests-schema/agent-config.ts';
import { check } from '../../../manifests-schema/check.ts';
import { parseYaml } from '../../../manifests-schema/yaml.ts';

const parse = (notify: string) => {
  const parsed = parseYaml('agent.yaml', `repo: {url: 'https://git.example.com/fleet.git'}\nnotify:\n  - ${notify}\n`);
  return check(agentConfig, parsed);
};
const complaints = (notify: string): string[] => {
  const checked = parse(notify);
  return checked.ok ? [] : checked.issues.map(({ line, message }) => `${line}: ${message}`);
};

test.each([
  "{format: slack, url: 'https://hooks.slack.com/services/T0/B0/xyz'}",
  '{format: slack, urlFile: /etc/fairlead/slack.url, on: [failed, recovered]}',
  '{format: teams, urlFile: /etc/fairlead/teams.url}',
  "{format: matrix, url: 'https://matrix.example.com', room: '!abc:example.com', tokenFile: /etc/fairlead/matrix.token}",
  "{format: ntfy, url: 'https://ntfy.sh/fleet', tokenFile: /etc/fairlead/ntfy.token}",
  "{format: json, url: 'http://127.0.0.1:8080/hook', signingKeyFile: /etc/fairlead/hook.key}",
  "{format: json, url: 'http://10.0.0.1/hook', insecure: true}",
  "{format: mail, url: 'smtps://mail.example.com', from: a@example.com, to: [ops@example.com], username: a, passwordFile: /x}",
])('%s is accepted', (notify) => {
  expect(complaints(notify)).toEqual([]);
});

test.each([
  ['{format: slack}', '3: `url` is missing: say `url`, or `urlFile` for one that is a secret'],
  ["{format: slack, url: 'https://x.example', urlFile: /x}", '3: `urlFile` has no effect beside `url`'],
  ["{format: slack, url: 'ftp://x.example/secret'}", '3: `url` must begin with https://'],
  [
    "{format: slack, url: 'http://x.example/secret'}",
    '3: `url` sends messages and the secret that lets them in without encryption, so that everybody on the way can read it; use https://, or say `insecure: true` if the way is yours alone',
  ],
  [
    "{format: json, url: 'https://u:secret@x.example/'}",
    '3: `url` must not carry a user or a password before the name of the server',
  ],
  ["{format: matrix, url: 'https://m.example'}", '3: `room` is missing, which matrix needs'],
  ["{format: slack, url: 'https://x.example', room: '!a:b.example'}", '3: `room` has no effect for slack'],
  [
    "{format: ntfy, url: 'https://ntfy.sh/'}",
    '3: `url` must end with the topic, such as https://ntfy.example.com/fleet',
  ],
  [
    "{format: mail, url: 'https://x.example', from: a@b.example, to: [c@d.example]}",
    '3: `url` must begin with smtps:// or smtp://',
  ],
  ["{format: slack, url: 'https://x.example', onn: [failed]}", '3: unknown key `onn`; did you mean `on`?'],
  [
    "{format: slak, url: 'https://x.example'}",
    '3: `format` must be slack or teams or matrix or ntfy or json or mail, got the string "slak"',
  ],
])('%s is refused', (notify, complaint) => {
  expect(complaints(notify)).toContain(complaint);
});

test('an offline host cannot report itself', () => {
  expect(complaints("{format: slack, url: 'https://x.example', on: [offline]}")[0]).toMatch(/must be failed or/);
});

test('no message shows a URL', () => {
  for (const url of ['ftp://x.example/s3cret', 'http://x.example/s3cret', 'https://u:s3cret@x.example/', 's3cret'])
    expect(complaints(`{format: slack, url: '${url}'}`).join()).not.toContain('s3cret');
});

describe('a destination', () => {
  test('has a name without secrets, and distinct names if there are two', () => {
    const checked = agentConfig.parse({
      repo: { url: 'x' },
      notify: [
        { format: 'slack', url: 'https://hooks.slack.com/services/s3cret' },
        { format: 'slack', url: 'https://hooks.slack.com/services/0ther' },
        { format: 'slack', urlFile: '/etc/fairlead/slack.url' },
        { format: 'mail', url: 'smtps://mail.example.com', from: 'a@example.com', to: ['ops@example.com'] },
      ],
    });
    expect(namesOf(checked.notify)).toEqual([
      'slack (hooks.slack.com)',
      'slack (hooks.slack.com) #2',
      'slack (/etc/fairlead/slack.url)',
      'mail (mail.example.com ops@example.com)',
    ]);
  });

  test('gets every notification unless configured otherwise', () => {
    const { notify } = agentConfig.parse({
      repo: { url: 'x' },
      notify: [{ format: 'slack', url: 'https://x.example' }],
    });
    expect(notify[0]?.on).toEqual(['failed', 'rolled-back', 'held', 'degraded', 'drift-storm', 'recovered']);
  });
});
