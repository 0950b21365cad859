import {
  type Committer,
  MillraceError,
  type Sink,
  type SinkMarker,
  type SinkTransactor,
  type SinkWriter,
  type SinkWriterContext,
} from '../../core/index.js'
import { loadClient } from '../base/aws-client.js'
import { OpenedOnce } from '../base/opened-once.js'
import { SendingWriter } from '../base/sending-writer.js'
import { attributesOf, sizeOf } from './attribute-value.js'
import type { Items, TableSettings, TableWrites } from './table-writes.js'

/** Options of {@link dynamoDbSink}. */
export interface DynamoDbSinkOptions<T> {
  /** Logical name of the table: what it is called, a binding says (default: this). */
  readonly table: string
  /** Names of the attributes of the table's primary key: the partition key, and the sort key if there is one. */
  readonly key: readonly [partitionKey: string, sortKey?: string]
  /** The item for a value; undefined: none. It replaces the item with the same key. Default: the value itself. */
  readonly item?: (value: T) => Readonly<Record<string, unknown>> | undefined
  /**
   * `onCommit` (the default): as soon as each commit on AWS, and in one process as the job goes. `onCheckpoint`: when a checkpoint with it has
   * completed, so that a restore never repeats what was seen.
   */
  readonly delivery?: 'onCommit' | 'onCheckpoint'
  /** Attribute in which an item says which commit wrote it. Default `_millrace`. */
  readonly markerAttribute?: string
}

/** What a sink for DynamoDB leaves in a checkpoint: values to write once it has completed. Plain data. */
export interface DynamoDbCommittable {
  readonly marker: SinkMarker
  /** Attributes as DynamoDB's protocol has them. */
  readonly items: readonly Readonly<Record<string, object>>[]
}

/**
 * Writes an item for each value, by its key: one that is there is replaced. Repeated writes are recognised by the marker that each item carries (who
 * wrote it in which commit) and do nothing, so an item always is what the last commit made of it, exactly once. A key should be written by one
 * subtask: key the stream by what the item's key is made of.
 *
 * One PutItem an item: one write unit a KB, as without the guarantee ($0.625 a million in us-east-1; a transaction would cost twice that).
 * Delivered with `onCommit` in one process, items go 25 a request, unguarded, and at least once: what is written again after a failure is the same, if the job computes the same.
 *
 * Errors: RECORD_UNSERIALISABLE for what DynamoDB cannot hold, AWS_CALL when the table refuses, PACKAGE_MISSING without @aws-sdk/client-dynamodb.
 *
 * @example
 * counts.sinkTo(dynamoDbSink({ table: 'counts', key: ['user'], item: ({ user, n }) => ({ user, count: n }) }))
 */
export function dynamoDbSink<T>(options: DynamoDbSinkOptions<T>): Sink<T, DynamoDbCommittable> {
  const { table, key, delivery = 'onCommit', markerAttribute = '_millrace' } = options
  checkOptions(options, markerAttribute)
  const itemOf: ItemOf<T> = (value) => {
    const item = options.item === undefined ? (value as Readonly<Record<string, unknown>>) : options.item(value)
    return item === undefined ? undefined : attributesOf(item)
  }
  const tableOf = ({ runtime }: SinkWriterContext): Table =>
    new OpenedOnce(async () => {
      const { TableWrites } = await loadClient(() => import('./table-writes.js'))
      return TableWrites.open({ table: runtime.physicalName(table), key: key.filter((name) => name !== undefined), markerAttribute })
    })
  return {
    name: 'dynamodb-sink',
    delivery,
    resources: [{ name: table, kind: 'table', access: 'write' }],
    createWriter: (context) =>
      delivery === 'onCheckpoint'
        ? new HoldingWriter(itemOf, context)
        : new SendingWriter(tableOf(context), { entryOf: itemOf, sizeOf, send: (writes, items) => writes.putAll(byKey(items, writes)) }),
    ...(delivery === 'onCommit' ? {} : { createCommitter: (context: SinkWriterContext) => new ItemCommitter(tableOf(context)) }),
    createTransactor: (context) => new ItemTransactor(itemOf, delivery, tableOf(context)),
  }
}

