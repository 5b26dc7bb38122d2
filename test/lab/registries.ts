/** Registries on the infra host, all with the same images: open, slow, with a password, with tokens; TLS of a private CA. */
import path from 'node:path';
import { type Infra, type LabHost, until } from './lab.ts';

export const PASSWORD = 'pass: wörd-9381';
const TOKEN_PASSWORD = 'tok en-7723';
export const BASIC = 'infra:5443';
export const TOKEN = 'infra:5444';
/** Some two megabytes a second on each connection; plain http. */
export const SLOW = 'infra:5001';
/** User and password of each. */
export const USERS = { [BASIC]: ['puller', PASSWORD], [TOKEN]: ['robot', TOKEN_PASSWORD] } as const;

const ROOT = path.join(import.meta.dirname, '../..');

/** Issues tokens to one user, by https://distribution.github.io/distribution/spec/auth/jwt/. */
const TOKEN_SERVER = `
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { sign, X509Certificate } from 'node:crypto';
const key = readFileSync('/srv/registries/tls.key');
const chain = [new X509Certificate(readFileSync('/srv/registries/tls.crt')).raw.toString('base64')];
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
createServer((request, answer) => {
  const given = Buffer.from((request.headers.authorization ?? '').replace('Basic ', ''), 'base64').toString();
  answer.setHeader('content-type', 'application/json');
  if (given !== ${JSON.stringify(`robot:${TOKEN_PASSWORD}`)}) {
    answer.statusCode = 401;
    return answer.end('{"details":"no such robot"}');
  }
  const access = new URL(request.url, 'http://infra').searchParams.getAll('scope').map((scope) => {
    const [type, name, actions] = scope.split(':');
    return { type, name, actions: actions.split(',') };
  });
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: 'lab', sub: 'robot', aud: 'lab', exp: now + 300, nbf: now - 10, iat: now, jti: String(now), access };
  const head = part({ typ: 'JWT', alg: 'ES256', x5c: chain }) + '.' + part(claims);
  const token = head + '.' + sign('sha256', Buffer.from(head), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url');
  answer.end(JSON.stringify({ token, access_token: token, expires_in: 300 }));
}).listen(5080);
`;

const configOf = (port: number, auth: string) =>
  `version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/docker-registry}}
http: {addr: ":${port}", tls: {certificate: /srv/registries/tls.crt, key: /srv/registries/tls.key}}
auth: ${auth}
`;

const NGINX = `server {
  listen 5001;
  client_max_body_size 0;
  location / { proxy_pass http://127.0.0.1:5000; proxy_set_header Host $http_host; limit_rate 2m; }
}
`;

/** Certificates of a CA of its own, accounts, then the processes. */
const START = `
cd /srv/registries
ec='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
openssl req -x509 $ec -keyout ca.key -out ca.crt -days 30 -subj '/CN=Lab CA' 2>/dev/null
openssl req $ec -keyout tls.key -out tls.csr -subj /CN=infra 2>/dev/null
printf 'subjectAltName=DNS:infra\\n' > ext
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out tls.crt -days 30 -extfile ext 2>/dev/null
perl -e 'print "puller:", crypt($ARGV[0], "\\$2y\\$05\\$abcdefghijklmnopqrstuu"), "\\n"' "$1" > htpasswd
systemd-run -q --unit registry-basic docker-registry serve /srv/registries/basic.yml
systemd-run -q --unit registry-token docker-registry serve /srv/registries/token.yml
systemd-run -q --unit registry-tokens node /srv/registries/token-server.mjs
nginx -s reload
`;

export async function startRegistries(infra: Infra): Promise<void> {
  const dir = '/srv/registries';
  await infra.copyIn(path.join(ROOT, 'node_modules/node/bin/node'), '/usr/local/bin/node');
  await infra.write(`${dir}/basic.yml`, configOf(5443, `{htpasswd: {realm: lab, path: ${dir}/htpasswd}}`));
  const token = `{token: {realm: "http://infra:5080/token", service: lab, issuer: lab, rootcertbundle: ${dir}/ca.crt}}`;
  await infra.write(`${dir}/token.yml`, configOf(5444, token));
  await infra.write(`${dir}/token-server.mjs`, TOKEN_SERVER);
  await infra.write('/etc/nginx/sites-enabled/slow', NGINX);
  await infra.exec(['sh', '-ec', START, 'sh', PASSWORD]);
  for (const registry of Object.keys(USERS))
    await until(`the registry ${registry}`, 30_000, async () => {
      const url = `https://${registry}/v2/`;
      const { stdout } = await infra.exec(
        ['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--cacert', `${dir}/ca.crt`, url],
        { check: false },
      );
      return stdout === '401';
    });
}

