/** `node test/bench/compose.ts`: how long loading takes. Prints numbers; never a test, as they depend on the machine. */
import { loadProject, type ProjectInput } from '../../agent/compose/load/load.ts';

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
  ...{ dir: 'hosts/a/shop', hostDir: '/var/lib/fairlead/tree/hosts/a/shop', env: null, roots: ['hosts/a'] },
  ...{ vars: new Map(), builtins: new Map(), read: () => undefined },
  files: [{ path: 'hosts/a/shop/compose.yaml', text, layer: 'hosts/a' }],
});

/** Wall and processor time, milliseconds: on a busy machine only the second means something. */
function measure(text: string, times: number): { wall: number; cpu: number } {
  const began = performance.now();
  const used = process.cpuUsage();
  for (let i = 0; i < times; i++) {
    const { issues } = loadProject(input(text));
    if (issues.length > 0) throw new Error(issues[0]?.message);
  }
  const { user, system } = process.cpuUsage(used);
  return { wall: performance.now() - began, cpu: (user + system) / 1_000 };
}

measure(large, 10);
const rounds = Array.from({ length: 20 }, () => measure(large, 1));
const median = (of: (round: (typeof rounds)[number]) => number) =>
  rounds
    .map(of)
    .sort((a, b) => a - b)[10]
    ?.toFixed(1);
const size = Math.round(large.length / 1024);
console.log(
  `200 services, ${size} KiB: median ${median((r) => r.wall)} ms, of the processor ${median((r) => r.cpu)} ms (to reach: 50)`,
);
const many = measure(small, 1_000);
console.log(
  `1,000 stacks of 2 services: ${many.wall.toFixed(0)} ms, of the processor ${many.cpu.toFixed(0)} ms (to reach: 2,000)`,
);
