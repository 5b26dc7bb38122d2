/** `docker compose config` on a lab host, for many projects in one call, and the comparison of its output with ours. */
import type { ComposeProject } from '../../agent/compose/load/types.ts';
import type { Case } from './cases.ts';
import { repoDir, TREE } from './load.ts';

/** Runs a shell script on the host, and returns its output. */
export type Shell = (script: string) => Promise<string>;

export interface Answer {
  /** null if it refuses the project. */
  project: ComposeProject | null;
  error: string;
}

const PROGRAM = '/usr/libexec/docker/cli-plugins/docker-compose';
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** One script for all: it writes the files, then runs every project in its own directory, with no environment but `vars`. */
export async function askOracle(shell: Shell, cases: readonly Case[]): Promise<Map<string, Answer>> {
  const write = cases.flatMap((one) =>
    Object.entries(one.files).map(([file, text]) => {
      const path = `${TREE}/${repoDir(one)}/${file}`;
      return `mkdir -p ${quote(path.slice(0, path.lastIndexOf('/')))}\nprintf %s ${quote(text)} > ${quote(path)}`;
    }),
  );
  const ask = cases.map((one) => {
    const vars = Object.entries(one.vars).map(([key, value]) => quote(`${key}=${value}`));
    return `ask ${one.slug} ${quote(`${TREE}/${repoDir(one)}/${one.dir}`)} ${vars.join(' ')}`;
  });
  const printed = await shell(
    `ask() { slug=$1; cd "$2" || exit 1; shift 2
  code=0; env -i "$@" ${PROGRAM} config --format json > /tmp/out 2> /tmp/err || code=$?
  printf '\\n#@ %s %s\\n' "$slug" "$code"; cat /tmp/out; printf '\\n#@err\\n'; cat /tmp/err; }
rm -rf ${TREE}/hosts/oracle\n${write.join('\n')}\n${ask.join('\n')}\n`,
  );
  return new Map(
    printed
      .split(/^#@ /m)
      .slice(1)
      .map((block): [string, Answer] => {
        const [head = '', ...rest] = block.split('\n');
        const [slug = '', code] = head.split(' ');
        const [out = '', error = ''] = rest.join('\n').split(/^#@err\n/m);
        // docker compose doubles every dollar in its output, so that the output can be read again.
        const project = code === '0' ? (JSON.parse(out.replaceAll('$$', '$')) as ComposeProject) : null;
        return [slug, { project, error: error.trim() }];
      }),
  );
}

/** Differences of two models, as `path: theirs ≠ ours`. The order of lists counts, that of keys does not. */
export function differences(theirs: unknown, ours: unknown, path = ''): string[] {
  if (isRecord(theirs) && isRecord(ours)) {
    return [...new Set([...Object.keys(theirs), ...Object.keys(ours)])].sort().flatMap((key) => {
      const [a, b] = [theirs, ours].map((side) => (Object.hasOwn(side, key) ? side[key] : undefined));
      return differences(a, b, path === '' ? key : `${path}.${key}`);
    });
  }
  if (Array.isArray(theirs) && Array.isArray(ours) && theirs.length === ours.length)
    return theirs.flatMap((item, i) => differences(item, ours[i], `${path}[${i}]`));
  const [a, b] = [JSON.stringify(theirs), JSON.stringify(ours)];
  return a === b ? [] : [`${path}: ${a} ≠ ${b}`];
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
