/** Small files that expand to something huge; each runs in a process of its own (bomb-process.ts). */

const bytes = (...list: number[]) => new Uint8Array(list);
const nested = (open: string, close: string, n: number) => open.repeat(n) + close.repeat(n);

export const BOMBS: Record<string, string | Uint8Array> = {
  'an alias bomb': `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefghij'].map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefghi'[i]}`)}]`).join('\n')}\nfiles: *j\n`,
  'a merge bomb': `a: &a {x: 1}\n${Array.from({ length: 60 }, (_, i) => `b${i}: &b${i} {<<: [*${i ? `b${i - 1}` : 'a'}, *${i ? `b${i - 1}` : 'a'}]}`).join('\n')}\nfiles: *b59\n`,
  'an alias to itself': 'files: &a\n  /etc/x: *a\n',
  'deep flow lists': `files: ${nested('[', ']', 50_000)}`,
  'deep flow maps': `files: ${nested('{a: ', '}', 50_000)}`,
  'deep lists': `files:\n${'- '.repeat(50_000)}x`,
  'deep maps': Array.from({ length: 2_000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
  'deep keys': `${'? '.repeat(20_000)}x`,
  'a wide list': `files: [${'1,'.repeat(400_000)}]`,
  'many entries': `files:\n${Array.from({ length: 4_000 }, (_, i) => `  /etc/f${i}: {contnet: x}`).join('\n')}`,
  'a map of very many keys': Array.from({ length: 25_000 }, (_, i) => `k${i}: x`).join('\n'),
  'one long line': `files: {/etc/x: {content: "${'x'.repeat(3_000_000)}`,
  'many documents': '---\na: 1\n'.repeat(50_000),
  'many comments': '# x\n'.repeat(200_000),
  'more than a manifest may have': 'x'.repeat(5_000_000),
  'anchors without end': `files: [${Array.from({ length: 20_000 }, (_, i) => `&a${i} x`).join(', ')}]`,
  'bytes that are no text': bytes(0xff, 0xfe, 0x00, 0x80, 0xc3, 0x28, 0x0a, 0x66),
  'nothing but NUL': bytes(...Array(2_000).fill(0)),
  'a tag of another language': 'files: !!js/function "function(){ return 1 }"\n',
  'colons on one line': ': '.repeat(2_000_000),
  'colons in a flow list': `files: [${': '.repeat(1_500_000)}`,
  'ampersands on one line': '& '.repeat(1_500_000),
  'a page of question marks': `${'? '.repeat(6)}\n`.repeat(29_000),
  'a page of colons': `${': '.repeat(4)}\n`.repeat(25_000),
  'binary and sets': 'files: !!binary aGVsbG8=\nunits: !!set {a, b}\n',
  'a directive': '%YAML 9.9\n%TAG ! tag:x,2000:\n---\nfiles: !x {}\n',
  tabs: 'files:\n\t/etc/x:\n\t\tcontent: x\n',
};

/** Each bomb is tried as a manifest, as settings and as a compose file. */
export const PLACES = ['hosts/a/x.yaml', 'hosts/a/host.yaml', 'hosts/a/compose.yaml'] as const;

export interface Blast {
  /** Place → messages of its issues. */
  issues: Record<string, string[]>;
  /** Processor time of the most expensive place, in seconds. */
  cpuSeconds: number;
  /** Growth of the process in bytes, from before the first place to its peak. */
  growthBytes: number;
}
