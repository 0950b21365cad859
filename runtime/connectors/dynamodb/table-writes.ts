import { createHash } from 'node:crypto'
import { BatchWriteItemCommand, DynamoDBClient, PutItemCommand, type WriteRequest } from '@aws-sdk/client-dynamodb'
import { isAwsError } from '../../backends/aws/aws-call.js'
import { MillraceError, type SinkMarker } from '../../core/index.js'
import { clientSettings } from '../base/aws-client.js'
import { callFailed } from '../base/call-failed.js'
import { backOff, patiently } from '../base/patience.js'
import type { AttributeValue } from './attribute-value.js'

/** An item by the text of its key: later ones of a batch replace earlier ones, so each is written once. */
export type Items = ReadonlyMap<string, Record<string, AttributeValue>>

export interface TableSettings {
  readonly table: string
  /** Names of the attributes of the primary key. */
  readonly key: readonly string[]
  /** Where an item says which commit wrote it. */
  readonly markerAttribute: string
}

/** Calls on their way at once: a commit of some thousand items is not to wait for each answer by itself. */
const CONCURRENCY = 32
/** Of BatchWriteItem. */
const MOST_ITEMS = 25
const UNPROCESSED_TRIES = 10

const OF_AN_INVALID_ITEM = 'Check the names and types of the key against the table, and that no item is larger than 400 KB.'
const OF_A_SLOW_TABLE =
  'It is tried again: the batch comes again, or the job goes on from its last checkpoint. If it goes on, the table has too little capacity.'

/** Puts items into one table. */
export class TableWrites {
  private constructor(
    readonly client: DynamoDBClient,
    readonly settings: TableSettings,
  ) {}

  static async open(settings: TableSettings): Promise<TableWrites> {
    return new TableWrites(new DynamoDBClient(await clientSettings()), settings)
  }

  close(): void {
    this.client.destroy()
  }

  /** Each item unless the table has one of the same commit or of a later one: may be repeated at any time, in any order. */
  async putGuarded(items: Items, marker: SinkMarker, order: 'by-writer' | 'by-checkpoint'): Promise<void> {
    const waiting = items.values()
    const work = async () => {
      for (const item of waiting) await this.#putOne(item, marker, order)
    }
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, items.size) }, work))
  }

  async #putOne(item: Record<string, AttributeValue>, { writer, attempt, version }: SinkMarker, order: 'by-writer' | 'by-checkpoint'): Promise<void> {
    const { table, markerAttribute } = this.settings
    const w = writerId(writer)
    const command = new PutItemCommand({
      TableName: table,
      Item: { ...item, [markerAttribute]: { M: { w: { S: w }, a: { N: String(attempt) }, v: { N: String(version) } } } },
      ConditionExpression: CONDITIONS[order],
      ExpressionAttributeNames: { '#m': markerAttribute },
      ExpressionAttributeValues: { ':w': { S: w }, ':a': { N: String(attempt) }, ':v': { N: String(version) } },
    })
    try {
      await patiently(() => this.client.send(command))
    } catch (thrown) {
      // It has been written before, or something newer has.
      if (!isAwsError(thrown, 'ConditionalCheckFailedException')) throw this.#failed('PutItem', thrown, item)
    }
  }

  /** As they are, 25 a request. */
  async putAll(items: Items): Promise<void> {
    const requests: WriteRequest[] = Array.from(items.values(), (Item) => ({ PutRequest: { Item } }))
    const batches: WriteRequest[][] = []
    for (let from = 0; from < requests.length; from += MOST_ITEMS) batches.push(requests.slice(from, from + MOST_ITEMS))
    const waiting = batches.values()
    const work = async () => {
      for (const batch of waiting) await this.#putBatch(batch)
    }
    await Promise.all(Array.from({ length: Math.min(CONCURRENCY, batches.length) }, work))
  }

  /** What the table had no room for is given back, and tried again. */
  async #putBatch(batch: WriteRequest[]): Promise<void> {
    const { table } = this.settings
    let left = batch
    for (let tried = 1; ; tried++) {
      const command = new BatchWriteItemCommand({ RequestItems: { [table]: left } })
      const { UnprocessedItems } = await patiently(() => this.client.send(command)).catch((thrown) => {
        throw this.#failed('BatchWriteItem', thrown)
      })
      left = UnprocessedItems?.[table] ?? []
      if (left.length === 0) return
      if (tried === UNPROCESSED_TRIES) throw this.#failed('BatchWriteItem', new Error(`${left.length} items were given back ${tried} times`))
      await backOff(tried)
    }
  }

  /** The item's key as text: equal for what DynamoDB takes for the same item. */
  keyOf(item: Readonly<Record<string, AttributeValue>>): string {
    return JSON.stringify(
      this.settings.key.map((name) => {
        const value = item[name]
        if (value !== undefined && ('S' in value || 'N' in value || 'B' in value)) return value
        throw new MillraceError('RECORD_UNSERIALISABLE', {
          what: `an item has no "${name}" that can be part of a key`,
          where: `dynamoDbSink, table "${this.settings.table}"`,
          todo: 'A key is made of strings, numbers or bytes, and every item has all of it.',
        })
      }),
    )
  }

  #failed(what: string, cause: unknown, item?: Record<string, AttributeValue>): MillraceError {
    return callFailed('AWS_CALL', {
      what,
      where: `DynamoDB table "${this.settings.table}"${item === undefined ? '' : `, item ${this.keyOf(item)}`}`,
      cause,
      allow: 'dynamodb:PutItem and dynamodb:BatchWriteItem on the table',
      todo: isAwsError(cause, 'ValidationException') ? OF_AN_INVALID_ITEM : OF_A_SLOW_TABLE,
    })
  }
}

/**
 * The item is of a former attempt, or of this one and an earlier commit. Versions of two writers count by themselves, so what another has written is
 * replaced; numbers of checkpoints are the same for all.
 */
const CONDITIONS = {
  'by-writer': 'attribute_not_exists(#m) OR #m.a < :a OR (#m.a = :a AND (#m.w <> :w OR #m.v < :v))',
  'by-checkpoint': 'attribute_not_exists(#m) OR #m.a < :a OR (#m.a = :a AND (#m.v < :v OR (#m.v = :v AND #m.w <> :w)))',
} as const

/** Short, because it is stored with each item. */
function writerId(writer: string): string {
  return createHash('sha256').update(writer).digest('base64url').slice(0, 11)
}
