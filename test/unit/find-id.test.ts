import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findId } from '../../agent/core/reporting/find-id.ts';

const IDS = [
  'file:/etc/motd',
  'file:/etc/app/app.conf',
  'file:/etc/web/app.conf',
  'unit:app.service',
  'service:shop/web',
  'service:shop/web-admin',
];
const matches = (text: string) => findId(text, IDS).matches;

test('a part of an id finds the id that it matches: the last name, a path, a name without its extension', () => {
  expect(matches('motd')).toEqual(['file:/etc/motd']);
  expect(matches('/etc/motd')).toEqual(['file:/etc/motd']);
  expect(matches('web')).toEqual(['service:shop/web']);
  expect(matches('shop/web')).toEqual(['service:shop/web']);
  expect(matches('web/app.conf')).toEqual(['file:/etc/web/app.conf']);
  expect(matches('app.service')).toEqual(['unit:app.service']);
  expect(matches('MOTD')).toEqual(['file:/etc/motd']);
});

test('a part that matches several ids finds them all; a whole id finds only itself', () => {
  expect(matches('app.conf')).toEqual(['file:/etc/app/app.conf', 'file:/etc/web/app.conf']);
  expect(matches('shop/')).toEqual(['service:shop/web', 'service:shop/web-admin']);
  expect(matches('service:shop/web')).toEqual(['service:shop/web']);
});

test('a part that matches none suggests the nearest ids, or nothing if none is near', () => {
  expect(findId('file:/etc/mtod', IDS)).toEqual({ matches: [], near: ['file:/etc/motd'] });
  expect(findId('apq.conf', IDS).near).toEqual(['file:/etc/app/app.conf', 'file:/etc/web/app.conf']);
  expect(findId('', IDS)).toEqual({ matches: [], near: [] });
  expect(findId('zzzzzzzzzz', IDS).near).toEqual([]);
});

test('every id finds itself, and every result is one of the ids', () => {
  const locator = fc.string({ unit: fc.constantFrom(...'ab/.-_A'), minLength: 1, maxLength: 12 });
  const ids = fc.uniqueArray(
    fc.tuple(fc.constantFrom('file', 'unit'), locator).map((t) => t.join(':')),
    { minLength: 1 },
  );
  fc.assert(
    fc.property(ids, fc.string({ maxLength: 8 }), (all, text) => {
      for (const id of all) expect(findId(id, all).matches).toEqual([id]);
      const found = findId(text, all);
      for (const id of [...found.matches, ...found.near]) expect(all).toContain(id);
      expect(found.matches.length === 0 || found.near.length === 0).toBe(true);
    }),
  );
});
