import { CheckpointStore } from '../runtime/checkpoint/index.js'
import type {
  BlobStore,
  Channel,
  ChannelEntry,
  CommitLog,
  Compression,
  LogHead,
  LogRead,
  Pokes,
  PokeTarget,
  SourceStreams,
} from '../runtime/ports/index.js'
import type { DeadLetter, StageEvent, StagePorts } from '../runtime/task/stage-ports.js'
import type { Program } from './program.js'

/** What lies behind the ports of a revision of a job. */
export interface Backing {
  readonly log: CommitLog
  readonly parts: BlobStore
  readonly checkpoints: BlobStore
  readonly pokes: Pokes
  /** Somebody wants it poked, whatever becomes of that. */
  asked(target: PokeTarget): void
  readonly streams: SourceStreams
  readonly compression: Compression | undefined
  channel(stage: string): Channel
  letter(id: string, letter: DeadLetter): void
  count(event: StageEvent, times: number): void
}

/** The ports of one program: every call takes time and may go wrong. */
export function portsOf(program: Program, backing: Backing): StagePorts {
  const { faulty } = program
  const channels = new Map<string, Channel>()
  const pokes = faulty.pokes(backing.pokes)
  const { streams } = backing
  return {
    clock: program.clock,
    log: logOf(program, faulty.log(backing.log)),
    parts: blobsOf(program, faulty.blobs(backing.parts)),
    checkpoints: checkpointsOf(program, backing.checkpoints),
    pokes: {
      poke: (target, atMs) => {
        backing.asked(target)
        return program.call(
          'pokes',
          'poke',
          `${target.stage}/${target.subtask}`,
          1,
          () => pokes.poke(target, atMs),
          () => pokes.poke(target, 0),
        )
      },
    },
    streams: {
      splits: (stream) => program.call('streams', 'splits', stream, 1, () => streams.splits(stream)),
      drained: (stream, splitId, position) =>
        program.call('streams', 'drained', `${stream}/${splitId}`, 1, () => streams.drained(stream, splitId, position)),
    },
    deadLetters: { write: (id, letter) => program.call('letters', 'write', id, 1, async () => backing.letter(id, letter)) },
    compression: backing.compression,
    channel: (stage) => {
      const channel = channels.get(stage) ?? channelOf(program, stage, faulty.channel(backing.channel(stage), stage))
      channels.set(stage, channel)
      return channel
    },
    random: () => program.machine.chance.next(),
    nonce: () => program.nonce(),
    pause: (ms) => program.pause(ms),
    count: (event, times = 1) => backing.count(event, times),
  }
}

/** A folder of checkpoints as a program sees it. */
export function checkpointsOf(program: Program, blobs: BlobStore): CheckpointStore {
  return new CheckpointStore(blobsOf(program, program.faulty.blobs(blobs)), { newNonce: () => program.nonce() })
}

function logOf(program: Program, log: CommitLog): CommitLog {
  const between = (): number => program.machine.chance.between(1, 40)
  const twoPages = async (name: string, after: number): Promise<LogRead> => {
    const { items } = await log.read(name, after)
    const first = items.slice(0, program.machine.chance.below(items.length + 1))
    await program.pause(between())
    const rest = await log.read(name, first.at(-1)?.version ?? after)
    return { items: [...first, ...rest.items], control: rest.control }
  }
  const headThenControl = async (name: string): Promise<LogHead> => {
    const { item } = await log.head(name)
    await program.pause(between())
    return { item, control: (await log.head(name)).control }
  }
  return {
    read: (name, after) =>
      program.call(
        'log',
        'read',
        name,
        after,
        () => log.read(name, after),
        () => twoPages(name, after),
      ),
    head: (name) =>
      program.call(
        'log',
        'head',
        name,
        0,
        () => log.head(name),
        () => headThenControl(name),
      ),
    append: (name, item) => program.call('log', 'append', name, item.version, () => log.append(name, item)),
    putControl: (name, control) => program.call('log', 'putControl', name, control.serial, () => log.putControl(name, control)),
  }
}

function blobsOf(program: Program, blobs: BlobStore): BlobStore {
  return {
    put: (name, bytes) => program.call('blobs', 'put', name, bytes.length, () => blobs.put(name, bytes)),
    get: (name) => program.call('blobs', 'get', name, 0, () => blobs.get(name)),
    getRange: (name, range) => program.call('blobs', 'getRange', name, range.from, () => blobs.getRange(name, range)),
    list: (prefix) => program.call('blobs', 'list', prefix, 0, () => blobs.list(prefix)),
    delete: (name) => program.call('blobs', 'delete', name, 0, () => blobs.delete(name)),
  }
}

function channelOf(program: Program, stage: string, channel: Channel): Channel {
  return {
    send: (entries) =>
      program.call(
        'channel',
        'send',
        stage,
        entries.length,
        () => channel.send(entries),
        // The entries of one call arrive in an order of their own.
        () => channel.send(program.machine.chance.shuffle(entries)).then((failed) => inOrder(entries, failed)),
      ),
  }
}

function inOrder(entries: readonly ChannelEntry[], failed: readonly ChannelEntry[]): readonly ChannelEntry[] {
  return entries.filter((entry) => failed.includes(entry))
}