/** Makes the host's Docker engine trust the CA of the registries, as an administrator would. */
export async function trustRegistries(infra: Infra, host: LabHost): Promise<void> {
  const ca = (await infra.exec(['cat', '/srv/registries/ca.crt'])).stdout;
  for (const registry of [BASIC, TOKEN]) await host.write(`/etc/docker/certs.d/${registry}/ca.crt`, ca);
}

/**
 * Makes the host's Docker engine accept plain http from the slow registry, too, and retry a broken download twice, not five times
 * with growing pauses.
 */
export async function trustSlow(host: LabHost): Promise<void> {
  const file = '/etc/docker/daemon.json';
  const config = JSON.parse((await host.exec(['cat', file])).stdout) as object;
  const keys = { 'insecure-registries': ['infra:5000', SLOW], 'max-download-attempts': 2 };
  await host.write(file, JSON.stringify({ ...config, ...keys }));
  // A reload applies only the first of them.
  await host.exec(['systemctl', 'restart', 'docker']);
}

/** Blobs of a megabyte and more that the slow registry has sent completely. */
export const blobsSent = async (infra: Infra): Promise<string[]> =>
  (await infra.exec(['cat', '/var/log/nginx/access.log'])).stdout
    .split('\n')
    .filter((line) => /blobs\/sha256:\w+ HTTP\/1.1" 200 \d{7,}/.test(line))
    .map((line) => /sha256:\w+/.exec(line)?.[0] ?? '');

/** Creates an image of some random megabytes under a name of the open registry. */
export async function pushImage(infra: Infra, name: string, megabytes = 0, platform = 'linux/amd64'): Promise<void> {
  await infra.exec([
    'sh',
    '-ec',
    `d=$(mktemp -d); mkdir -p $d/bin $d/www; cp /bin/busybox $d/bin/busybox; ln -s busybox $d/bin/sleep; ln -s busybox $d/bin/sh
     head -c "$(( $2 * 1048576 ))" /dev/urandom > $d/weight; date +%s%N > $d/www/made
     tar -C $d -cf $d.tar .
     docker import --platform "$3" --change 'CMD ["/bin/busybox","httpd","-f","-p","8080","-h","/www"]' --change 'STOPSIGNAL SIGKILL' $d.tar "127.0.0.1:5000/$1" >/dev/null
     docker push -q "127.0.0.1:5000/$1" >/dev/null; docker rmi "127.0.0.1:5000/$1" >/dev/null; rm -rf $d $d.tar`,
    'sh',
    name,
    String(megabytes),
    platform,
  ]);
}

/** Another name for an image of the open registry: only the manifest is sent. */
export const retag = (infra: Infra, from: string, to: string): Promise<unknown> =>
  infra.exec(['node', '-e', `${MANIFESTS}; (async () => put(to, await get(from)))()`, from, to]);

/** An index (manifest list) under a name: platform → the image of the open registry for it. */
export const pushIndex = (infra: Infra, name: string, images: Record<string, string>): Promise<unknown> =>
  infra.exec(['node', '-e', `${MANIFESTS}; index(JSON.parse(from), to)`, JSON.stringify(images), name]);

/** The digest of a name in the open registry. */
export const digestOf = async (infra: Infra, name: string): Promise<string> =>
  (await infra.exec(['node', '-e', `${MANIFESTS}; get(from).then((m) => console.log(m.digest))`, name])).stdout.trim();

const MANIFESTS = `
const [from, to] = process.argv.slice(1);
const LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
const IMAGE = 'application/vnd.docker.distribution.manifest.v2+json';
const url = (name) => 'http://127.0.0.1:5000/v2/' + name.replace(':', '/manifests/');
async function get(name) {
  const answer = await fetch(url(name), { headers: { accept: IMAGE + ', ' + LIST } });
  if (!answer.ok) throw new Error(name + ': ' + answer.status);
  const body = await answer.text();
  return { type: answer.headers.get('content-type'), digest: answer.headers.get('docker-content-digest'), body };
}
async function put(name, { type, body }) {
  const answer = await fetch(url(name), { method: 'PUT', headers: { 'content-type': type }, body });
  if (!answer.ok) throw new Error(name + ': ' + answer.status + await answer.text());
}
async function index(images, name) {
  const manifests = [];
  for (const [platform, image] of Object.entries(images)) {
    const { digest, body } = await get(image);
    const [os, architecture] = platform.split('/');
    manifests.push({ mediaType: IMAGE, digest, size: Buffer.byteLength(body), platform: { os, architecture } });
  }
  await put(name, { type: LIST, body: JSON.stringify({ schemaVersion: 2, mediaType: LIST, manifests }) });
}`;
