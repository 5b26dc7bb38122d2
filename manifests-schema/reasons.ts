/**
 * Every reason that fairlead gives, once. Decisions read this table, never the words of a message; docs/reasons.md and the
 * `reason` of the published JSON Schemas are generated from it (`npm run schemas`).
 */

/**
 * Who has to act. `wait`: nobody, it is not ready yet or an outage that passes by itself. `host`: somebody on this host, because
 * a precondition is missing. `commit`: the commit is wrong, and another commit fixes it.
 */
export type Fault = 'wait' | 'host' | 'commit';

interface ReasonEntry {
  /** One sentence for docs/reasons.md: the situation, and what to do if the message does not say it. */
  meaning: string;
  fault: Fault;
  /** Worth another try without a new commit: before anything was changed, it does not reject the commit. */
  retry: boolean;
  /** The server gave some answer, so it is reachable. */
  answered?: true;
}

const entry = (fault: Fault, retry: boolean, meaning: string): ReasonEntry => ({ meaning, fault, retry });
const wait = (meaning: string): ReasonEntry => entry('wait', true, meaning);
const host = (meaning: string): ReasonEntry => entry('host', true, meaning);
/** A failure of this host that is tried again only after somebody changed something. */
const stuck = (meaning: string): ReasonEntry => entry('host', false, meaning);
const commit = (meaning: string): ReasonEntry => entry('commit', false, meaning);
/** Counted against the commit when it does not settle, and tried again until then. */
const unsettled = (meaning: string): ReasonEntry => entry('commit', true, meaning);
const answered = (given: ReasonEntry): ReasonEntry => ({ ...given, answered: true });

