/** Projects that run in the lab, and that both tools start: projects/*.txt, by theme. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseCases } from '../compose/cases.ts';
import type { LabHost } from './lab.ts';

const DIR = path.join(import.meta.dirname, 'projects');

/** Directory → files, each a stack of its own. Together they use every path that docker compose supports. */
export const PROJECTS: Readonly<Record<string, Readonly<Record<string, string>>>> = Object.fromEntries(
  readdirSync(DIR)
    .sort()
    .flatMap((file) => parseCases(file, readFileSync(path.join(DIR, file), 'utf8')))
    .map(({ name, files }) => [name.slice(name.indexOf(': ') + 2), files]),
);

/** As files of one host's directory. */
export const asRepo = (projects: typeof PROJECTS): Record<string, string> =>
  Object.fromEntries(
    Object.entries(projects).flatMap(([name, files]) =>
      Object.entries(files).map(([file, text]) => [`${name}/${file}`, text]),
    ),
  );

/** The Docker engine chooses addresses from here. Its own pools have room for only a few dozen networks. */
const POOL = '10.200.0.0/16';

/** What the projects need on a host: room for their networks, and their external networks and volumes. */
export async function prepareHost(host: LabHost): Promise<void> {
  const config = JSON.parse((await host.exec(['cat', '/etc/docker/daemon.json'])).stdout) as object;
  const pools = [{ base: POOL, size: 24 }];
  await host.write('/etc/docker/daemon.json', JSON.stringify({ ...config, 'default-address-pools': pools }));
  await host.sh(`
systemctl restart docker
for v in 1 2 3; do docker pull -q infra:5000/app:$v; done
docker network create --subnet 10.90.0.0/24 outside
docker volume create kept
docker run --rm -v kept:/kept infra:5000/app:1 /bin/busybox mkdir -p /kept/part
docker run -d --name foreign -v /foreign infra:5000/app:1
docker run -d --name foreign-linked --network outside infra:5000/app:1
[ -e /dev/vda ] || mknod /dev/vda b 254 0`);
}

/** Starts them all with the tool, a few at a time, each in its directory below `dir`. */
export async function composeUp(host: LabHost, dir: string, projects: typeof PROJECTS = PROJECTS): Promise<void> {
  await writeFiles(host, dir, asRepo(projects));
  const up =
    'cd "$0/$1" && docker compose up -d --quiet-pull >/tmp/up.$1 2>&1 || { echo "$1:"; grep -v "Creat\\|Start" /tmp/up.$1; exit 1; }';
  await host.exec(['xargs', '-P', '4', '-n', '1', 'sh', '-c', up, dir], {
    input: Object.keys(projects).join('\n'),
    timeoutMs: 600_000,
  });
}

/** All in one call: there are hundreds. */
export async function writeFiles(host: LabHost, dir: string, files: Record<string, string>): Promise<void> {
  const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const lines = Object.entries(files).map(([file, text]) => {
    const at = `${dir}/${file}`;
    return `mkdir -p ${quote(path.dirname(at))}\nprintf %s ${quote(text)} > ${quote(at)}`;
  });
  await host.exec(['sh', '-e'], { input: lines.join('\n') });
}
