/**
 * Every reason that fairlead gives, once. Decisions read this table, never the words of a message; docs/reasons.md and the
 * `reason` of the published JSON Schemas are generated from it (`npm run schemas`).
 */

/**
 * Whose turn it is. `wait`: not yet, or an outage, which passes by itself. `host`: this host needs a hand or a precondition.
 * `commit`: the commit's own, mended by another commit.
 */
export type Fault = 'wait' | 'host' | 'commit';

interface ReasonEntry {
  /** One sentence for docs/reasons.md: what is the case, and what to do where the message does not say it. */
  meaning: string;
  fault: Fault;
  /** Worth another try without a new commit: before anything was changed, it does not reject the commit. */
  retry: boolean;
  /** The far end gave an answer, whatever it says: the way to it is open. */
  answered?: true;
}

const entry = (fault: Fault, retry: boolean, meaning: string): ReasonEntry => ({ meaning, fault, retry });
const wait = (meaning: string): ReasonEntry => entry('wait', true, meaning);
const host = (meaning: string): ReasonEntry => entry('host', true, meaning);
/** Of this host, and not tried again before somebody changes something. */
const stuck = (meaning: string): ReasonEntry => entry('host', false, meaning);
const commit = (meaning: string): ReasonEntry => entry('commit', false, meaning);
/** Counted against the commit when it does not settle, and tried again until then. */
const unsettled = (meaning: string): ReasonEntry => entry('commit', true, meaning);
const answered = (given: ReasonEntry): ReasonEntry => ({ ...given, answered: true });

