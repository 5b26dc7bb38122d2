/** How the command line prints a failure, and its exit code. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { failure } from '../../agent/cli/failure.ts';

function said(act: () => void): { code: number; text: string } {
  let text = '';
  try {
    act();
  } catch (thrown) {
    const code = failure(thrown, (line) => {
      text += line;
    });
    return { code, text };
  }
  throw new Error('it did not fail');
}

test.each([
  ['read', () => void readFileSync('/nowhere/x'), 'cannot open /nowhere/x: there is no such file'],
  ['written', () => writeFileSync('/proc/x', ''), 'cannot open /proc/x: there is no such file'],
])('a file that cannot be %s is reported in one line, without a stack', (_what, act, line) => {
  expect(said(act)).toEqual({ code: 1, text: `fairlead: ${line}\n` });
});

test('a command without permission prints who may run it', () => {
  const denied = Object.assign(new Error('EACCES'), { code: 'EACCES', syscall: 'open', path: '/etc/x' });
  const throwing = () => {
    throw denied;
  };
  expect(said(throwing).text).toMatch(/^fairlead: cannot open \/etc\/x: permission denied; run it as root/);
});

test('a bug is printed with its stack', () => {
  const buggy = () => {
    throw new TypeError('x is not a function');
  };
  expect(said(buggy).text).toMatch(/TypeError: x is not a function\n.*at /);
});
