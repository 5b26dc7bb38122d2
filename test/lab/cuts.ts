/** Power cuts of a host at work, and what must be true after each: what the host has, what the agent and the broker know. */
import type { PlanDocument } from '../../agent/control/protocol.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { installAgent } from './agent.ts';
import { apiOf } from './api.ts';
import { stateWrong } from './cut-state.ts';
import type { LabHost } from './host.ts';
import type { FleetRepo, Infra } from './infra.ts';
import { until } from './run.ts';

const WELL_MS = 600_000;
const LINES = 400;
const EVENTS = '/srv/events.jsonl';

/** All lines of a file say of which generation they are: one that is half written shows. */
const textOf = (generation: number) => `generation ${generation}\n`.repeat(LINES);
const unitOf = (generation: number) =>
  `[Unit]\nDescription=Of generation ${generation}\n[Service]\nExecStart=/bin/sleep infinity\nEnvironment=GENERATION=${generation}\n[Install]\nWantedBy=multi-user.target\n`;
const indent = (text: string) => text.replace(/^/gm, '      ').trimEnd();

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
jobs:
  migrate:
    run: [sh, -c, "echo ${generation} >> /srv/migrated; sync /srv/migrated"]
    after: [file:/srv/app/text]
`,
  [`hosts/${host}/files/text`]: textOf(generation),
  [`hosts/${host}/tree/a`]: textOf(generation),
  [`hosts/${host}/tree/b/c`]: textOf(generation),
  [`hosts/${host}/shop/compose.yaml`]: `services:
  web:
    image: infra:5000/app:${(generation % 3) + 1}
    environment: {GENERATION: "${generation}"}
    restart: unless-stopped
    stop_signal: SIGKILL
    volumes: [data:/data]
volumes:
  data: {}
`,
});

/** Line by line: what the disk has, for the checks below. Nothing of it asks the agent. */
const LOOK = `
whole() { [ -e "$1" ] || { echo "$1 missing"; return; }; echo "$1 $(sort "$1" | uniq -c | sed 's/^ *//' | tr '\\n' ';')"; }
find /srv/app -type f 2>/dev/null | sort | while read -r f; do whole "$f"; done
echo "unit $(grep -h -o 'GENERATION=.*' /etc/systemd/system/cut.service 2>/dev/null) $(tail -n 1 /etc/systemd/system/cut.service 2>/dev/null)"
ls -A /etc/systemd/system | grep -i -E 'fairlead-|\\.tmp|\\.new' | sed 's/^/left /' || true
`;
export interface Cuts {
  /** The generation that was committed last. */
  readonly generation: number;
  /** Installs the agent and waits until the first generation is in place. */
  begin(): Promise<void>;
  /** Commits the next generation, and further files with it, without waiting for anything. */
  next(more?: Record<string, string>): Promise<number>;
  /** Waits until all is in place, and checks it against the host, the agent's plan and the broker. Throws with all that is wrong. */
  converged(): Promise<void>;
  /** After a cut and before anything was started: nothing is half written. Throws with all that is wrong. */
  whole(): Promise<void>;
}

export function createCuts(options: { host: LabHost; infra: Infra; repo: FleetRepo }): Cuts {
  const { host, infra, repo } = options;
  const api = apiOf(host);
  let generation = 0;
  let commit = '';
  const next = async (more: Record<string, string> = {}) => {
    generation++;
    const gone = generation > 1 ? { [`hosts/${host.name}/`]: null } : {};
    commit = await repo.commit({ ...gone, ...filesOf(host.name, generation), ...more }, `Generation ${generation}`);
    return generation;
  };
  const look = async () => (await host.sh(LOOK, { timeoutMs: WELL_MS })).stdout.trim().split('\n');
  const fail = (what: string, wrong: readonly string[]) => {
    if (wrong.length > 0) throw new Error(`generation ${generation}, ${what}:\n${wrong.join('\n')}`);
  };

  async function whole(): Promise<void> {
    const wrong = (await look()).filter((line) => {
      if (line.startsWith('/srv/app/')) return !new RegExp(`^\\S+ ${LINES} generation \\d+;$`).test(line);
      // Absent, or to its end.
      return line.startsWith('unit ') && !/^unit {2}$|^unit GENERATION=\d+ WantedBy=multi-user\.target$/.test(line);
    });
    fail('after the cut', [...wrong, ...(await stateWrong(host))]);
  }

  async function converged(): Promise<void> {
    const isWell = (s: StatusDocument) => s.sync === 'synced' && s.health === 'healthy' && s.applied?.commit === commit;
    let last: StatusDocument | undefined;
    try {
      await until(`generation ${generation} to be in place`, WELL_MS, async () => {
        last = (await api.sync())?.status ?? last;
        return last !== undefined && isWell(last);
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
    const { stdout } = await host.sh(
      `systemctl is-active cut.service || true; systemctl show -p Environment cut.service; docker ps -a --format '{{.Names}} {{.State}} {{.Image}}'
docker inspect -f '{{.Config.Env}}' shop-web-1 | grep -o 'GENERATION=[0-9]*'; tail -n 1 /srv/migrated`,
      { check: false, timeoutMs: WELL_MS },
    );
    const real = [
      'active',
      `Environment=GENERATION=${generation}`,
      `shop-web-1 running infra:5000/app:${(generation % 3) + 1}`,
      `GENERATION=${generation}`,
      String(generation),
    ].join('\n');
    if (stdout.trim() !== real) wrong.push(`found:\n${stdout.trim()}\nwanted:\n${real}`);
    const plan = await api.get<PlanDocument>('plan');
    if (plan === null) wrong.push('the daemon went away');
    wrong.push(...(plan?.actions ?? []).map(({ id }) => `still planned: ${id}`));
    wrong.push(...(await eventsWrong()));
    fail('converged', wrong);
  }

  /** Each number once: none is missing, and none stands for two events, of which the broker had acknowledged one. */
  async function eventsWrong(): Promise<string[]> {
    const { stdout } = await infra.exec(['cat', `${EVENTS}-${repo.name}`]);
    const ids = new Map<number, string>();
    const wrong: string[] = [];
    for (const line of stdout.split('\n').filter(Boolean)) {
      const { seq, id } = JSON.parse(line) as { seq: number; id: string };
      const before = ids.get(seq);
      if (before !== undefined && before !== id) wrong.push(`event ${seq} came as ${before} and as ${id}`);
      ids.set(seq, id);
    }
    const last = Math.max(...ids.keys());
    for (let seq = 1; seq <= last; seq++) if (!ids.has(seq)) wrong.push(`event ${seq} of ${last} is lost`);
    return wrong;
  }

  return {
    get generation() {
      return generation;
    },
    async begin() {
      const topic = `fairlead/default/hosts/${host.name}/events`;
      await infra.sh(
        `nohup setsid mosquitto_sub -V mqttv5 -h 127.0.0.1 -q 1 -t '${topic}' > ${EVENTS}-${repo.name} 2>&1 & sleep 0.1`,
      );
      await next();
      await installAgent(host, { repoUrl: repo.httpUrl });
      await converged();
    },
    next,
    converged,
    whole,
  };
}