const TABLE = {
  // The repository
  AuthenticationFailed: answered(host('The git server does not let this host in; check `repo.auth`.')),
  CommitUnknown: answered(stuck('The repository has no such commit.')),
  HostKeyUnknown: host('The git server’s SSH key is not the one that is known here; check it with its administrator.'),
  AgentTooOld: stuck('The repository asks for a newer agent (`requires` of fleet.yaml) than runs here; update it.'),
  InvalidRepository: commit('The repository holds a tree or an object that is refused.'),
  PayloadDamaged: host('A file of the commit is damaged where it is kept on this host; it is fetched again.'),
  FetchOverBudget: answered(wait('The git server sent more than what was asked for can be; the message says of what.')),
  PackUnreadable: answered(
    wait('What the git server sent could not be unpacked within its bounds of memory and time; it is fetched again.'),
  ),
  ProtocolError: answered(wait('The git server’s answer is not one that git allows.')),
  RefNotFound: answered(host('The repository has no such branch or tag, or no tag matches the pattern.')),
  RepositoryStale: wait('The head of the branch is older than `repo.staleAfter`.'),
  RepositoryUnreachable: wait('The repository cannot be read; the message names the cause.'),
  ServerError: answered(wait('The git server answered with an error.')),
  UnsupportedRepository: answered(stuck('The repository uses what fairlead cannot read, such as SHA-256 ids.')),

  // Whether a commit may be applied
  BadSignature: stuck('The signature of the commit or tag does not hold.'),
  BelowFloor: stuck('The commit does not descend from `repo.since`.'),
  DirectoryChanged: stuck('The commit moved this host to another directory of the repository.'),
  HistoryIncomplete: host('The repository does not show a commit that `strict` has to check.'),
  HistoryRewritten: stuck('The branch does not descend from what this host accepted.'),
  NotAccepted: stuck('A command may only go back to what this host has accepted; this commit is none of those.'),
  RecordUnreadable: stuck(
    'The record of what this host accepted is damaged; `fairlead sync --allow-rewind` begins a new one.',
  ),
  RefKindChanged: stuck('`repo.ref` named a branch before and names a tag now, or the other way round.'),
  SignerExpired: stuck('The signing key was not valid at that time.'),
  SignerRevoked: stuck('The signing key has been revoked.'),
  TagWithdrawn: stuck('The tag, or the highest version of the pattern, is older than what this host accepted.'),
  UnknownSigner: stuck('The signing key is not among the allowed signers.'),
  Unsigned: stuck('The commit or tag is not signed.'),
  UnsupportedSignature: stuck('The signature is of a kind that fairlead does not check.'),
  VerifyUnavailable: host('Signatures cannot be checked on this host.'),

  // The commit as a whole
  InvalidCommit: commit('The commit has errors and was not applied.'),
  InvalidManifest: commit('A manifest or compose file has an error at the place that is named.'),
  RollbackFailed: host(
    'The commit was taken back, and what ran before did not become well either: the commit is not bad and is tried again.',
  ),
  Unassigned: commit('The commit has nothing for this host; nothing was removed.'),
  WayHomeShut: commit('The repository or broker could be reached before the commit, and not after it.'),

  ClockWrong: wait(
    'This host’s date cannot be right, or was set and is confirmed by no time server; what goes by the date waits until it is.',
  ),
  BrokerSilent: wait('The broker answered before the commit and is silent after it; the commit is kept.'),

  // What waits for a person or a time
  DataLeftBehind: stuck(
    'A service would start on an empty place while its data lies in another one; the message names both, and what to write.',
  ),
  Held: stuck('The work is held; the gate says why.'),
  NotAdopted: stuck('It runs already and differs; `fairlead sync --adopt` takes it over.'),
  Observing: stuck('The mode is `observe`: fairlead only looks.'),
  Paused: stuck('This host is paused; `fairlead resume` ends that.'),
  Pinned: stuck('This host is pinned to a commit; `fairlead resume` ends that.'),
  PurgeUnconfirmed: stuck(
    'The first `purge` of a directory would remove what others put there; `fairlead sync --allow-prune` lets it.',
  ),
  PruneLimit: stuck('The commit removes more than `prune.max` allows; `fairlead sync --allow-prune` lets it.'),
  WindowClosed: wait('The maintenance window is closed.'),

  // Docker
  AddressMissing: host('No interface of this host has the address on which a port is to be published.'),
  AddressPoolsExhausted: host('The engine has no addresses left for another network.'),
  ContainerMissing: wait('A container is gone; something else removed it, and it is created again.'),
  ContainerPaused: host('Somebody froze a container of the service by `docker pause`; `docker unpause` lets it go on.'),
  DeviceMissing: host('A device that is declared does not exist on this host.'),
  DependencyNotReady: unsettled('A service that it depends on is not in the state that it waits for.'),
  EngineLostPort: wait('The engine takes a port for taken that no container has; restart docker.service.'),
  EngineRefused: unsettled('The Docker engine refused what was asked of it; the message has its words.'),
  EngineRestarted: wait('The Docker engine was restarted and took the container with it.'),
  EngineTooOld: stuck('This host’s Docker engine is too old for what is declared.'),
  EngineUnreachable: wait('The Docker engine does not answer.'),
  HookFailed: unsettled('A `pre_start`, `post_start` or `pre_stop` command failed.'),
  ImageMissing: wait('The image is not on this host, and `pull_policy` is never.'),
  ImagePullFailed: wait('The image could not be pulled; what runs is left alone.'),
  InvalidImage: commit('The name of an image does not parse.'),
  MountMissing: host('A path that is to be mounted does not exist on this host, or could not be mounted.'),
  NameConflict: host('Another container has this name.'),
  NetworkInUse: host('Containers that fairlead did not create use the network.'),
  NetworkMissing: host('An external network does not exist on this host.'),
  PortInUse: host('The port is taken on this host.'),
  StrayContainer: host('A container has the labels of a service and is none of its own; the message says what to do.'),
  RateLimited: answered(wait('The registry lets this host ask no more for a while.')),
  SubnetInUse: host('The subnet overlaps with another network.'),
  VolumeDiffers: stuck('The volume exists with other options, and its data is not touched.'),
  VolumeInUse: host('Containers that fairlead did not create use the volume.'),
  VolumeMissing: host('An external volume does not exist on this host.'),

  // Files, units, jobs and checks
  FileFailed: host('A file could not be written, read or removed; the message has the kernel’s reason.'),
  InstallFailed: host('Unit files could not be installed.'),
  InvalidFile: commit('The file does not pass its `validate` command.'),
  InvalidUnit: commit('The unit does not pass `systemd-analyze verify`.'),
  JobFailed: commit('The job ended with an error.'),
  JobTimeout: commit('The job did not end within its `timeout`.'),
  NotInstallable: stuck('The unit cannot be enabled or disabled.'),
  OriginalTooLarge: host('What is there is too large to be kept before it is taken over.'),
  OriginalsUnreadable: host('What was there before the first takeover cannot be read back.'),
  OwnPath: commit('The path leads to fairlead’s own config, state or program.'),
  PathOccupied: host('Something that fairlead does not delete is in the way.'),
  RequirementFailed: host(
    'A unit requires another one, which the repository does not declare and which failed, or asserts what does not hold on this host.',
  ),
  SystemdUnreachable: wait('systemd does not answer over D-Bus.'),
  UnitFailed: commit('A unit failed; the message has the last lines of its journal.'),
  UnitNotFound: host('This host has no such unit.'),
  UnknownOwner: host('This host has no such user or group.'),
  UnsafePath: host(
    'A parent belongs to another user, or is a link that root did not make or that a container could have made.',
  ),
  ValidatorMissing: host('The program of `validate` is not on this host.'),

  // Any resource
  ApplyFailed: commit('The change failed for a reason that has no code of its own.'),
  DependencyFailed: wait('It waits for a resource that failed, and says nothing of its own.'),
  NoEffect: host('The change went through, and the resource differs as it did before.'),
  ObserveFailed: wait('The host could not be looked at; nothing of that kind was touched.'),
  PrepareFailed: unsettled('The preparation failed for a reason that has no code of its own.'),
  RemoveFailed: host('It could not be removed, and will be tried again.'),
  Stopped: answered(wait('The agent was stopped, or made way for a newer request.')),
  TemporaryFailure: wait('A program ended with exit code 75, which says that another try may succeed.'),
  TidyFailed: host('Old images could not be removed.'),
  Unhealthy: commit('It runs, and is not well.'),

  // The agent and its host
  AgentUpgradeFailed: commit(
    'The version of the agent that the commit asks for failed on this host, and the former one goes on; name another one, or `fairlead sync --force`.',
  ),
  AgentUpgradeUnfit: host(
    'This host cannot get the version of the agent that the commit asks for as things are; the message says why.',
  ),
  AgentUpgrading: wait('Another version of the agent takes over, as the commit asks for, and applies the commit.'),
  PackageMismatch: commit('The package of the agent is not the one that `agent.sha256` names.'),
  PackageUnreachable: wait('The package of the agent cannot be downloaded; the commit is applied meanwhile.'),
  Contended: host('Something else keeps changing it back, or fills a directory as fast as it is emptied.'),
  DescriptorLimitNear: host('The agent is close to its limit of open files.'),
  DiskFull: wait('The disk is full; make room.'),
  IdentityUnreadable: host('The host’s age identity cannot be read.'),
  Internal: host('A run ended in a bug; the log says where.'),
  Interrupted: wait('The agent ended during the run; the next one goes on with it.'),
  RestartNeeded: host(
    'A change takes effect after a restart that is left to you: of the agent after a change of agent.yaml, of a service with `on_change: none`, or whose mounted directory was deleted and made again.',
  ),
  StateUnwritable: wait('The state directory cannot be written.'),
  WatchFailed: host('Changes of the host cannot be watched; drift is found by the schedule.'),
  WatchLimit: host('The kernel lets no more directories be watched; drift there is found by the schedule.'),
  WatchLimitNear: host('The kernel’s limit of watched directories is close.'),

  // The broker
  BrokerUnreachable: wait('The broker cannot be reached.'),
  NameTaken: host('Another agent uses this host’s name.'),
  NoticesFlooded: host('Too much came as push notices; they are not heard for some minutes, and the schedule goes on.'),
  PublishFailed: wait('Reports could not be sent, and are kept.'),
  PublishRefused: answered(host('The broker does not let this host publish on a topic.')),
  SubscriptionRefused: answered(host('The broker does not let this host subscribe to a topic.')),
  UnreadableStatus: host('The status of a host is not one that this version can read.'),
  NotDelivered: host('The broker did not give all that it keeps of a host, although it was asked several times.'),

  // Commands
  AlreadyRunning: stuck('Another agent runs on this state directory.'),
  DaemonUnreachable: host('The agent on this host cannot be reached.'),
  EncryptFailed: stuck('A file could not be encrypted.'),
  InitFailed: stuck('`fairlead init` could not finish.'),
  InvalidArgument: stuck('An argument of the command is not valid.'),
  InvalidConfig: stuck('agent.yaml is not valid.'),
  InvalidFacts: stuck('The facts file cannot be read.'),
  InvalidRequest: stuck('The agent does not take this request.'),
  NoRepository: stuck('The directory is not a fleet repository that can be read.'),
  NoSuchCommit: stuck('This host has no such commit.'),
  NotKept: stuck('The bytes that were asked for are kept no more.'),
  PlanFailed: stuck('The plan could not be made.'),
  Refused: stuck('The agent refused the request.'),
  ServiceFailed: stuck('systemd could not start or stop the unit of the agent.'),
  StateTooNew: stuck('The state was written by a newer version than this one; install that version again.'),
  UnknownHost: stuck('The repository has no such host.'),
  Unreachable: wait('The far end gave no answer.'),
  Unsupported: stuck('What was asked for is not possible here.'),
  ValidationFailed: stuck('The validation could not be run to its end.'),
} satisfies Record<string, ReasonEntry>;

/** A stable code: the `reason` of status, history, events and problems. */
export type ReasonCode = keyof typeof TABLE;

export const REASONS: Readonly<Record<ReasonCode, ReasonEntry>> = TABLE;

/** What counts of a code that another version wrote, into history or into the state that outlives a restart. */
const UNKNOWN: ReasonEntry = stuck('A reason of another version of fairlead.');

export const reasonOf = (code: string): ReasonEntry =>
  Object.hasOwn(REASONS, code) ? REASONS[code as ReasonCode] : UNKNOWN;