const TABLE = {
  // The repository
  AuthenticationFailed: answered(host('The git server refuses the credentials of this host; check `repo.auth`.')),
  CommitUnknown: answered(stuck('The repository has no such commit.')),
  HostKeyUnknown: host(
    'The SSH key of the git server is not in the known hosts; compare it with the one from its administrator.',
  ),
  AgentTooOld: stuck(
    'The repository requires a newer agent (`requires` of fleet.yaml) than the running one; upgrade it.',
  ),
  InvalidRepository: commit('The repository contains a tree or an object that is refused.'),
  PayloadDamaged: host('The stored copy of a file of the commit is damaged; it is fetched again.'),
  FetchOverBudget: answered(wait('The git server sent more than the request can need; the message says of what.')),
  PackUnreadable: answered(
    wait('The data of the git server could not be unpacked within the limits of memory and time; it is fetched again.'),
  ),
  ProtocolError: answered(wait('The answer of the git server violates the protocol of git.')),
  RefNotFound: answered(host('The repository has no such branch or tag, or no tag matches the pattern.')),
  RepositoryStale: wait('The head of the branch is older than `repo.staleAfter`.'),
  RepositoryUnreachable: wait('The repository cannot be read; the message names the cause.'),
  ServerError: answered(wait('The git server answered with an error.')),
  UnsupportedRepository: answered(
    stuck('The repository uses a feature that fairlead does not support, such as SHA-256 ids.'),
  ),

  // Whether a commit may be applied
  BadSignature: stuck('The signature of the commit or tag is not valid.'),
  BelowFloor: stuck('The commit does not descend from `repo.since`.'),
  DirectoryChanged: stuck('The commit moved this host to another directory of the repository.'),
  HistoryIncomplete: host('The repository does not send a commit that `strict` has to check.'),
  HistoryRewritten: stuck('The head of the branch does not descend from the commit that this host accepted.'),
  NotAccepted: stuck(
    'A command over the broker may only return to a commit that this host accepted earlier; this commit is not one of them.',
  ),
  RecordUnreadable: stuck(
    'The record of what this host accepted is damaged; `fairlead sync --allow-rewind` begins a new one.',
  ),
  RefKindChanged: stuck('`repo.ref` named a branch before and names a tag now, or the other way round.'),
  SignerExpired: stuck('The signing key was not valid at that time.'),
  SignerRevoked: stuck('The signing key has been revoked.'),
  TagWithdrawn: stuck('The tag, or the highest version of the pattern, is older than the one that this host accepted.'),
  UnknownSigner: stuck('The signing key is not among the allowed signers.'),
  Unsigned: stuck('The commit or tag is not signed.'),
  UnsupportedSignature: stuck('fairlead does not support this kind of signature.'),
  VerifyUnavailable: host('Signatures cannot be checked on this host.'),

  // The commit as a whole
  InvalidCommit: commit('The commit has errors and was not applied.'),
  InvalidManifest: commit('A manifest or compose file has an error; the message has file and line.'),
  RollbackFailed: host(
    'The commit was rolled back, and what ran before did not become well either: the commit is not bad and is tried again.',
  ),
  Unassigned: commit('The commit declares nothing for this host; nothing was removed.'),
  WayHomeShut: commit('The repository or broker was reachable before the commit, and is not reachable after it.'),

  ClockWrong: wait(
    'The date of this host cannot be right, or was set and no time server confirms it; work that depends on the date waits.',
  ),
  BrokerSilent: wait('The broker answered before the commit, and is silent after it; the commit is kept.'),

  // Reasons that wait for a person or a time
  DataLeftBehind: stuck(
    'A service would start on an empty place while its data is in another one; the message names both, and the line to write.',
  ),
  Held: stuck('The work is held; the message says why.'),
  NotAdopted: stuck('It already exists and differs; `fairlead sync --adopt` recreates it.'),
  Observing: stuck('The mode is `observe`: fairlead reports differences and changes nothing.'),
  Paused: stuck('This host is paused; `fairlead resume` ends that.'),
  Pinned: stuck('This host is pinned to a commit; `fairlead resume` ends that.'),
  PurgeUnconfirmed: stuck(
    'The first `purge` of a directory would remove files of others; `fairlead sync --allow-prune` allows it.',
  ),
  PruneLimit: stuck('The commit removes more than `prune.max`; `fairlead sync --allow-prune` allows it.'),
  WindowClosed: wait('The maintenance window is closed.'),

  // Docker
  AddressMissing: host('No interface of this host has the address for a published port.'),
  AddressPoolsExhausted: host('Docker has no addresses left for another network.'),
  ContainerMissing: wait('Something else removed a container; it is created again.'),
  ContainerPaused: host('Somebody froze a container of the service by `docker pause`; `docker unpause` continues it.'),
  DeviceMissing: host('A declared device does not exist on this host.'),
  DependencyNotReady: unsettled('A dependency of the service did not reach the required state.'),
  EngineLostPort: wait('Docker keeps a port reserved that no container has; restart docker.service.'),
  EngineRefused: unsettled('Docker refused the request; the message quotes it.'),
  EngineRestarted: wait('The container stopped because Docker was restarted.'),
  EngineTooOld: stuck('The Docker engine of this host is too old for the declaration.'),
  EngineUnreachable: wait('The Docker engine does not answer.'),
  HookFailed: unsettled('A `pre_start`, `post_start` or `pre_stop` command failed.'),
  ImageInUse: host(
    'Power failed while the image was pulled, so files of it may be empty, and something that fairlead did not create uses it.',
  ),
  ImageMissing: wait('The image is not on this host, and `pull_policy` is never.'),
  ImagePullFailed: wait('The image could not be pulled; running containers are left alone.'),
  InspectFailed: host(
    'The Docker engine cannot inspect a container or an image of the service; the service is left alone until it can.',
  ),
  InvalidImage: commit('The name of an image is not valid.'),
  MountMissing: host('The source of a mount does not exist on this host, or could not be mounted.'),
  NameConflict: host('Another container has this name.'),
  NetworkInUse: host('Containers that fairlead did not create use the network.'),
  NetworkMissing: host('An external network does not exist on this host.'),
  PortInUse: host('The port is taken on this host.'),
  StrayContainer: host(
    'A container has the labels of a service but does not belong to it; the message says what to do.',
  ),
  RateLimited: answered(wait('The registry limits the requests of this host for a while.')),
  SubnetInUse: host('The subnet overlaps with another network.'),
  VolumeDiffers: stuck('The volume exists with other options, and its data is not touched.'),
  VolumeInUse: host('Containers that fairlead did not create use the volume.'),
  VolumeMissing: host('An external volume does not exist on this host.'),

  // Files, units, jobs and checks
  FileFailed: host('A file could not be written, read or removed; the message has the reason of the kernel.'),
  InstallFailed: host('Unit files could not be installed.'),
  InvalidFile: commit('The file does not pass its `validate` command.'),
  InvalidUnit: commit('The unit does not pass `systemd-analyze verify`.'),
  JobFailed: commit('The job ended with an error.'),
  JobTimeout: commit('The job did not end within its `timeout`.'),
  NotInstallable: stuck('The unit cannot be enabled or disabled.'),
  OriginalTooLarge: host('The existing file is too large to be kept before the takeover.'),
  OriginalsUnreadable: host('The kept content from before the first takeover cannot be read.'),
  OwnPath: commit('The path leads to fairlead’s own config, state or program.'),
  PathOccupied: host('Something that fairlead does not delete is at the path.'),
  RequirementFailed: host(
    'A unit requires another one that failed and that the repository does not declare, or its assertion does not hold on this host.',
  ),
  SystemdUnreachable: wait('systemd does not answer over D-Bus.'),
  UnitFailed: commit('A unit failed; the message has the last lines of its journal.'),
  UnitNotFound: host('This host has no such unit.'),
  UnknownOwner: host('This host has no such user or group.'),
  UnsafePath: host(
    'A parent belongs to another user, or is a link that root did not make or that a container could have made.',
  ),
  ValidatorMissing: host('The program of `validate` is missing on this host.'),

  // Any resource
  ApplyFailed: commit('The change failed for a reason that has no code of its own.'),
  DependencyFailed: wait('It waits for a resource that failed.'),
  NoEffect: host('The change succeeded, but the resource still differs.'),
  ObserveFailed: wait('The host could not be observed; nothing of that kind was changed.'),
  PrepareFailed: unsettled('The preparation failed for a reason that has no code of its own.'),
  RemoveFailed: host('It could not be removed, and will be tried again.'),
  Stopped: answered(wait('The agent was stopped, or a newer request replaced the run.')),
  TemporaryFailure: wait('A program ended with exit code 75, which means that another try may succeed.'),
  TidyFailed: host('Old images could not be removed.'),
  Unhealthy: commit('It runs, but is not healthy.'),

  // The agent and its host
  AgentUpgradeFailed: commit(
    'The version of the agent that the commit wants failed on this host, and the former one runs again; name another one, or `fairlead sync --force`.',
  ),
  AgentUpgradeUnfit: host(
    'This host cannot install the version of the agent that the commit wants; the message says why.',
  ),
  AgentUpgrading: wait(
    'The version of the agent that the commit wants is being installed, and then applies the commit.',
  ),
  PackageMismatch: commit('The digest of the agent package differs from `agent.sha256`.'),
  PackageUnreachable: wait('The package of the agent cannot be downloaded; the commit is applied meanwhile.'),
  Contended: host('Something else keeps changing it back, or fills a directory as fast as it is emptied.'),
  DescriptorLimitNear: host('The agent is close to its limit of open files.'),
  DiskFull: wait('The disk is full; make room.'),
  IdentityUnreadable: host('The host’s age identity cannot be read.'),
  Internal: host('A run ended with a bug; the log says where.'),
  Interrupted: wait('The agent ended during the run; the next run continues it.'),
  RestartNeeded: host(
    'A change takes effect only after a restart that you have to make: of the agent after a change of agent.yaml, or of a service with `on_change: none` or whose mounted directory was deleted and created again.',
  ),
  StateUnwritable: wait('The state directory cannot be written.'),
  MetricsUnwritable: host('The file with the metrics of the agent cannot be written.'),
  WatchFailed: host('Changes of the host cannot be watched; drift is found by the schedule.'),
  WatchLimit: host('The kernel does not allow more watched directories; drift in the others is found by the schedule.'),
  WatchLimitNear: host('The limit of the kernel for watched directories is close.'),

  // The broker
  BrokerUnreachable: wait('The broker cannot be reached.'),
  NameTaken: host('Another agent uses the name of this host.'),
  NoticesFlooded: host('Too many push notices came; they are ignored for some minutes, and the schedule goes on.'),
  PublishFailed: wait('Reports could not be sent; they are kept.'),
  PublishRefused: answered(
    host('The broker does not allow this host to publish on a topic, or takes only smaller messages.'),
  ),
  SubscriptionRefused: answered(host('The broker does not allow this host to subscribe to a topic.')),
  UnreadableStatus: host('This version cannot read the status of a host.'),
  NotDelivered: host('The broker did not send all retained topics of a host, although it was asked several times.'),

  // Reasons of notifications
  NotifyRefused: host('A destination of `notify` refuses messages; they are kept, and the message says why.'),
  NotifyUnreachable: wait('A destination of `notify` cannot be reached; messages are kept.'),

  // Commands over the broker
  CommandExpired: stuck(
    'By the clock of this host, `expires` of the command has passed or is too far ahead; send it again.',
  ),
  CommandOff: stuck('`mqtt.commands` of agent.yaml does not list this command.'),
  CommandsFlooded: host('Too many commands came over the broker; they are ignored for some minutes.'),
  InvalidCommand: stuck('The message is not a valid command, or its id was used for another command.'),
  NoAnswer: wait('The host did not answer the command in time; it may or may not carry it out.'),
  NotReviewed: stuck('A command may only plan a commit that passes the review of this host.'),

  // Commands
  AlreadyRunning: stuck('Another agent runs on this state directory.'),
  DaemonUnreachable: host('The agent on this host cannot be reached.'),
  EncryptFailed: stuck('A file could not be encrypted.'),
  InitFailed: stuck('`fairlead init` could not finish.'),
  InvalidArgument: stuck('An argument of the command is not valid.'),
  InvalidConfig: stuck('agent.yaml is not valid.'),
  InvalidFacts: stuck('The facts file cannot be read.'),
  InvalidRequest: stuck('The agent does not accept this request.'),
  NoRepository: stuck('The directory is not a readable fleet repository.'),
  NoSuchCommit: stuck('This host has no such commit.'),
  NotKept: stuck('The requested content is no longer kept.'),
  PlanFailed: stuck('The plan could not be made.'),
  Refused: stuck('The agent refused the request.'),
  ServiceFailed: stuck('systemd could not start or stop the unit of the agent.'),
  StateTooNew: stuck('The state was written by a newer version than this one; install that version again.'),
  UnknownHost: stuck('The repository has no such host.'),
  Unreachable: wait('The server did not answer.'),
  Unsupported: stuck('The request is not possible on this host.'),
  ValidationFailed: stuck('The validation did not finish.'),
} satisfies Record<string, ReasonEntry>;

/** A stable code: the `reason` of status, history, events and problems. */
export type ReasonCode = keyof typeof TABLE;

export const REASONS: Readonly<Record<ReasonCode, ReasonEntry>> = TABLE;

/** Maps a code of another version, from the history or from state that outlived a restart, to a known one. */
const UNKNOWN: ReasonEntry = stuck('A reason of another version of fairlead.');

export const reasonOf = (code: string): ReasonEntry =>
  Object.hasOwn(REASONS, code) ? REASONS[code as ReasonCode] : UNKNOWN;