type Attributes = ReturnType<typeof attributesOf>
type ItemOf<T> = (value: T) => Attributes | undefined
/** Opened when there is something to write. */
type Table = OpenedOnce<TableWrites>

/** The last item of each key, in the order of the keys' first ones. */
function byKey(items: readonly Attributes[], writes: TableWrites): Items {
  return new Map(items.map((item) => [writes.keyOf(item), item]))
}

/** Of records that waited for a checkpoint: numbers of checkpoints begin anew only with a later attempt. */
function attemptOf({ writer, attempt }: SinkMarker): number {
  return attempt === 0 ? Number(/@(\d+)$/.exec(writer)?.[1] ?? 0) : attempt
}

/** Each item has the marker of the commit that wrote it, so no marker of the writer is needed beside them. */
class ItemTransactor<T> implements SinkTransactor<T> {
  constructor(
    readonly itemOf: ItemOf<T>,
    readonly delivery: 'onCommit' | 'onCheckpoint',
    readonly table: Table,
  ) {}

  async apply(marker: SinkMarker, records: readonly { readonly value: T }[]): Promise<void> {
    const writes = await this.table.get()
    const all = records.map(({ value }) => this.itemOf(value)).filter((item) => item !== undefined)
    const items = byKey(all, writes)
    if (this.delivery === 'onCommit') await writes.putGuarded(items, marker, 'by-writer')
    else await writes.putGuarded(items, { ...marker, attempt: attemptOf(marker) }, 'by-checkpoint')
  }

  /** An instance of a former attempt finds newer items where the new one has written, and replaces what will be written again elsewhere. */
  async fence(): Promise<void> {}

  close(): Promise<void> {
    return this.table.close()
  }
}

/** Keeps items in the checkpoint, to be written once it has completed. */
class HoldingWriter<T> implements SinkWriter<T, DynamoDbCommittable> {
  #items: Attributes[] = []
  readonly #writer: string
  /** A run that goes on from a checkpoint is a later attempt than the one that took it. */
  readonly #attempt: number

  constructor(
    readonly itemOf: ItemOf<T>,
    { runtime, now }: SinkWriterContext,
  ) {
    this.#attempt = Math.floor(now() / 1_000)
    this.#writer = `${runtime.jobName}/${runtime.uid}/${runtime.subtaskIndex}@${this.#attempt}`
  }

  write(value: T): void {
    const item = this.itemOf(value)
    if (item !== undefined) this.#items.push(item)
  }

  prepareCommit(checkpointId: number): readonly DynamoDbCommittable[] {
    if (this.#items.length === 0) return []
    const marker = { writer: this.#writer, attempt: this.#attempt, version: checkpointId }
    const items = this.#items
    this.#items = []
    return [{ marker, items }]
  }

  close(): void {}
}

class ItemCommitter implements Committer<DynamoDbCommittable> {
  constructor(readonly table: Table) {}

  async commit(committables: readonly DynamoDbCommittable[]): Promise<void> {
    const writes = await this.table.get()
    for (const { marker, items } of committables) await writes.putGuarded(byKey(items as readonly Attributes[], writes), marker, 'by-checkpoint')
  }

  close(): Promise<void> {
    return this.table.close()
  }
}

function checkOptions({ table, key, delivery }: DynamoDbSinkOptions<never>, markerAttribute: TableSettings['markerAttribute']): void {
  const invalid = (what: string, todo: string) => new MillraceError('OPTION_INVALID', { what: `dynamoDbSink: ${what}`, todo })
  if (typeof table !== 'string' || table === '') throw invalid('it has no table', "Name one: dynamoDbSink({ table: 'counts', … }).")
  if (!Array.isArray(key) || key.length < 1 || key.length > 2 || key.some((name) => typeof name !== 'string' || name === ''))
    throw invalid('key does not name one or two attributes', "Give the table's primary key: key: ['ip', 'window'].")
  if ((key as readonly unknown[]).includes(markerAttribute))
    throw invalid(`"${markerAttribute}" is part of the key`, 'Give the marker another attribute by markerAttribute.')
  if (delivery !== undefined && delivery !== 'onCommit' && delivery !== 'onCheckpoint')
    throw invalid(`delivery is ${String(delivery)}`, "Give 'onCommit' or 'onCheckpoint'.")
}
