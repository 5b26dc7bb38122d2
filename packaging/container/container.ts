/**
 * An image of the staged tree, as an archive that both `docker load` (20.10 or newer) and tools for OCI layouts read:
 * https://github.com/opencontainers/image-spec/blob/main/image-layout.md, with docker-save's manifest.json beside it. It is
 * written here, because it is a tar of tars, and an image builder would need a Docker engine.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Arch } from '../runtime.ts';

export interface ContainerOptions {
  stage: string;
  /** Directory for the archive. */
  out: string;
  work: string;
  arch: Arch;
  version: string;
  /** Seconds since 1970. */
  epoch: number;
  /** zlib's level, 1 to 9. */
  level: number;
}

const OCI_ARCH: Readonly<Record<Arch, string>> = { x64: 'amd64', arm64: 'arm64' };
/** Programs and libraries are the host's, whose root is mounted at /host: the image contains neither a shell nor a libc. */
const OF_THE_HOST = ['bin', 'sbin', 'lib', 'lib64', 'usr'];
/** The files that `install` copies to the host. */
const OF_THE_UNITS = [
  ...['fairlead-container.service', 'fairlead-container-update.path', 'fairlead-container-update.service'],
  'update',
];

/** @returns the archive's path */
export function buildContainer({ stage, out, work, arch, version, epoch, level }: ContainerOptions): string {
  const root = path.join(work, `image-root-${arch}`);
  const layout = path.join(work, `image-${arch}`);
  writeRoot(root, stage);
  mkdirSync(path.join(layout, 'blobs/sha256'), { recursive: true });
  const blob = (content: Uint8Array, mediaType: string) => {
    const hash = createHash('sha256').update(content).digest('hex');
    writeFileSync(path.join(layout, 'blobs/sha256', hash), content);
    return { mediaType, digest: `sha256:${hash}`, size: content.length };
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));

  const tar = path.join(work, `image-${arch}.tar`);
  archive(root, tar, epoch);
  const bytes = readFileSync(tar);
  const diffId = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const layer = blob(gzipSync(bytes, { level }), 'application/vnd.oci.image.layer.v1.tar+gzip');
  const config = blob(json(imageConfig({ arch, version, epoch, diffId })), 'application/vnd.oci.image.config.v1+json');
  const manifest = blob(
    json({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config, layers: [layer] }),
    'application/vnd.oci.image.manifest.v1+json',
  );
  const tag = `fairlead:${version}`;
  const names = {
    'io.containerd.image.name': `docker.io/library/${tag}`,
    'org.opencontainers.image.ref.name': version,
  };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations: names }] };
  const fileOf = ({ digest }: { digest: string }) => `blobs/${digest.replace(':', '/')}`;
  writeFileSync(path.join(layout, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  writeFileSync(path.join(layout, 'index.json'), json(index));
  writeFileSync(
    path.join(layout, 'manifest.json'),
    json([{ Config: fileOf(config), RepoTags: [tag], Layers: [fileOf(layer)] }]),
  );
  const file = path.join(out, `fairlead-${version}-image-${OCI_ARCH[arch]}.tar`);
  archive(layout, file, epoch);
  for (const used of [root, layout, tar]) rmSync(used, { recursive: true });
  return file;
}

function writeRoot(root: string, stage: string): void {
  for (const dir of ['fairlead/bin', 'fairlead/units', 'host']) mkdirSync(path.join(root, dir), { recursive: true });
  cpSync(path.join(stage, 'usr/lib/fairlead'), path.join(root, 'fairlead/program'), { recursive: true });
  cpSync(path.join(stage, 'usr/share/doc/fairlead'), path.join(root, 'fairlead/doc'), { recursive: true });
  const enter = path.join(root, 'fairlead/bin/fairlead');
  copyFileSync(path.join(import.meta.dirname, 'enter'), enter);
  chmodSync(enter, 0o755);
  for (const file of OF_THE_UNITS)
    copyFileSync(path.join(import.meta.dirname, file), path.join(root, 'fairlead/units', file));
  chmodSync(path.join(root, 'fairlead/units/update'), 0o755);
  for (const dir of OF_THE_HOST) symlinkSync(`host/${dir}`, path.join(root, dir));
}

const imageConfig = ({
  arch,
  version,
  epoch,
  diffId,
}: Pick<ContainerOptions, 'arch' | 'version' | 'epoch'> & { diffId: string }) => ({
  created: new Date(epoch * 1_000).toISOString(),
  architecture: OCI_ARCH[arch],
  os: 'linux',
  config: {
    Env: ['PATH=/fairlead/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    Entrypoint: ['/fairlead/bin/fairlead'],
    Cmd: ['agent'],
    WorkingDir: '/',
    StopSignal: 'SIGTERM',
    Labels: {
      'org.opencontainers.image.title': 'fairlead',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': 'Apache-2.0',
    },
  },
  rootfs: { type: 'layers', diff_ids: [diffId] },
  history: [{ created: new Date(epoch * 1_000).toISOString(), created_by: 'npm run package' }],
});

/** Makes two builds equal. */
function archive(dir: string, file: string, epoch: number): void {
  execFileSync('tar', [
    ...['--create', `--file=${file}`, '--format=gnu', '--sort=name', `--mtime=@${epoch}`],
    ...['--owner=0', '--group=0', '--numeric-owner', '--mode=u+rwX,go+rX,go-w', `--directory=${dir}`, '.'],
  ]);
}
