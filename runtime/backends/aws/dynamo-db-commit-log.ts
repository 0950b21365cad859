import { type DynamoDBClient, PutItemCommand, type PutItemCommandInput, QueryCommand, type QueryCommandInput } from '@aws-sdk/client-dynamodb'
import { MillraceError } from '../../core/index.js'
import type { CommitLog, ControlItem, LogHead, LogItem, LogRead, Outcome } from '../../ports/index.js'
import { awsCall, isAwsError } from './aws-call.js'

const DIGITS = 16
/** Behind every version, so that one query reads both. */
const CONTROL = 'z'

type Item = Record<string, { readonly S?: string; readonly N?: string; readonly B?: Uint8Array }>

/**
 * Commit logs in one table: pk = log, sk = `v` and the padded version, payload = bytes, expiresAt = epoch seconds (the table's time to live).
 * The control item has sk = `z` and a serial.
 */
export class DynamoDbCommitLog implements CommitLog {
  constructor(
    readonly client: DynamoDBClient,
    readonly table: string,
  ) {}

  async read(log: string, after: number): Promise<LogRead> {
    const items: LogItem[] = []
    let control: ControlItem | undefined
    for await (const item of this.#query(log, { first: sortKey(after + 1) })) {
      if (item.sk?.S === CONTROL) control = controlItem(item)
      else items.push(logItem(item))
    }
    return { items, control }
  }

  /** Backwards: the control item, if there is one, comes before the newest version. */
  async head(log: string): Promise<LogHead> {
    let control: ControlItem | undefined
    for await (const item of this.#query(log, { first: sortKey(0), ScanIndexForward: false, Limit: 2 })) {
      if (item.sk?.S !== CONTROL) return { item: logItem(item), control }
      control = controlItem(item)
    }
    return { item: undefined, control }
  }

  /** The items from `first` on, by as many queries as there are pages. */
  async *#query(log: string, { first, ...more }: Partial<QueryCommandInput> & { readonly first: string }): AsyncGenerator<Item> {
    let from: QueryCommandInput['ExclusiveStartKey']
    do {
      const command = new QueryCommand({
        TableName: this.table,
        ConsistentRead: true,
        KeyConditionExpression: 'pk = :pk AND sk BETWEEN :first AND :last',
        ExpressionAttributeValues: { ':pk': { S: log }, ':first': { S: first }, ':last': { S: CONTROL } },
        ExclusiveStartKey: from,
        ...more,
      })
      const page = await awsCall('Query', this.#where(log), () => this.client.send(command))
      yield* (page.Items ?? []) as Item[]
      from = page.LastEvaluatedKey
    } while (from !== undefined)
  }

  append(log: string, { version, payload, expiresAtMs }: LogItem): Promise<Outcome> {
    const Item: PutItemCommandInput['Item'] = { pk: { S: log }, sk: { S: sortKey(version) }, payload: { B: payload } }
    // Rounded up: not before its time.
    if (expiresAtMs !== undefined) Item.expiresAt = { N: String(Math.ceil(expiresAtMs / 1_000)) }
    return this.#put(log, { Item, ConditionExpression: 'attribute_not_exists(pk)' })
  }

  putControl(log: string, { serial, payload, expiresAtMs }: ControlItem): Promise<Outcome> {
    const Item: PutItemCommandInput['Item'] = { pk: { S: log }, sk: { S: CONTROL }, serial: { N: String(serial) }, payload: { B: payload } }
    if (expiresAtMs !== undefined) Item.expiresAt = { N: String(Math.ceil(expiresAtMs / 1_000)) }
    return this.#put(log, {
      Item,
      ConditionExpression: 'attribute_not_exists(pk) OR #serial < :serial',
      ExpressionAttributeNames: { '#serial': 'serial' },
      ExpressionAttributeValues: { ':serial': { N: String(serial) } },
    })
  }

  #put(log: string, input: Omit<PutItemCommandInput, 'TableName'>): Promise<Outcome> {
    const command = new PutItemCommand({ TableName: this.table, ...input })
    return awsCall('PutItem', this.#where(log), async () => {
      try {
        await this.client.send(command)
        return 'won'
      } catch (thrown) {
        if (isAwsError(thrown, 'ConditionalCheckFailedException')) return 'lost'
        throw thrown
      }
    })
  }

  #where(log: string): string {
    return `table ${this.table}, log ${log}`
  }
}

function sortKey(version: number): string {
  return `v${String(version).padStart(DIGITS, '0')}`
}

function logItem(item: Item): LogItem {
  const { sk, payload, expiresAt } = item
  const version = Number(/^v(\d+)$/.exec(sk?.S ?? '')?.[1] ?? Number.NaN)
  if (Number.isNaN(version) || payload?.B === undefined) throw corrupt(item)
  if (expiresAt?.N === undefined) return { version, payload: payload.B }
  return { version, payload: payload.B, expiresAtMs: Number(expiresAt.N) * 1_000 }
}

function controlItem(item: Item): ControlItem {
  const { serial, payload } = item
  if (serial?.N === undefined || payload?.B === undefined) throw corrupt(item)
  return { serial: Number(serial.N), payload: payload.B }
}

function corrupt({ pk, sk }: Item): MillraceError {
  return new MillraceError('LOG_CORRUPT', {
    what: 'an item of the commit log is not one',
    where: `log ${pk?.S}, item ${sk?.S}`,
    todo: 'Nothing but this job may write to its table. Restore the job from its last checkpoint.',
  })
}
