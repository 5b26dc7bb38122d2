/** Power cuts of a host at work, and the invariants after each: the state of the host, of the agent and of the broker. */
import type { PlanDocument } from '../../agent/control/protocol.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { installAgent, retained } from './agent.ts';
import { apiOf } from './api.ts';
import { stateWrong } from './cut-state.ts';
import { type EventsHeard, hearEvents } from './events.ts';
import type { LabHost } from './host.ts';
import type { FleetRepo, Infra } from './infra.ts';
import { until } from './run.ts';

const WELL_MS = 600_000;
/** How long to wait for a run before another one is requested. */
const AGAIN_MS = 120_000;
const STILL_MS = 60_000;
const LINES = 400;

/** Each line of a file names its generation, so a half-written file can be detected. */
const textOf = (generation: number) => `generation ${generation}\n`.repeat(LINES);
const unitOf = (generation: number) =>
  `[Unit]\nDescription=Of generation ${generation}\n[Service]\nExecStart=/bin/sleep infinity\nEnvironment=GENERATION=${generation}\n[Install]\nWantedBy=multi-user.target\n`;
const indent = (text: string) => text.replace(/^/gm, '      ').trimEnd();

const imageOf = (generation: number) => `infra:5000/app:${(generation % 3) + 1}`;
/** The resources that take most of the time on a machine without hardware virtualization. */
const heavyOf = (host: string, generation: number): Record<string, string> => ({
  [`hosts/${host}/jobs.yaml`]: `jobs:
  migrate:
    run: [sh, -c, "echo ${generation} >> /srv/migrated; sync /srv/migrated"]
    after: [file:/srv/app/text]
`,
  [`hosts/${host}/shop/compose.yaml`]: `services:
  web:
    image: ${imageOf(generation)}
    environment: {GENERATION: "${generation}"}
    restart: unless-stopped
    stop_signal: SIGKILL
    volumes: [data:/data]
volumes:
  data: {}
`,
});
const filesOf = (host: string, generation: number): Record<string, string> => ({
  [`hosts/${host}/system.yaml`]: `files:
  /srv/app/text: {source: files/text, notify: [unit:cut.service]}
  /srv/app/only-${generation}: {source: files/text}
  /srv/app/tree: {source: tree}
units:
  cut.service:
    content: |
${indent(unitOf(generation))}
    enabled: true
    state: started
`,
  [`hosts/${host}/files/text`]: textOf(generation),
  [`hosts/${host}/tree/a`]: textOf(generation),
  [`hosts/${host}/tree/b/c`]: textOf(generation),
});

/** Content of the disk, line by line, for the checks below. Nothing of it involves the agent. */
const LOOK = `
whole() { [ -e "$1" ] || { echo "$1 missing"; return; }; echo "$1 $(sort "$1" | uniq -c | sed 's/^ *//' | tr '\\n' ';')"; }
find /srv/app -type f 2>/dev/null | sort | while read -r f; do whole "$f"; done
echo "unit $(grep -h -o 'GENERATION=.*' /etc/systemd/system/cut.service 2>/dev/null) $(tail -n 1 /etc/systemd/system/cut.service 2>/dev/null)"
ls -A /etc/systemd/system | grep -i -E 'fairlead-|\\.tmp|\\.new' | sed 's/^/left /' || true
`;
/** Asks the Docker engine by curl(1): each start of docker(1) takes more than a second without hardware virtualization. */
const LOOK_FURTHER = `
for at in 'json?all=1' shop-web-1/json; do curl -s --unix-socket /run/docker.sock "http://docker/containers/$at"; echo; done
tail -n 1 /srv/migrated`;
/** The answers of the Docker engine that are read here (Engine API: ContainerList, ContainerInspect). */
type Listed = readonly { Names: readonly string[]; State: string; Image: string }[];
interface Inspected {
  Config?: { Env: readonly string[] };
}
function furtherOf(list = '[]', web = '{}', migrated = ''): string[] {
  const containers = JSON.parse(list) as Listed;
  const env = (JSON.parse(web) as Inspected).Config?.Env.find((each) => each.startsWith('GENERATION=')) ?? '';
  return [...containers.map(({ Names, State, Image }) => `${Names[0]?.slice(1)} ${State} ${Image}`), env, migrated];
}

export interface Cuts {
  /** The generation of the last commit. */
  readonly generation: number;
  /** Its commit. */
  readonly commit: string;
  /** Installs the agent, which begins with the first generation. */
  install(): Promise<void>;
  /** The same, and waits until the first generation is applied. */
  begin(): Promise<void>;
  /** Commits the next generation, and further files with it, and returns at once. */
  next(more?: Record<string, string>): Promise<number>;
  /**
   * Waits until everything is applied, and compares it with the host, the agent's plan and the broker. Throws with all errors.
   */
  converged(): Promise<void>;
  /** After a cut and before anything was started: nothing is half written. Throws with all errors. */
  whole(): Promise<void>;
  /** Whether the agent has reported that the newest generation is applied. */
  isDone(): Promise<boolean>;
}

export interface CutsOptions {
  host: LabHost;
  infra: Infra;
  repo: FleetRepo;
  /** Only files and a unit, without a job and a stack: nothing needs the Docker engine. */
  isLight?: boolean;
}

