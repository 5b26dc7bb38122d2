/** The rules of commit messages, as docs/style.md states them. */
import { expect, test } from 'vitest';
import { problemsOf } from '../../packaging/commit-message.ts';

const subject = 'files: set the group before the mode';

test.each([
  ['a subject alone', `${subject}\n`],
  ['a subject and a body', `${subject}\n\nchown clears the set-group-id bit, so the mode must come last.\n`],
  ['several areas', 'core, engine: name the duration parser after what it does\n'],
  ['comments of git', `${subject}\n\n# Please enter the commit message for your changes. ${'x'.repeat(100)}\n`],
  ['text below the scissors line', `${subject}\n\n# ---- >8 ----\n${'diff '.repeat(40)}\n`],
  ['a long address', `${subject}\n\nsee https://example.com/${'x '.repeat(100)}\n`],
  ['a message by git itself', `Revert "${'x'.repeat(100)}"\n`],
  ['a fixup', 'fixup! anything\n'],
])('%s passes', (_, message) => {
  expect(problemsOf(message)).toEqual([]);
});

test.each([
  ['no subject', '\n', 'the subject is empty'],
  ['no area', 'Set the group before the mode\n', 'names no area'],
  ['an area without text', 'files: \n', 'names no area'],
  ['a long subject', `files: ${'x'.repeat(66)}\n`, 'has 73 characters'],
  ['a full stop', `${subject}.\n`, 'full stop'],
  ['a subject with two changes', `${subject}; report it\n`, 'joins two things'],
  ['a body without an empty line', `${subject}\nbecause\n`, 'second line'],
  ['a long line', `${subject}\n\n${'word '.repeat(30)}\n`, 'a line of the body has 149 characters'],
])('%s is refused', (_, message, problem) => {
  expect(problemsOf(message)).toEqual([expect.stringContaining(problem)]);
});
