/**
 * `npm run release -- --key FILE [--passphrase-file FILE] [--out DIR] [--repository DIR] [--suite stable] [--without CONDITION …]
 * [--fast]`: packages of all formats, bills of materials, checksums, signatures, notes, and the packages in an APT repository.
 * Refuses a checkout that does not meet the conditions of docs/releasing.md. With `--fast` packages are made in a minute, and
 * larger.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { checkPackages } from './check-packages.ts';
import { buildNewerRpm, buildPackages } from './package.ts';
import { checkKey, publishApt } from './release/apt.ts';
import { writeArtifacts } from './release/artifacts.ts';
import { CONDITIONS, type Condition, readFacts, refusalsOf } from './release/conditions.ts';
import { sectionOf } from './release/notes.ts';
import { openSigner } from './release/openpgp.ts';

const root = path.join(import.meta.dirname, '..');
const USAGE = 64;

interface Wanted {
  key: string;
  passphraseFile: string | undefined;
  out: string;
  repository: string;
  suite: string;
  without: readonly Condition[];
  fast: boolean;
}

/** Programs that are called only at the very end, so that they are checked at the start: program → package of Debian. */
const TOOLS: Readonly<Record<string, string>> = { 'apt-ftparchive': 'apt-utils', rpmsign: 'rpm' };

/** @returns the exit code */
async function release({ key, passphraseFile, out, repository, suite, without, fast }: Wanted): Promise<number> {
  const holds = (condition: Condition) => !without.includes(condition);
  const facts = readFacts(root);
  const refusals = refusalsOf(facts).filter(({ condition }) => holds(condition));
  for (const { condition, message } of refusals)
    console.error(`cannot release ${facts.version}: ${message} (or --without ${condition})`);
  if (refusals.length > 0) return 1;
  const signer = openSigner({ key, passphraseFile });
  try {
    if (holds('key')) checkKey(repository, signer);
    for (const [condition, program] of [
      ['check', 'packaging/check.ts'],
      ['test', 'test/run.ts'],
    ] as const)
      if (holds(condition) && spawnSync('node', [program], { cwd: root, stdio: 'inherit' }).status !== 0) {
        console.error(`cannot release ${facts.version}: ${program} failed (or --without ${condition})`);
        return 1;
      }
    console.log(`building packages of all formats${fast ? '' : ', compressed as well as can be: 10 minutes or more'}`);
    const made = await buildPackages({ out, fast });
    if (holds('packages')) console.log('building them again, and checking');
    const build = (into: string) => buildPackages({ out: into, fast });
    if (holds('packages') && !(await checkPackages({ made, fast, build, buildNewerRpm }))) {
      console.error(`cannot release ${facts.version}: the packages are not as they must be (or --without packages)`);
      return 1;
    }
    const notes = sectionOf(facts.changelog, facts.version) ?? '';
    const files = writeArtifacts({ out, made, notes, signer });
    const debs = made.filter((file) => file.endsWith('.deb'));
    publishApt({ repository, debs, suite, signer, isNewKey: !holds('key') });
    console.log('\nreleased:');
    for (const file of files) console.log(file);
    console.log(`${repository}: suite ${suite} has ${facts.version}, signed by ${signer.fingerprint}`);
    const trial = [...without.map((name) => `without ${name}`), ...(fast ? ['with little compression'] : [])];
    if (trial.length > 0) console.log(`made ${trial.join(', ')}: for a trial, and not to be published`);
    return 0;
  } finally {
    signer.close();
  }
}

/** @returns the error of the command line, or null */
function problemWith(values: { key?: string | undefined; out: string; without: readonly string[] }): string | null {
  const { key, out, without } = values;
  if (key === undefined) return 'give --key FILE, an OpenPGP secret key';
  if (!existsSync(key)) return `there is no ${key}`;
  if (!path.relative(root, path.resolve(key)).startsWith('..'))
    return `${key} lies in the repository; keep the key elsewhere`;
  const unknown = without.filter((name) => !(CONDITIONS as readonly string[]).includes(name));
  if (unknown.length > 0) return `no such condition: ${unknown.join(', ')}; there are ${CONDITIONS.join(', ')}`;
  const missing = Object.entries(TOOLS).filter(([program]) => spawnSync(program, ['--version']).error !== undefined);
  if (missing.length > 0) return `install ${missing.map(([, name]) => name).join(' and ')}`;
  if (existsSync(out) && readdirSync(out).length > 0) return `${out} is not empty; give an empty --out`;
  return null;
}

const { values } = parseArgs({
  options: {
    key: { type: 'string' },
    'passphrase-file': { type: 'string' },
    out: { type: 'string', default: path.join(root, 'release') },
    repository: { type: 'string', default: path.join(root, 'apt') },
    suite: { type: 'string', default: 'stable' },
    without: { type: 'string', multiple: true, default: [] },
    fast: { type: 'boolean', default: false },
  },
});
const problem = problemWith(values);
if (problem !== null) {
  console.error(`npm run release: ${problem}`);
  process.exitCode = USAGE;
} else {
  const { key = '', out, repository, suite, fast } = values;
  const wanted = {
    ...{ key, passphraseFile: values['passphrase-file'], out, repository, suite, fast },
    without: values.without as Condition[],
  };
  process.exitCode = await release(wanted).catch((thrown: unknown) => {
    console.error(`cannot release: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    return 1;
  });
}
