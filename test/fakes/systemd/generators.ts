/** What systemd-fstab-generator and podman's generator create at each reload: units in /run/systemd/generator. */
import fs from 'node:fs';
import path from 'node:path';

const OUT = '/run/systemd/generator';
const QUADLETS = '/etc/containers/systemd';

export function runGenerators(root: string): void {
  fs.rmSync(root + OUT, { recursive: true, force: true });
  const put = (name: string, source: string, text: string) => {
    fs.mkdirSync(root + OUT, { recursive: true });
    fs.writeFileSync(path.join(root + OUT, name), `[Unit]\nSourcePath=${source}\n${text}`);
  };
  for (const file of list(root + QUADLETS).filter((one) => one.endsWith('.container'))) {
    const source = `${QUADLETS}/${file}`;
    const container = fs.readFileSync(root + source, 'utf8');
    put(file.replace(/container$/, 'service'), source, `${container}\n[Service]\nExecStart=/bin/sleep 1000\n`);
  }
  for (const line of read(`${root}/etc/fstab`).split('\n')) {
    const [what = '', where = '', type = '', options = ''] = line.trim().split(/\s+/);
    // Paths that need no escaping are enough here.
    if (!where.startsWith('/') || what.startsWith('#')) continue;
    const text = `[Mount]\nWhat=${what}\nWhere=${where}\nType=${type}\nOptions=${options}\n`;
    put(`${where.slice(1).replaceAll('/', '-')}.mount`, '/etc/fstab', text);
  }
}

const list = (dir: string): string[] => (fs.existsSync(dir) ? fs.readdirSync(dir).sort() : []);
const read = (file: string): string => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '');
