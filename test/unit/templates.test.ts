import { describe, expect, test, vi } from 'vitest';
import { find, loadRepo, messages, textOf } from './repo.ts';

const render = async (template: string, more: Record<string, string> = {}) => {
  const loaded = await loadRepo(
    {
      'hosts/a/host.yaml': 'labels: {site: berlin}\nvars: {name: Ann, list: [1, 2], map: {k: v}, empty: ""}\n',
      'hosts/a/x.yaml': 'files: {/etc/x: {source: files/x, template: true}}\n',
      'hosts/a/files/x': template,
      ...more,
    },
    { labels: { ring: 'canary' } },
  );
  return loaded.issues.length > 0 ? messages(loaded).join('\n') : textOf(loaded, 'file:/etc/x');
};

describe('templates', () => {
  test('have host, vars and facts', async () => {
    expect(
      await render(
        '{{ host.name }} {{ host.fleet }} {{ host.labels.site }} {{ host.labels.ring }} {{ vars.name }} {{ vars.map.k }} {{ facts.os }} {{ facts.cpus }} {{ facts.ipv4 }}',
      ),
    ).toBe('a default berlin canary Ann v Debian 12 2 192.0.2.7');
    expect(await render('{% for i in vars.list %}{{ i }},{% endfor %}{% if vars.empty == "" %}none{% endif %}')).toBe(
      '1,2,none',
    );
  });

  test('without `template: true` everything is literal', async () => {
    const loaded = await loadRepo({
      'hosts/a/x.yaml': 'files: {/etc/x: {source: f}, /etc/y: {content: "{{ nope }}"}}\n',
      'hosts/a/f': '{{ nope }}',
    });
    expect([textOf(loaded, 'file:/etc/x'), textOf(loaded, 'file:/etc/y')]).toEqual(['{{ nope }}', '{{ nope }}']);
  });

  test('render content, trees and units; files of a tree that are not text stay unchanged', async () => {
    const loaded = await loadRepo({
      'hosts/a/host.yaml': 'vars: {n: 7}\n',
      'hosts/a/x.yaml':
        'files:\n  /etc/t/: {source: tree, template: true}\n  /etc/c: {content: "n={{ vars.n }}", template: true}\nunits:\n  x.service: {source: x.service, template: true}\n',
      'hosts/a/tree/one': '{{ vars.n }}',
      'hosts/a/tree/sub/two': '{{ vars.n | plus: 1 }}',
      'hosts/a/x.service': '[Service]\nExecStart=/bin/sleep {{ vars.n }}\n',
    });
    expect(messages(loaded)).toEqual([]);
    expect(['/etc/t/one', '/etc/t/sub/two', '/etc/c'].map((p) => textOf(loaded, `file:${p}`))).toEqual([
      '7',
      '8',
      'n=7',
    ]);
    expect(find(loaded, 'unit:x.service')?.spec.content).toContain('sleep 7');
  });

  test.each([
    ['an undefined name', 'a\nb {{ vars.nmae }}', 'hosts/a/files/x:2:6: template: undefined variable: vars.nmae'],
    [
      'an undefined name in a condition',
      '{% if vars.no %}x{% endif %}',
      'hosts/a/files/x:1:7: template: undefined variable: vars.no',
    ],
    ['an undefined top-level name', '{{ nope }}', 'undefined variable: nope'],
    [
      'a property that an object inherits from its class',
      '{{ vars.constructor }}{{ vars.__proto__ }}',
      'undefined variable: vars.constructor',
    ],
    ['an unknown filter', 'x\n{{ vars.name | upper }}', 'hosts/a/files/x:2:1: template: undefined filter: upper'],
    ['an unclosed tag', 'a\n\n{% if vars.name %}', 'hosts/a/files/x:3:1: template: '],
    ['a missing secret', '{{ secrets.db }}', 'undefined variable: secrets.db'],
    ['the time', '{{ "now" | date: "%s" }}', 'differs at every run'],
    ['chance', '{{ vars.list | sample }}', 'is random'],
    ['a very long loop', '{% for i in (1..9999) %}{% for j in (1..9999) %}{% endfor %}{% endfor %}', 'limit exceeded'],
    ['a range that fills memory', '{% for i in (1..999999999) %}{% endfor %}', 'limit exceeded'],
    [
      'text that doubles',
      '{% assign a = "xxxxxxxx" %}{% for i in (1..99) %}{% assign a = a | append: a %}{% endfor %}',
      'limit exceeded',
    ],
    ['a file of the machine', '{% include "/etc/passwd" %}', 'Failed to lookup'],
    ['a file above the layer', '{% include "../../../../etc/passwd" %}', 'Failed to lookup'],
    ['a file of another layer', '{% render "../../roles/r/f" %}', 'Failed to lookup'],
  ])('%s is an error with its place', async (_what, template, message) => {
    expect(await render(template, { 'roles/r/f': 'other layer' })).toContain(message);
  });

  test('may take long on a busy machine', async () => {
    let now = 0;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
      now += 1_000;
      return now;
    });
    try {
      expect(await render('{% for i in (1..50) %}{{ i }}{% endfor %}')).toMatch(/^1234.*50$/);
    } finally {
      clock.mockRestore();
    }
  });

  test.each([
    ['searches a long list', '{% for i in (1..9999) %}{% if vars.list contains "z" %}{% endif %}{% endfor %}'],
    ['compares long lists', '{% for i in (1..9999) %}{% if vars.list == vars.list %}{% endif %}{% endfor %}'],
    ['searches a long text', '{% for i in (1..9999) %}{% if vars.text contains "z" %}{% endif %}{% endfor %}'],
    ['includes a file that loops', '{% for i in (1..9999) %}{% render "./loop" %}{% endfor %}'],
    ['includes itself', '{% render "./self" %}'],
  ])('with a loop that %s reach a limit', async (_what, template) => {
    const loaded = await loadRepo({
      'hosts/a/host.yaml': `vars: {list: [${'x,'.repeat(20_000)}], text: "${'x'.repeat(20_000)}"}\n`,
      'hosts/a/x.yaml': 'files: {/etc/x: {source: files/x, template: true}}\n',
      'hosts/a/files/x': template,
      'hosts/a/files/loop': '{% for i in (1..9999) %}{% endfor %}',
      'hosts/a/files/self': '{% render "./self" %}',
    });
    expect(messages(loaded)).toEqual([expect.stringContaining('exceeded')]);
  });

  test('include files of their own layer, and errors name the included file', async () => {
    const parts = { 'hosts/a/files/part': 'one\n{{ vars.name }}{{ vars.gone }}', 'hosts/a/top': 'top {{ vars.name }}' };
    expect(await render('{% render "top" %}', parts)).toBe('top Ann');
    expect(await render('{% render "./part" %}', parts)).toContain(
      'hosts/a/files/part:2:19: template: undefined variable: vars.gone',
    );
  });

  test('report every undefined name at once, except those that depend on another undefined one', async () => {
    const text =
      '{{ vars.one }}\n{% assign x = vars.two %}{{ x }}\n{% for i in vars.list %}{{ vars.three }}{% endfor %}{{ vars.one }}\n{% render "./part" %}';
    const loaded = await loadRepo({
      'hosts/a/host.yaml': 'vars: {list: [1, 2]}\n',
      'hosts/a/x.yaml': 'files: {/etc/x: {source: files/x, template: true}}\n',
      'hosts/a/files/x': text,
      'hosts/a/files/part': '{{ secrets.four }}',
    });
    expect(messages(loaded)).toEqual([
      'hosts/a/files/x:1:4: template: undefined variable: vars.one',
      'hosts/a/files/x:2:15: template: undefined variable: vars.two',
      'hosts/a/files/x:3:28: template: undefined variable: vars.three',
      'hosts/a/files/x:3:56: template: undefined variable: vars.one',
      'hosts/a/files/part:1:4: template: undefined variable: secrets.four',
    ]);
  });

  test('an error in a literal block is at its line of the manifest, elsewhere at the key', async () => {
    const loaded = await loadRepo({
      'hosts/a/x.yaml':
        'files:\n  /etc/x:\n    template: true\n    content: |\n      fine\n      {{ bad }}\n  /etc/y: {template: true, content: "a {{ worse }}"}\n',
    });
    expect(messages(loaded)).toEqual([
      'hosts/a/x.yaml:6:1: template: undefined variable: bad',
      'hosts/a/x.yaml:7:28: template: undefined variable: worse',
    ]);
  });
});
