/** The host directory of most lab tests. */

export const loopUnit = (word: string) =>
  `[Unit]\nDescription=loop ${word}\n[Service]\nExecStart=/bin/sleep infinity\nEnvironment=WORD=${word}\n[Install]\nWantedBy=multi-user.target\n`;

const indent = (text: string) => text.replace(/^/gm, '      ').trimEnd();

export interface Story {
  motd?: string;
  loop?: string;
  webImage?: string;
  /** Further `files:` entries. */
  files?: string;
  /** Further services of the stack. */
  services?: string;
  /** Another healthcheck. */
  health?: string;
}

export const systemYaml = ({ loop = 'one', files = '' }: Story = {}) => `files:
  /etc/app/app.conf:
    content: |
      hello
    mode: "0640"
  /etc/app/motd: {source: files/motd}
${files}units:
  loop.service:
    content: |
${indent(loopUnit(loop))}
    enabled: true
    state: started
  steady.service:
    content: |
${indent(loopUnit('steady'))}
    state: started
  tick.service:
    content: |
      [Service]
      Type=oneshot
      ExecStart=/bin/true
  tick.timer:
    content: |
      [Timer]
      OnCalendar=hourly
      [Install]
      WantedBy=timers.target
    enabled: true
    state: started
`;

const ASK = 'test: [CMD, /bin/wget, -q, -O, /dev/null, "http://127.0.0.1:8080/"]';
/** Without it a container is well only after ten steady seconds, which the contract suite covers. Each probe costs a process. */
export const HEALTH = `healthcheck: {${ASK}, interval: 10s, start_period: 30s, start_interval: 500ms}`;
/** The same for Docker engines before 25, too. */
export const HEALTH_BY_SECONDS = `healthcheck: {${ASK}, interval: 1s}`;

export const composeYaml = ({ webImage = 'infra:5000/app:1', services = '', health = HEALTH }: Story = {}) => `services:
  web:
    image: ${webImage}
    ports: ["8080:8080"]
    volumes:
      - ./conf/web.conf:/etc/web.conf:ro
      - data:/data
    networks: [front]
    depends_on: [db]
    restart: unless-stopped
    ${health}
  db:
    image: infra:5000/app:1
    networks: [front]
    environment: {ROLE: db}
    restart: unless-stopped
    ${health}
${services}networks:
  front: {}
volumes:
  data: {}
`;

/** All files of a host's directory. */
export const hostFiles = (host: string, story: Story = {}): Record<string, string> => ({
  [`hosts/${host}/system.yaml`]: systemYaml(story),
  [`hosts/${host}/files/motd`]: story.motd ?? 'welcome\n',
  [`hosts/${host}/shop/compose.yaml`]: composeYaml(story),
  [`hosts/${host}/shop/conf/web.conf`]: 'port=8080\n',
});

/** Its resources whose identity tests compare. */
export const watched = {
  files: [
    '/etc/app/app.conf',
    '/etc/app/motd',
    '/etc/systemd/system/loop.service',
    '/etc/systemd/system/steady.service',
    '/etc/systemd/system/tick.timer',
  ],
  units: ['loop.service', 'steady.service', 'tick.timer'],
  containers: ['shop-web-1', 'shop-db-1'],
};
