/** How long compose files take to load: one large stack, and many small ones. */
import { loadProject, type ProjectInput } from '../../../agent/compose/load/load.ts';
import type { BenchRun } from '../report/runner.ts';

const WARM_UP = 10;

const service = (i: number) => `  s${i}:
    image: registry.example.com/app-${i}:1.2.3
    command: ["run", "--port", "80${i}"]
    environment:
      LEVEL: \${LEVEL:-info}
      NUMBER: ${i}
    ports: ["${10_000 + i}:80"]
    volumes: ["./conf:/etc/conf:ro", "data:/data"]
    networks: [front, back]
    depends_on: [${i > 0 ? `s${i - 1}` : ''}]
    restart: unless-stopped
    healthcheck: {test: [CMD, "true"], interval: 10s}
    labels: {a.b: c}
    deploy: {resources: {limits: {memory: 128m}}}
`;
const large = `services:\n${Array.from({ length: 200 }, (_, i) => service(i)).join('')}networks: {front: , back: }\nvolumes: {data: }\n`;
const small = `services:
  web: {image: "nginx:\${TAG:-1.27}", ports: ["8080:80"], volumes: ["./conf:/etc/nginx/conf.d:ro"], depends_on: [db]}
  db: {image: "postgres:17", environment: {POSTGRES_PASSWORD: x}, volumes: ["data:/var/lib/postgresql"]}
volumes: {data: }
`;
const input = (text: string): ProjectInput => ({
  dir: 'hosts/a/shop',
  hostDir: '/var/lib/fairlead/tree/hosts/a/shop',
  env: null,
  roots: ['hosts/a'],
  vars: new Map(),
  builtins: new Map(),
  read: () => undefined,
  files: [{ path: 'hosts/a/shop/compose.yaml', text, layer: 'hosts/a' }],
});

/** Processor time, milliseconds: on a busy machine wall time means nothing. */
function cpuMs(text: string, times: number): number {
  const used = process.cpuUsage();
  for (let i = 0; i < times; i++) {
    const { issues } = loadProject(input(text));
    if (issues.length > 0) throw new Error(issues[0]?.message);
  }
  const { user, system } = process.cpuUsage(used);
  return (user + system) / 1_000;
}

export async function loadingBench({ isQuick, record }: BenchRun<'loading'>): Promise<void> {
  cpuMs(large, WARM_UP);
  record(
    'large',
    repeated(isQuick ? 5 : 20, () => cpuMs(large, 1)),
  );
  record(
    'small',
    repeated(isQuick ? 1 : 5, () => cpuMs(small, 1_000)),
  );
}

const repeated = (times: number, measure: () => number): number[] => Array.from({ length: times }, measure);
