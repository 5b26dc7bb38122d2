/** Reasons are listed once, each is used, and no decision reads the words of a message. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { isOutage } from '../../agent/core/plan/target.ts';
import { reachOf } from '../../agent/core/reach.ts';
import { AgentError } from '../../agent/errors.ts';
import { explainPull } from '../../agent/kinds/image/errors.ts';
import { REASONS, reasonOf } from '../../manifests-schema/reasons.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const sources = readdirSync(path.join(ROOT, 'agent'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => {
    const text = readFileSync(path.join(ROOT, 'agent', file), 'utf8');
    return { file: `agent/${file}`, code: text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '') };
  });

describe('the table', () => {
  const codes = Object.keys(REASONS);

  test('has every code that is used', () => {
    const given = sources.flatMap(({ code }) =>
      [...code.matchAll(/\b(?:code|reason): '([A-Z][A-Za-z]+)'/g)].map(([, name = '']) => name),
    );
    expect(given.length).toBeGreaterThan(80);
    expect(given.filter((name) => !codes.includes(name) && !/^E[A-Z]+$/.test(name))).toEqual([]);
  });

  test('has no unused code', () => {
    const all = sources.map(({ code }) => code.replace(/[!=]== '\w+'/g, '')).join('\n');
    expect(codes.filter((name) => !all.includes(`'${name}'`))).toEqual([]);
  });

  test('has a sentence for each code', () => {
    for (const [code, { meaning }] of Object.entries(REASONS))
      expect(meaning, code).toMatch(/^([A-Z`]|agent|fairlead|systemd).*\.$/);
  });

  test('classifies an error, unless the error itself knows better', () => {
    const error = new AgentError({ code: 'ServerError', phase: 'fetch', message: 'x' });
    expect([error.retry, error.reach]).toEqual([true, 'answered']);
    const silent = new AgentError({ code: 'ServerError', phase: 'fetch', message: 'x', retry: false, reach: 'silent' });
    expect([silent.retry, silent.reach]).toEqual([false, 'silent']);
    expect(isOutage('EngineUnreachable')).toBe(true);
    expect(isOutage('PortInUse')).toBe(false);
  });

  test('treats a code of another version as no outage', () => {
    expect(reasonOf('OfTomorrow')).toMatchObject({ fault: 'host', retry: false });
    expect(reasonOf('constructor')).toMatchObject({ fault: 'host', retry: false });
  });
});

/** Files that classify foreign text: it becomes a code or a fact here. */
const CLASSIFIERS = [
  // Text of the Docker engine, and of registries through it.
  'agent/system/docker/engine-words.ts',
  'agent/kinds/image/errors.ts',
  // Text of credential helpers, whose protocol marks this one answer only by its words.
  'agent/system/docker/registry-credentials.ts',
  // Text of git servers, of OpenSSH, of OpenSSL.
  'agent/git/wire/server-error.ts',
  'agent/git/wire/ssh-failure.ts',
  'agent/git/wire/http-failure.ts',
  'agent/git/trust/signature.ts',
  // Text of a library that gives its errors no code.
  'agent/secrets/age.ts',
];

/** Patterns of decisions that read the words of an error, or of a program that failed. */
const WORDS: readonly RegExp[] = [
  /\/[a-z]*\.(?:test|exec)\((?=[^;\n)]*\b(?:message|thrown|error|cause|said|why|stderr|stdout|words)\b)(?![^;\n]*\.(?:code|member|dbusName)\b)/,
  /\.(?:test|exec)\([^;\n)]*(?:\.message\b|\b(?:said|why|stderr|stdout|words)\b|String\((?:thrown|error|cause)\))/,
  /\bmessage\??\.(?:includes|startsWith|endsWith|match|matchAll|search|indexOf)\(/,
  /String\((?:thrown|error|cause)\)\.(?:includes|startsWith|endsWith|match|search|indexOf)\(/,
  /\.message === ['"`]|\bmessage === '/,
];
const decidesByWords = (code: string): string[] =>
  code.split('\n').filter((line) => WORDS.some((pattern) => pattern.test(line)));

describe('no decision reads the words of a message', () => {
  test('outside of the files that classify foreign text', () => {
    const found = sources
      .filter(({ file }) => !CLASSIFIERS.includes(file))
      .flatMap(({ file, code }) => decidesByWords(code).map((line) => `${file}: ${line.trim()}`));
    expect(found).toEqual([]);
  });

  test('and each of these files does', () => {
    const plain = CLASSIFIERS.filter((name) => {
      const code = sources.find(({ file }) => file === name)?.code ?? '';
      return decidesByWords(code).length === 0 && !/: RegExp;|\[RegExp|says:/.test(code);
    });
    expect(plain).toEqual([]);
  });

  test.each([
    'return ANSWERED.test(`${error.message} ${causes}`);',
    'if (/already allocated/.test(said)) return;',
    "if (error.message.includes('refused')) return;",
    "if (String(thrown).startsWith('x')) return;",
    "if (message === 'aborted') return;",
    'if (/unacceptable protocol version/i.test(String(thrown))) return;',
  ])('%s is detected', (line) => {
    expect(decidesByWords(line)).toEqual([line]);
  });
});

describe('what an error proves about connectivity', () => {
  test.each([
    ['ECONNREFUSED', 'answered'],
    ['ECONNRESET', 'answered'],
    ['EPROTO', 'answered'],
    ['HPE_INVALID_CONSTANT', 'answered'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'answered'],
    ['ENOTFOUND', 'here'],
    ['EAI_AGAIN', 'here'],
    ['ENETUNREACH', 'here'],
    ['EHOSTUNREACH', 'here'],
    ['EPERM', 'here'],
    ['CERT_HAS_EXPIRED', 'here'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'here'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'here'],
    ['ETIMEDOUT', 'silent'],
    ['', 'silent'],
  ])('%s: %s', (code, reach) => {
    expect(reachOf(Object.assign(new Error('connect ECONNREFUSED, said somebody'), { code }))).toBe(reach);
  });
});

test('the name of an image is not read as an answer of the registry', () => {
  const pull = (image: string, said: string) =>
    explainPull({ image, thrown: new Error(said), credential: null, places: 'no credential' }).message;
  expect(pull('denied/app:1', 'manifest for denied/app:1 not found: manifest unknown')).toMatch(/no such image or tag/);
  expect(pull('r.example.com/x:1', 'x509: certificate signed by unknown authority')).toMatch(/private CA/);
  expect(pull('denied/app:1', 'pull access denied for denied/app')).toMatch(/no credential/);
});

test.each([
  ['is before 2026-11-29T00:00:00Z', 'ClockWrong', /this host's clock is behind/],
  ['is after 2026-11-29T00:00:00Z', 'ImagePullFailed', /has expired, or this host's clock is ahead/],
])(
  "a registry's certificate with invalid dates (current time %s) is distinguished from an untrusted one",
  (bound, code, message) => {
    const said = `tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time 1970-01-01T00:03:00Z ${bound}`;
    const error = explainPull({ image: 'r.example.com/x:1', thrown: new Error(said), credential: null, places: '' });
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  },
);
