/** The infra host: broker, git over http and ssh, image registry. */
import { createHost, type HostOptions, type LabHost } from './host.ts';
import { until } from './run.ts';

export interface FleetRepo {
  readonly name: string;
  readonly httpUrl: string;
  readonly sshUrl: string;
  /**
   * Writes files on top of main's head, commits, pushes. `null` deletes; a path ending in `/` with `null` deletes a directory.
   * @param author `Name <mail>`
   * @returns the commit id
   */
  commit(files: Record<string, string | null | Executable>, message: string, author?: string): Promise<string>;
  /** Makes an earlier commit the head of main again. */
  reset(commit: string): Promise<void>;
}

/** A file that git has as executable (mode 100755). */
export interface Executable {
  executable: string;
}

export interface Infra extends LabHost {
  /** The URL for the lab's hosts. */
  readonly brokerUrl: string;
  /** `infra:5000`, with `app:1`, `app:2`, `app:3`. */
  readonly registry: string;
  createRepo(name: string): Promise<FleetRepo>;
  /** Authorizes this public key for ssh, as root. */
  authorize(publicKey: string): Promise<void>;
}

const SERVICES = ['mosquitto', 'nginx', 'docker-registry', 'ssh', 'fcgiwrap.socket'];

export function createInfra(options: HostOptions): Infra {
  const host = createHost(options);
  return {
    ...host,
    brokerUrl: 'mqtt://infra:1883',
    registry: 'infra:5000',
    async booted() {
      await host.booted();
      await host.exec(['systemctl', 'start', ...SERVICES]);
      await until(
        'the registry',
        30_000,
        async () => (await host.exec(['curl', '-fs', 'http://127.0.0.1:5000/v2/'], { check: false })).code === 0,
      );
      await until(
        'the broker',
        30_000,
        async () => (await host.exec(['mosquitto_pub', '-t', 'lab', '-m', 'up'], { check: false })).code === 0,
      );
      await host.exec(['mkdir', '-p', '/srv/git', '/srv/work']);
      await pushImages(host);
    },
    createRepo: (name) => createRepo(host, name),
    async authorize(publicKey) {
      await host.sh('mkdir -p -m 700 /root/.ssh; cat >> /root/.ssh/authorized_keys', { input: publicKey });
    },
  };
}

/** Three small images that differ in /version: a web server that ends at once on SIGTERM. */
async function pushImages(host: LabHost): Promise<void> {
  // One at a time: several files of the suite may start on one infra host, and an image that is built again is another image.
  const script = `
exec 9> /run/lab-images.lock; flock 9
curl -fs http://127.0.0.1:5000/v2/app/tags/list | grep -q 3 && exit 0
d=$(mktemp -d)
mkdir -p $d/bin $d/www $d/data $d/tmp $d/etc
cp /bin/busybox $d/bin/busybox
for a in sh cat sleep ls echo wget true false id; do ln -s busybox $d/bin/$a; done
for v in 1 2 3; do
  echo $v > $d/version; echo version $v > $d/www/index.html
  tar -C $d -cf $d.tar .
  docker import --change 'CMD ["/bin/busybox","httpd","-f","-p","8080","-h","/www"]' --change 'STOPSIGNAL SIGKILL' $d.tar 127.0.0.1:5000/app:$v >/dev/null
  docker push -q 127.0.0.1:5000/app:$v >/dev/null
done
rm -rf $d $d.tar`;
  await host.sh(script);
}

async function createRepo(host: LabHost, name: string): Promise<FleetRepo> {
  const work = `/srv/work/${name}`;
  await host.sh(
    `rm -rf /srv/git/${name}.git ${work}; git init -q --bare /srv/git/${name}.git; git init -q -b main ${work}; git -C ${work} remote add origin /srv/git/${name}.git`,
  );
  let begun = false;
  return {
    name,
    httpUrl: `http://infra/git/${name}.git`,
    sshUrl: `ssh://root@infra/srv/git/${name}.git`,
    async commit(files, message, author = 'Lab <lab@example.com>') {
      // git-fast-import(1): for any number of files, one command on the host. The commit itself is made by git, which may sign
      // it.
      const at = `${Math.floor(Date.now() / 1000)} +0000`;
      const data = (text: string) => `data ${Buffer.byteLength(text)}\n${text}\n`;
      const changes = Object.entries(files).map(([file, content]) => {
        if (content === null) return `D ${file.replace(/\/$/, '')}\n`;
        if (typeof content === 'string') return `M 100644 inline ${file}\n${data(content)}`;
        return `M 100755 inline ${file}\n${data(content.executable)}`;
      });
      const input = [
        `commit refs/lab/next\nauthor ${author} ${at}\ncommitter Lab <lab@example.com> ${at}\n${data(message)}`,
        begun ? 'from refs/heads/main^0\n' : '',
        ...changes,
      ].join('');
      begun = true;
      const git = `git -C ${work}`;
      const script = [
        `${git} fast-import --quiet --force`,
        `${git} read-tree -u --reset refs/lab/next`,
        `${git} -c user.name=Lab -c user.email=lab@example.com commit -q --allow-empty -C refs/lab/next`,
        `${git} push -q origin HEAD:main`,
        `${git} rev-parse HEAD`,
      ].join('; ');
      return (await host.sh(script, { input, timeoutMs: 60_000 })).stdout.trim();
    },
    async reset(commit) {
      await host.exec(['git', '-C', work, 'reset', '-q', '--hard', commit]);
      await host.exec(['git', '-C', work, 'push', '-q', '-f', 'origin', 'HEAD:main']);
    },
  };
}