export function createCuts({ host, infra, repo, isLight = false }: CutsOptions): Cuts {
  const api = apiOf(host);
  let generation = 0;
  let commit = '';
  let heard: EventsHeard | null = null;
  /** The agent's last status, from the broker: reading it costs the host nothing. */
  const lastStatus = async (): Promise<StatusDocument | null> => {
    const text = await retained(infra, `fairlead/default/hosts/${host.name}/status`, 2);
    return text === null ? null : (JSON.parse(text) as StatusDocument);
  };
  const next = async (more: Record<string, string> = {}) => {
    generation++;
    const gone = generation > 1 ? { [`hosts/${host.name}/`]: null } : {};
    const heavy = isLight ? {} : heavyOf(host.name, generation);
    const files = { ...gone, ...filesOf(host.name, generation), ...heavy, ...more };
    commit = await repo.commit(files, `Generation ${generation}`);
    return generation;
  };
  const look = async () => (await host.sh(LOOK, { timeoutMs: WELL_MS })).stdout.trim().split('\n');
  const fail = (what: string, wrong: readonly string[]) => {
    if (wrong.length > 0) throw new Error(`generation ${generation}, ${what}:\n${wrong.join('\n')}`);
  };

  async function whole(): Promise<void> {
    const wrong = (await look()).filter((line) => {
      if (line.startsWith('/srv/app/')) return !new RegExp(`^\\S+ ${LINES} generation \\d+;$`).test(line);
      // Absent, or completed.
      return line.startsWith('unit ') && !/^unit {2}$|^unit GENERATION=\d+ WantedBy=multi-user\.target$/.test(line);
    });
    fail('after the cut', [...wrong, ...(await stateWrong(host))]);
  }

  async function converged(): Promise<void> {
    // A status of one process of the agent about the run of another one is no proof.
    const hasRun = ({ run, agent }: StatusDocument) => run !== null && run.startedAt >= agent.startedAt;
    const isWell = (s: StatusDocument) =>
      hasRun(s) && s.sync === 'synced' && s.health === 'healthy' && s.applied?.commit === commit;
    let last: StatusDocument | null = null;
    try {
      const found = await api.status();
      // A starting agent makes a run by itself, and a request meanwhile causes another one.
      let askedAt = found !== null && hasRun(found) ? 0 : Date.now();
      await until(`generation ${generation} to be applied`, WELL_MS, async () => {
        last = await lastStatus();
        if (last !== null && isWell(last)) return (await api.status())?.agent.instance === last.agent.instance;
        if (Date.now() - askedAt < AGAIN_MS) return false;
        askedAt = Date.now();
        await api.sync();
        return false;
      });
    } catch (thrown) {
      const journal = (await host.journal('fairlead.service')).split('\n').slice(-40).join('\n');
      throw new Error(`${thrown instanceof Error ? thrown.message : ''}; last: ${JSON.stringify(last)}\n${journal}`);
    }
    const full = `${LINES} generation ${generation};`;
    const wanted = [
      `/srv/app/only-${generation} ${full}`,
      `/srv/app/text ${full}`,
      `/srv/app/tree/a ${full}`,
      `/srv/app/tree/b/c ${full}`,
      `unit GENERATION=${generation} WantedBy=multi-user.target`,
    ];
    const found = await look();
    const wrong = [
      ...wanted.filter((line) => !found.includes(line)).map((line) => `missing: ${line}`),
      ...found.filter((line) => !wanted.includes(line)).map((line) => `not wanted: ${line}`),
    ];
    const script = `systemctl show -p ActiveState -p Environment cut.service | sort${isLight ? '' : LOOK_FURTHER}`;
    const further = async () => {
      const { stdout } = await host.sh(script, { check: false, timeoutMs: WELL_MS });
      const [state = '', environment = '', ...answers] = stdout.split('\n').filter(Boolean);
      return [state, environment, ...(isLight ? [] : furtherOf(...answers))].join('\n');
    };
    const heavy = [`shop-web-1 running ${imageOf(generation)}`, `GENERATION=${generation}`, String(generation)];
    const real = ['ActiveState=active', `Environment=GENERATION=${generation}`, ...(isLight ? [] : heavy)].join('\n');
    // A replaced container is removed when its successor is well, which may be a moment after the report.
    let there = '';
    const isReal = async () => {
      there = await further();
      return there === real;
    };
    await until('the state of the generation', STILL_MS, isReal).catch(() => undefined);
    if (there !== real) wrong.push(`found:\n${there}\nwanted:\n${real}`);
    const plan = await api.get<PlanDocument>('plan');
    if (plan === null) wrong.push('the daemon went away');
    wrong.push(...(plan?.actions ?? []).map(({ id }) => `still planned: ${id}`));
    wrong.push(...(await eventsWrong()));
    fail('converged', wrong);
  }

  /** Each number once: none is missing, and none stands for two events, of which the broker had acknowledged one. */
  async function eventsWrong(): Promise<string[]> {
    const ids = new Map<number, string>();
    const wrong: string[] = [];
    for (const { seq, id } of (await heard?.all()) ?? []) {
      const before = ids.get(seq);
      if (before !== undefined && before !== id) wrong.push(`event ${seq} came as ${before} and as ${id}`);
      ids.set(seq, id);
    }
    const last = Math.max(...ids.keys());
    for (let seq = 1; seq <= last; seq++) if (!ids.has(seq)) wrong.push(`event ${seq} of ${last} is lost`);
    return wrong;
  }

  async function install(): Promise<void> {
    heard = await hearEvents(infra, host.name);
    await next();
    await installAgent(host, { repoUrl: repo.httpUrl });
  }

  return {
    get generation() {
      return generation;
    },
    get commit() {
      return commit;
    },
    install,
    async begin() {
      await install();
      await converged();
    },
    next,
    converged,
    whole,
    async isDone() {
      return (await lastStatus())?.applied?.commit === commit;
    },
  };
}
